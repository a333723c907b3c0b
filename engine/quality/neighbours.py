"""Precision, recall, density and coverage: whether each set lies within the other, told by nearest neighbours."""

from dataclasses import dataclass

from torch import Tensor

from engine.quality.distances import squared_distances, squared_radii
from engine.quality.samples import Need, checked


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Precision, recall and coverage are shares in 0..1; density is about 1 for samples of the real distribution."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighbours(real: Tensor, synthetic: Tensor, k: int = 5) -> Neighbours:
    """How features (N, D) and (M, D) lie within each other's balls, which reach each patch's k-th nearest of its set.

    Precision is the share of synthetic patches within a real patch's ball, recall that of real patches within a
    synthetic one's (Kynkäänniemi et al. 2019); density counts the real balls around a synthetic patch in units of k,
    coverage is the share of real balls with a synthetic patch in them (Naeem et al. 2020). A ball's rim belongs to it,
    as in the first paper; the second one's code leaves it out, which matters for equal patches only. Values depend on
    N and M. DataError for fewer than k + 1 patches.
    """
    real, synthetic = checked(need(k), real, synthetic)
    real_radii, synthetic_radii = squared_radii(real, k), squared_radii(synthetic, k)
    around = real.new_zeros(len(synthetic))
    covered = real_radii < 0
    recalled = covered.clone()
    for rows, distances in squared_distances(synthetic, real):
        within = distances <= real_radii
        around[rows] = within.sum(1).double()
        covered |= within.any(0)
        recalled |= (distances <= synthetic_radii[rows, None]).any(0)
    return Neighbours(
        precision=float((around > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(around.mean() / k),
        coverage=float(covered.double().mean()),
    )


def need(k: int) -> Need:
    """Fewer patches than this have no k-th neighbour."""
    return Need(f"nearest neighbours with k = {k}", k + 1)
