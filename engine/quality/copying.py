"""Whether synthetic patches are copies of training patches, in any of the eight orientations.

Distances are between pixels of thumbnails. Blurred patches are nearer to all others without being copies of one:
held-out PCam patches at an eighth of their resolution have a median distance 0.64 of what it was. A copy is much nearer
to one patch than to all others, which blur changes little of. That tells 9 in 10 copies from new patches through noise
of 15 grey levels, at a quarter of their resolution or moved by one pixel, 2 in 3 when they are darker by a tenth, and
hardly any when moved by two pixels; of new PCam patches it takes 2 to 4 in 1,000 for copies, blurred ones among them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.classifiers.augment import ORIENTATIONS, dihedral
from engine.quality.distances import PAIRS, squared_distances
from engine.quality.samples import Need, enough
from engine.spec.errors import DataError

QUANTILE = 0.05
_SIDE = 16
_BATCH = 1024
_MUCH_NEARER = 2 / 3
"""The ratio of the distances to the nearest and the second nearest below which the nearest is a match (Lowe 2004)."""


@dataclass(frozen=True, slots=True)
class Copying:
    """How much nearer to training patches synthetic ones are than held-out real ones."""

    matched: float
    """Of synthetic patches, those that are much nearer to one training patch than to all others."""
    matched_held_out: float
    near: float
    """Of synthetic patches, those nearer than a quantile of the held-out ones: that quantile if nothing is copied."""
    ratio: float
    """Median distance of synthetic patches over that of held-out ones; 0 for copies, about 1 without copying."""


def copying(synthetic: Tensor, held_out: Tensor, quantile: float = QUANTILE) -> Copying:
    """Compare distances to the two nearest training patches, of synthetic (N, 2) and of held-out real patches (M, 2).

    DataError where there are too few held-out patches for the quantile, or most of them are training patches.
    """
    enough(need(quantile), "held-out", len(held_out))
    enough(Need("copying", 1), "synthetic", len(synthetic))
    nearest, usual = synthetic[:, 0], float(held_out[:, 0].median())
    if usual == 0:
        raise DataError("most held-out patches are in the training set too: nothing can be told from them of copying")
    near = nearest < torch.quantile(held_out[:, 0], quantile)
    return Copying(_matched(synthetic), _matched(held_out), _share(near), float(nearest.median()) / usual)


def need(quantile: float = QUANTILE) -> Need:
    """With fewer held-out patches than this, none is below the quantile."""
    return Need(f"the {quantile:g}-quantile", math.ceil(1 / quantile))


def _matched(distances: Tensor) -> float:
    # A patch that is there twice is its own second nearest.
    return _share(distances[:, 0] < _MUCH_NEARER * distances[:, 1])


def _share(these: Tensor) -> float:
    return float(these.double().mean())


def distances_to(train: Tensor, patches: Tensor, pairs: int = PAIRS) -> Tensor:
    """Distances (N, 2) of patches (N, C, S, S) to the nearest two of `train` (M, C, S, S), each as near as it turns.

    Infinite where there is no second one. Of float64, a copy's is 0 to about a thousandth of a grey level.
    """
    references = train.flatten(1)
    turned = [
        dihedral(patches, torch.full((len(patches),), number, device=patches.device)).flatten(1)
        for number in range(ORIENTATIONS)
    ]
    found = patches.new_full((len(patches), 2), torch.inf)
    for blocks in zip(*(squared_distances(turn, references, pairs // ORIENTATIONS) for turn in turned), strict=True):
        rows, least = blocks[0]
        for _, block in blocks[1:]:
            least = torch.minimum(least, block)
        found[rows] = nearest_two(found[rows], least.sqrt())
    return found


def nearest_two(found: Tensor, distances: Tensor) -> Tensor:
    """The two least (N, 2) among those found (N, 2) and some more (N, M), in order."""
    return torch.cat((found, distances), dim=1).topk(2, dim=1, largest=False).values


def thumbnails(images: Tensor, side: int = _SIDE) -> Tensor:
    """Images (N, H, W, 3) uint8 as means over squares, (N, 3, side, side) float64 in 0..255.

    Sides of patches are divisible by 16. Fine grain, in which no two patches agree, is averaged out.
    """
    pooled = [F.adaptive_avg_pool2d(part.permute(0, 3, 1, 2).double(), side) for part in torch.split(images, _BATCH)]
    return torch.cat(pooled)
