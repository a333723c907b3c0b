"""All measures of one space side by side."""

from dataclasses import asdict, dataclass

from torch import Tensor

from engine.quality import detector, frechet
from engine.quality import neighbours as neighbourhood
from engine.quality.detector import detector_auc
from engine.quality.frechet import frechet_distance
from engine.quality.kernel import kernel_distance
from engine.quality.neighbours import neighbours
from engine.quality.samples import Need, standardised
from engine.spec.errors import DataError
from engine.spec.quality import Measures

_SUBSET, _SUBSETS = 1000, 50


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What was measured between two sets of patches, and what there are too few of them for."""

    measures: Measures
    left_out: tuple[str, ...]


def fidelity(real: Tensor, synthetic: Tensor, seed: int, k: int = 5) -> Fidelity:
    """Every measure between features (N, D) and (M, D), each feature in units of its deviation over the real ones."""
    real, synthetic = standardised(real, synthetic)
    values: dict[str, float] = {}
    left_out = []
    for measure in (_frechet, _kernel, _neighbours, _detector):
        try:
            values |= measure(real, synthetic, seed, k)
        except DataError as error:
            left_out.append(str(error))
    return Fidelity(Measures(**values), tuple(left_out))


def needs(features: int, k: int = 5) -> tuple[Need, ...]:
    """How many patches of each set the measures need, with so many features of each."""
    return frechet.need(features), neighbourhood.need(k), detector.need()


def _frechet(real: Tensor, synthetic: Tensor, _: int, __: int) -> dict[str, float]:
    return {"frechet": frechet_distance(real, synthetic)}


def _kernel(real: Tensor, synthetic: Tensor, seed: int, _: int) -> dict[str, float]:
    # Subsets of all patches would all be the same one, and tell nothing of the error.
    size = max(2, min(_SUBSET, len(real) // 2, len(synthetic) // 2))
    distance = kernel_distance(real, synthetic, seed, _SUBSETS, size)
    return {"kernel": distance.mean, "kernel_error": distance.error}


def _neighbours(real: Tensor, synthetic: Tensor, _: int, k: int) -> dict[str, float]:
    return asdict(neighbours(real, synthetic, k))


def _detector(real: Tensor, synthetic: Tensor, seed: int, _: int) -> dict[str, float]:
    found = detector_auc(real, synthetic, seed)
    return {"detector_auc": found.auc, "detector_low": found.low, "detector_high": found.high}
