"""All measures of one space side by side, and the floor that real patches themselves set."""

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from engine.metrics import AucInterval
from engine.quality.detector import detector_auc
from engine.quality.frechet import frechet_distance
from engine.quality.kernel import KernelDistance, kernel_distance
from engine.quality.neighbours import Neighbours, neighbours
from engine.quality.samples import halves, shuffled, standardised

_SUBSET = 1000


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How near two sets of patches are to each other. Values depend on their numbers, which belong beside them."""

    real: int
    synthetic: int
    frechet: float
    kernel: KernelDistance
    neighbours: Neighbours
    detector: AucInterval


@dataclass(frozen=True, slots=True)
class BesideFloor:
    """The measures of synthetic patches, and of as many other real ones in their place."""

    synthetic: Fidelity
    floor: Fidelity


def fidelity(real: Tensor, synthetic: Tensor, seed: int, k: int = 5) -> Fidelity:
    """Every measure between features (N, D) and (M, D), each feature in units of its deviation over the real ones.

    DataError where there are too few patches for one of them.
    """
    real, synthetic = standardised(real, synthetic)
    # Subsets of all patches would all be the same one, and tell nothing of the error.
    size = max(2, min(_SUBSET, len(real) // 2, len(synthetic) // 2))
    return Fidelity(
        real=len(real),
        synthetic=len(synthetic),
        frechet=frechet_distance(real, synthetic),
        kernel=kernel_distance(real, synthetic, seed, size=size),
        neighbours=neighbours(real, synthetic, k),
        detector=detector_auc(real, synthetic, seed),
    )


def beside_floor(real: Tensor, synthetic: Tensor, seed: int, k: int = 5) -> BesideFloor:
    """Half of the real patches against the synthetic ones and against the other half, equally many of all three."""
    reference, others = halves(real, seed)
    count = min(len(reference), len(synthetic))
    against = partial(fidelity, reference[:count], seed=seed, k=k)
    return BesideFloor(synthetic=against(shuffled(synthetic, seed)[:count]), floor=against(others[:count]))
