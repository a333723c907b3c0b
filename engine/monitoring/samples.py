"""Samples: patches of a generator in training, for all who look at them after an epoch."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.batches import in_order, to_bytes, to_float
from engine.context import Context
from engine.data.patches import PatchSet
from engine.generators.base import Generator
from engine.progress import Report, silent
from engine.randomness import generator as rng_at
from engine.randomness import permutation
from engine.spec.failpoints import Act, reach

_FIT_BATCH: Final = 256
_FITTED_FOR_A_LOOK: Final = 2048
"""Patches that what is fitted at once sees before samples are looked at: enough to look at."""


@torch.no_grad()
def fit(context: Context, stage: str, model: Generator, patches: PatchSet, report: Report) -> None:
    """Let a generator compute what takes all of these patches at once."""

    def passes() -> Iterator[tuple[Tensor, Tensor]]:
        labels = torch.from_numpy(patches.own_labels.astype(np.int64)).to(context.device)
        for start, images in in_order(patches, _FIT_BATCH, context.device):
            report("fitting", start, len(patches))
            context.stop.raise_if_requested()
            yield to_float(images), labels[start : start + len(images)]

    model.eval()
    reach(Act.FIT)
    model.fit(passes, rng_at(context.config.seed, stage, "fit"))


class Samples:
    """Draws from a generator as it is after an epoch; what it computes at once is computed once for all who draw.

    Nothing here reaches the weights in training, and the next step draws from a seed of its own.
    """

    def __init__(self, context: Context, stage: str, generator: Generator, patches: PatchSet) -> None:
        self.generator = generator
        self._context, self._stage, self._fitted_after = context, stage, 0
        order = permutation(len(patches), context.config.seed, "grid fit")
        self._some = patches.select(np.sort(_first(order, patches.own_labels, generator.fewest)))

    def after(self, epoch: int) -> None:
        """Make the generator ready for draws after this epoch, counted from 1. Raises Stopped where that was asked."""
        if self._fitted_after != epoch:
            fit(self._context, self._stage, self.generator, self._some, silent)
            self._fitted_after = epoch

    @torch.no_grad()
    def draw(self, labels: NDArray[np.int64], rng: torch.Generator) -> NDArray[np.uint8]:
        """A patch for each label (N,), (N, H, W, 3). Raises Stopped where that was asked."""
        self.generator.eval()
        size, chunks = self._context.config.synthesis.batch_size, []
        for start in range(0, len(labels), size):
            self._context.stop.raise_if_requested()
            chunk = torch.from_numpy(labels[start : start + size]).to(self._context.device)
            chunks.append(to_bytes(self.generator.sample(chunk, rng)).cpu().numpy())
        patches: NDArray[np.uint8] = np.concatenate(chunks)
        return patches

    @torch.no_grad()
    def reconstruct(self, labels: NDArray[np.int64], rng: torch.Generator) -> NDArray[np.uint8]:
        """Real patches of these classes through an autoencoder and back, (N, H, W, 3)."""
        self.generator.eval()
        on_device = torch.from_numpy(labels).to(self._context.device)
        made = to_bytes(self.generator.reconstruct(self._real(labels), on_device, rng)).cpu().numpy()
        patches: NDArray[np.uint8] = made
        return patches

    def _real(self, labels: NDArray[np.int64]) -> Tensor:
        """Real patches of these classes, the first of each again where they are few, (N, 3, H, W) in [-1, 1]."""
        own = [np.flatnonzero(self._some.own_labels == label) for label in (0, 1)]
        rows = [own[label][place % len(own[label])] for place, label in enumerate(labels)]
        images = self._some.images[self._some.rows[rows]]
        return to_float(torch.from_numpy(images).to(self._context.device))


def _first(order: NDArray[np.int64], labels: NDArray[np.uint8], fewest: int) -> NDArray[np.int64]:
    """The first of an order, enough to look at, and more where a class would have fewer than so many."""
    wanted = np.arange(len(order)) < _FITTED_FOR_A_LOOK
    for label in (0, 1):
        wanted[np.flatnonzero(labels[order] == label)[:fewest]] = True
    return order[wanted]
