"""Whether synthetic patches are copies of training patches, in any of the eight orientations.

Distances are between pixels: copies are found through noise, but few of them once moved by two pixels, and blurred
patches are nearer to all others without being copies. Held-out PCam patches at an eighth of their resolution have a
share of 0.12 where sharp ones have 0.05, and a ratio of 0.66.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.classifiers.augment import ORIENTATIONS, dihedral
from engine.quality.distances import nearest
from engine.quality.samples import enough
from engine.spec.errors import DataError

_SIDE = 16
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Copying:
    """How much nearer to training patches synthetic ones are than held-out real ones."""

    share: float
    """Of synthetic patches, those nearer than a quantile of the held-out ones: that quantile if nothing is copied."""
    ratio: float
    """Median distance of synthetic patches over that of held-out ones; 0 for copies, about 1 without copying."""


def copying(synthetic: Tensor, held_out: Tensor, quantile: float = 0.05) -> Copying:
    """Compare distances to the nearest training patch, of synthetic patches (N,) and of held-out real ones (M,).

    DataError where there are too few held-out patches for the quantile, or most of them are training patches.
    """
    enough(f"the {quantile:g}-quantile", math.ceil(1 / quantile), "held-out", len(held_out))
    enough("copying", 1, "synthetic", len(synthetic))
    usual = float(held_out.median())
    if usual == 0:
        raise DataError("most held-out patches are in the training set too: nothing can be told from them of copying")
    near = synthetic < torch.quantile(held_out, quantile)
    return Copying(float(near.double().mean()), float(synthetic.median()) / usual)


def distances_to(train: Tensor, patches: Tensor) -> Tensor:
    """Distances (N,) of patches (N, C, S, S) to the nearest of `train` (M, C, S, S) in any orientation."""
    references = train.flatten(1)
    distances = patches.new_full((len(patches),), torch.inf)
    for number in range(ORIENTATIONS):
        orientation = torch.full((len(patches),), number, device=patches.device)
        turned = dihedral(patches, orientation).flatten(1)
        distances = torch.minimum(distances, nearest(turned, references))
    return distances


def thumbnails(images: Tensor, side: int = _SIDE) -> Tensor:
    """Images (N, H, W, 3) uint8 as means over squares, (N, 3, side, side) float64 in 0..255.

    Sides of patches are divisible by 16. Fine grain, in which no two patches agree, is averaged out.
    """
    pooled = [F.adaptive_avg_pool2d(part.permute(0, 3, 1, 2).double(), side) for part in torch.split(images, _BATCH)]
    return torch.cat(pooled)
