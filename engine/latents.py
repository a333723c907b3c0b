"""Latents of all training patches, and batches of them: what a prior over latents is trained on."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.batches import in_order, require_a_batch, to_float
from engine.classifiers.augment import ORIENTATIONS, dihedral
from engine.data.patches import PatchSet
from engine.generators.base import LatentGenerator
from engine.progress import Report
from engine.randomness import generator, permutation
from engine.spec.failpoints import Act, reach

BATCH_SIZE: Final = "generator.latent_prior.batch_size"
"""The field that says how large its batches are."""
_ENCODE_BATCH = 256


@torch.no_grad()
def latents_of(model: LatentGenerator, patches: PatchSet, flips: bool, device: torch.device, report: Report) -> Tensor:
    """Latents of every patch in each of its orientations, or the one it has: (V, N, ...) in host memory."""
    model.eval()
    views = ORIENTATIONS if flips else 1
    labels = torch.from_numpy(patches.own_labels.astype(np.int64)).to(device)
    found: list[Tensor] = []
    for start, images in in_order(patches, _ENCODE_BATCH, device):
        report("encoding", start, len(patches))
        reach(Act.ENCODE)
        batch, own = to_float(images), labels[start : start + len(images)]
        turned = (dihedral(batch, torch.full_like(own, view)) for view in range(views))
        found.append(torch.stack([model.latents(each, own).cpu() for each in turned]))
    report("encoding", len(patches), len(patches))
    return torch.cat(found, dim=1)


class LatentBatches:
    """Shuffled batches of latents without end; every epoch sees each patch at most once, in one of its views."""

    def __init__(
        self, latents: Tensor, labels: NDArray[np.uint8], batch_size: int, seed: int, device: torch.device
    ) -> None:
        """`latents` (V, N, ...) of N patches with `labels` (N,)."""
        require_a_batch(len(labels), batch_size, BATCH_SIZE)
        self.steps_per_epoch, self.batch_size = len(labels) // batch_size, batch_size
        self._latents, self._seed, self._device = latents, seed, device
        self._labels = torch.from_numpy(labels.astype(np.int64))
        self._epoch = -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)
        self._views = torch.empty(0, dtype=torch.int64)

    def positions(self, step: int) -> NDArray[np.int64]:
        """Which patches step `step` (from 0) is made of, (batch_size,) int64."""
        return self._order[self._place(step)]

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Latents (B, ...) and labels (B,) int64 of one step, on the device."""
        place = self._place(step)
        rows = torch.from_numpy(self._order[place])
        latents = self._latents[self._views[place], rows]
        return latents.to(self._device), self._labels[rows].to(self._device)

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every latent of every view once, with its label."""
        for view in self._latents:
            for start in range(0, len(self._labels), _ENCODE_BATCH):
                rows = slice(start, start + _ENCODE_BATCH)
                yield view[rows].to(self._device), self._labels[rows].to(self._device)

    def _place(self, step: int) -> slice:
        epoch, offset = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            size = len(self._labels)
            self._order, self._epoch = permutation(size, self._seed, "order", epoch), epoch
            rng = generator(self._seed, "views", epoch)
            self._views = torch.randint(0, len(self._latents), (size,), generator=rng)
        return slice(offset * self.batch_size, (offset + 1) * self.batch_size)
