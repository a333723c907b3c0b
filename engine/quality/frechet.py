"""The Fréchet distance between two sets of features, each taken for a Gaussian."""

import math

import torch
from torch import Tensor

from engine.quality.samples import Need, checked


def frechet_distance(real: Tensor, synthetic: Tensor) -> float:
    """|μ - ν|² + tr(S + T - 2 (S T)^½) of features (N, D) and (M, D), as Heusel et al. (2017) define it.

    It is the square of a distance and has its unit. Smaller samples give larger values: compare it between equal
    numbers only. DataError for fewer than D + 1 patches, whose covariance is singular whatever they are.

    With centred features A and B, S = AᵀA and T = BᵀB, tr (S T)^½ is the sum of the singular values of A Bᵀ, and so of
    those of the triangles of their QR decompositions. Unlike a square root of a matrix that asks nothing of S and T:
    features that never vary, or depend on each other, are handled as all others, and of equal sets the distance is 0.
    """
    real, synthetic = checked(need(real.shape[-1]), real, synthetic)
    shift = real.mean(0) - synthetic.mean(0)
    one, other = _root(real), _root(synthetic)
    overlap = torch.linalg.svdvals(one @ other.mT).sum()
    distance = shift.square().sum() + one.square().sum() + other.square().sum() - 2 * overlap
    return max(0.0, float(distance))


def need(features: int) -> Need:
    """Fewer patches than this have a singular covariance."""
    return Need("the Fréchet distance", features + 1)


def _root(features: Tensor) -> Tensor:
    """A triangle R (D, D) whose RᵀR is the covariance of the features."""
    centred = (features - features.mean(0)) / math.sqrt(len(features) - 1)
    root: Tensor = torch.linalg.qr(centred, mode="r").R
    return root
