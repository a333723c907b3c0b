"""The kernel distance between two sets of features: unbiased, whatever their number."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.quality.samples import Need, checked
from engine.randomness import permutation


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """A mean over subsets, and its standard error as if these shared no patches: they do, so it is a lower bound."""

    mean: float
    error: float


def kernel_distance(real: Tensor, synthetic: Tensor, seed: int, subsets: int = 100, size: int = 1000) -> KernelDistance:
    """The squared maximum mean discrepancy of Bińkowski et al. (2018) between features (N, D) and (M, D).

    The mean over `subsets`, at least two, of `size` patches each, drawn without repetition by the seed. It may come
    out below zero: the estimate is unbiased, and zero is its mean where nothing differs. DataError where a set has
    fewer than `size` patches.
    """
    if size < 2 or subsets < 2:
        raise ValueError("two subsets of two patches are the least")
    real, synthetic = checked(Need(f"the kernel distance over subsets of {size}", size), real, synthetic)
    values = np.array(
        [
            discrepancy(_subset(real, size, seed, "real", turn), _subset(synthetic, size, seed, "synthetic", turn))
            for turn in range(subsets)
        ]
    )
    return KernelDistance(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(subsets))


def discrepancy(real: Tensor, synthetic: Tensor) -> float:
    """The unbiased estimate of the squared MMD with the kernel (xy / D + 1)³ (Gretton et al. 2012, lemma 6)."""
    between = _kernel(real, synthetic).mean()
    return float(_mean_of_pairs(_kernel(real, real)) + _mean_of_pairs(_kernel(synthetic, synthetic)) - 2 * between)


def _subset(features: Tensor, size: int, *seed: int | str) -> Tensor:
    return features[torch.from_numpy(permutation(len(features), *seed)[:size]).to(features.device)]


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    return torch.addmm(left.new_ones(()), left / left.shape[1], right.mT).pow_(3)


def _mean_of_pairs(kernel: Tensor) -> Tensor:
    """The mean of a square table without its diagonal, which would count each patch as its own neighbour."""
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))
