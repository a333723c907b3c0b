"""Sets of features (N, D): what a measure asks of them, halves of them, and their classes one by one."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from engine.randomness import permutation
from engine.spec.errors import DataError

Measured = TypeVar("Measured")

_DEAD = 1e-3


def checked(measure: str, needed: int, real: Tensor, synthetic: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets in float64; DataError where one has fewer than `needed`, they differ in D, or a value is not finite."""
    for name, features in (("real", real), ("synthetic", synthetic)):
        if features.ndim != 2:
            raise DataError(f"{measure}: {name} features have the shape {tuple(features.shape)}; (N, D) is needed")
        enough(measure, needed, name, len(features))
        if not torch.isfinite(features).all():
            raise DataError(f"{measure}: {name} features hold values that are not finite")
    if real.shape[1] != synthetic.shape[1]:
        raise DataError(
            f"{measure}: real patches have {real.shape[1]} features and synthetic ones {synthetic.shape[1]}: "
            "both must come from the same space"
        )
    return real.double(), synthetic.double()


def enough(measure: str, needed: int, name: str, count: int) -> None:
    """DataError where there are fewer than `needed` patches."""
    if count < needed:
        raise DataError(f"{measure} needs at least {needed} {name} patches; there are {count}")


def halves(features: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Features (N, D) in two parts of N // 2, by chance: what a measure says of them is its floor.

    Patches of one slide fall on both sides, so that no generator can be expected to come below it.
    """
    half, mixed = len(features) // 2, shuffled(features, seed)
    return mixed[:half], mixed[half : 2 * half]


def shuffled(features: Tensor, seed: int) -> Tensor:
    """Features (N, D) in an order by chance."""
    return features[torch.from_numpy(permutation(len(features), seed, "shuffled")).to(features.device)]


def by_class(
    measure: Callable[[Tensor, Tensor], Measured],
    real: Tensor,
    real_labels: Tensor,
    synthetic: Tensor,
    synthetic_labels: Tensor,
) -> dict[int, Measured]:
    """`measure(real, synthetic)` for the patches of each label that either set has; a DataError names the class."""
    measured = {}
    for label in torch.unique(torch.cat((real_labels, synthetic_labels))).tolist():
        try:
            measured[label] = measure(real[real_labels == label], synthetic[synthetic_labels == label])
        except DataError as error:
            raise DataError(f"class {label}: {error}") from error
    return measured


def standardised(real: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """All sets shifted and scaled as it takes for the real one to have mean 0 and deviation 1 in each feature.

    Features of different units then count alike. One that hardly ever varies is not blown up: no deviation counts as
    less than a thousandth of the largest.
    """
    deviation, mean = torch.std_mean(real.double(), dim=0)
    scale = deviation.clamp(min=_DEAD * float(deviation.max()))
    scale[scale == 0] = 1
    return tuple((features.double() - mean) / scale for features in (real, *others))
