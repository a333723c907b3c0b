"""Sets of features (N, D): what a measure asks of them, and their units."""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.spec.errors import DataError

_DEAD = 1e-3


@dataclass(frozen=True, slots=True)
class Need:
    """How many patches of each set a measure needs at least."""

    measure: str
    patches: int

    def __str__(self) -> str:
        return f"{self.measure} needs at least {self.patches}"


def checked(need: Need, real: Tensor, synthetic: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets in float64; DataError where one has too few patches, they differ in D, or a value is not finite."""
    for name, features in (("real", real), ("synthetic", synthetic)):
        if features.ndim != 2:
            raise DataError(f"{need.measure}: {name} features have the shape {tuple(features.shape)}; (N, D) is needed")
        enough(need, name, len(features))
        if not torch.isfinite(features).all():
            raise DataError(f"{need.measure}: {name} features hold values that are not finite")
    if real.shape[1] != synthetic.shape[1]:
        raise DataError(
            f"{need.measure}: real patches have {real.shape[1]} features and synthetic ones {synthetic.shape[1]}: "
            "both must come from the same space"
        )
    return real.double(), synthetic.double()


def enough(need: Need, name: str, count: int) -> None:
    """DataError where there are fewer patches than needed."""
    if count < need.patches:
        raise DataError(f"{need} {name} patches; there are {count}")


def standardised(real: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """All sets shifted and scaled as it takes for the real one to have mean 0 and deviation 1 in each feature.

    Features of different units then count alike. One that hardly ever varies is not blown up: no deviation counts as
    less than a thousandth of the largest.
    """
    deviation, mean = torch.std_mean(real.double(), dim=0, correction=min(1, len(real) - 1))
    scale = deviation.clamp(min=_DEAD * float(deviation.max()))
    scale[scale == 0] = 1
    return tuple((features.double() - mean) / scale for features in (real, *others))
