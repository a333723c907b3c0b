"""Euclidean distances between sets too large for a table of all pairs."""

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

PAIRS: Final = 2**24
"""Distances held at once: 128 MiB of float64."""


def squared_distances(left: Tensor, right: Tensor, pairs: int = PAIRS) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows of `left` (N, D) and their squared distances (B, M) to all of `right` (M, D)."""
    # |a|² - 2ab + |b|² cancels least where both are small.
    centre = right.mean(0)
    left, right = left - centre, right - centre
    lengths, height = right.square().sum(1), max(1, pairs // len(right))
    for start in range(0, len(left), height):
        rows = slice(start, min(start + height, len(left)))
        block = torch.addmm(lengths, left[rows], right.mT, alpha=-2)
        yield rows, block.add_(left[rows].square().sum(1, keepdim=True)).clamp_(min=0)


def squared_radii(features: Tensor, k: int, pairs: int = PAIRS) -> Tensor:
    """Of each of the features (N, D) the squared distance to its k-th nearest other one, (N,)."""
    radii = features.new_empty(len(features))
    for rows, block in squared_distances(features, features, pairs):
        block.diagonal(rows.start).fill_(torch.inf)
        # On CUDA the k-th value itself is not found in a deterministic way.
        radii[rows] = block.topk(k, dim=1, largest=False).values[:, -1]
    return radii
