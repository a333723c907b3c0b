"""Batches of packed patches: batch k is a function of (seed, k), so a run resumes without a sampler's state."""

import warnings
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.patches import Patches
from engine.randomness import permutation
from engine.spec.errors import ConfigError

DEVICE_SHARE = 0.5
"""Share of the free device memory that patches may take."""


class Gather(Protocol):
    """Patches at some positions as (N, H, W, 3) uint8 on the device; a batch is valid until the next is asked for."""

    def __call__(self, host: NDArray[np.int64], device: Tensor) -> Tensor:
        """The positions come twice, in host memory and on the device, so that no way has to copy or to wait."""


class PatchReader:
    """Copies patches from their memory maps, eight bytes at a time: torch copies rows of words in parallel."""

    def __init__(self, patches: Patches) -> None:
        self.side = patches.side
        self._words = [_words(part.images) for part in patches.parts]
        self._rows = [torch.from_numpy(part.rows) for part in patches.parts]

    def read(self, where: Tensor, words: Tensor) -> None:
        """Copy the patches at positions (B,) int64 into a buffer seen `as_words`, both in host memory."""
        if len(self._words) == 1:
            torch.index_select(self._words[0], 0, self._rows[0].index_select(0, where), out=words)
            return
        start = 0
        for part, rows in zip(self._words, self._rows, strict=True):
            mine = (where >= start) & (where < start + len(rows))
            words[mine] = part[rows[where[mine] - start]]
            start += len(rows)


def _words(images: NDArray[np.uint8]) -> Tensor:
    with warnings.catch_warnings():
        # torch has no read-only tensors and warns of a read-only map; nothing here writes to it.
        warnings.simplefilter("ignore", UserWarning)
        return as_words(torch.from_numpy(images))


def as_words(images: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 as (N, H·W·3/8) int64; sides are divisible by 16."""
    return images.view(len(images), -1).view(torch.int64)


class HostGather:
    """Copies from the memory map into one buffer that every batch reuses."""

    def __init__(self, patches: Patches, batch_size: int) -> None:
        self._reader = PatchReader(patches)
        self._buffer = torch.empty((batch_size, patches.side, patches.side, 3), dtype=torch.uint8)
        self._words = as_words(self._buffer)

    def __call__(self, host: NDArray[np.int64], device: Tensor) -> Tensor:
        self._reader.read(device, self._words[: len(host)])
        return self._buffer[: len(host)]


class PinnedGather:
    """Copies from the memory map into two page-locked buffers in turn and from there to the device, without waiting."""

    def __init__(self, patches: Patches, batch_size: int, device: torch.device) -> None:
        self._reader, self._device, self._turn = PatchReader(patches), device, 0
        shape = (batch_size, patches.side, patches.side, 3)
        self._buffers = [torch.empty(shape, dtype=torch.uint8, pin_memory=True) for _ in range(2)]
        self._copied = [torch.cuda.Event() for _ in range(2)]  # type: ignore[no-untyped-call]

    def __call__(self, host: NDArray[np.int64], device: Tensor) -> Tensor:
        self._turn = 1 - self._turn
        copied, buffer = self._copied[self._turn], self._buffers[self._turn][: len(host)]
        copied.synchronize()
        self._reader.read(torch.from_numpy(host), as_words(buffer))
        batch = buffer.to(self._device, non_blocking=True)
        copied.record()
        return batch


class DeviceGather:
    """Selects from patches that lie on the device whole."""

    def __init__(self, patches: Patches, device: torch.device) -> None:
        self._images = torch.empty((len(patches), patches.side, patches.side, 3), dtype=torch.uint8, device=device)
        reader = PatchReader(patches)
        for positions in np.array_split(np.arange(len(patches)), max(1, len(patches) // 4096)):
            chunk = torch.empty((len(positions), patches.side, patches.side, 3), dtype=torch.uint8)
            reader.read(torch.from_numpy(positions), as_words(chunk))
            self._images[positions[0] : positions[-1] + 1] = chunk.to(device)

    def __call__(self, host: NDArray[np.int64], device: Tensor) -> Tensor:
        return self._images.index_select(0, device)


def gather_for(patches: Patches, batch_size: int, device: torch.device) -> Gather:
    """The fastest way from these patches to this device that fits its memory."""
    if device.type != "cuda":
        return HostGather(patches, batch_size)
    # What an earlier stage has freed is still held by the allocator and would not count as free.
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    if len(patches) * patches.side**2 * 3 <= free * DEVICE_SHARE:
        return DeviceGather(patches, device)
    return PinnedGather(patches, batch_size, device)


class Batches(Protocol):
    """What a model is trained on, step by step."""

    steps_per_epoch: int
    batch_size: int

    def positions(self, step: int) -> NDArray[np.int64]:
        """Which patches step `step` (from 0) is made of, (batch_size,) int64."""

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """What the model sees of them (B, ...) and their labels (B,) int64, on the device."""


def require_a_batch(patches: int, batch_size: int, setting: str) -> None:
    """ConfigError where so many training patches do not fill one batch; `setting` is the field that says its size."""
    if patches < batch_size:
        raise ConfigError(
            f"{patches} training patches are fewer than one batch of {batch_size}: set {setting} to at most {patches}"
        )


class TrainingBatches:
    """Shuffled batches without end; every epoch sees each patch at most once and leaves out what fills no batch."""

    def __init__(
        self, patches: Patches, batch_size: int, seed: int, device: torch.device, setting: str = "batch_size"
    ) -> None:
        require_a_batch(len(patches), batch_size, setting)
        self.steps_per_epoch = len(patches) // batch_size
        self.batch_size = batch_size
        self._size, self._seed = len(patches), seed
        self._gather = gather_for(patches, batch_size, device)
        self._labels = torch.from_numpy(patches.own_labels.astype(np.int64)).to(device)
        self._epoch = -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)
        self._order_on_device = torch.empty(0, dtype=torch.int64, device=device)
        self._floats = torch.empty((batch_size, patches.side, patches.side, 3), device=device)

    def positions(self, step: int) -> NDArray[np.int64]:
        """Which patches step `step` (from 0) is made of, (batch_size,) int64."""
        place = self._place(step)
        return self._order[place]

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) float32 in [-1, 1] and labels (B,) int64 of one step, on the device.

        The images are valid until those of another step are asked for.
        """
        place = self._place(step)
        on_device = self._order_on_device[place]
        images = to_float(self._gather(self._order[place], on_device), self._floats)
        return images, self._labels.index_select(0, on_device)

    def _place(self, step: int) -> slice:
        """Where a step's positions lie in the order of its epoch, which is made here as it begins."""
        epoch, offset = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = permutation(self._size, self._seed, "order", epoch), epoch
            self._order_on_device = torch.from_numpy(self._order).to(self._labels.device)
        return slice(offset * self.batch_size, (offset + 1) * self.batch_size)


def in_order(patches: Patches, batch_size: int, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    """Every patch once: the position of each batch's first patch, and its images (B, H, W, 3) uint8 on the device."""
    gather = PinnedGather(patches, batch_size, device) if device.type == "cuda" else HostGather(patches, batch_size)
    for start in range(0, len(patches), batch_size):
        positions = np.arange(start, min(start + batch_size, len(patches)))
        yield start, gather(positions, torch.from_numpy(positions))


def to_float(images: Tensor, out: Tensor | None = None) -> Tensor:
    """(B, H, W, 3) uint8 bytes as (B, 3, H, W) float32 in [-1, 1], channels last in memory: that of `out`, if given."""
    floats = torch.empty(images.shape, device=images.device) if out is None else out
    # One pass to convert, one to scale, over memory that the caches still hold.
    floats.copy_(images)
    torch.add(torch.full((), -1.0, device=images.device), floats, alpha=2 / 255, out=floats)
    return floats.permute(0, 3, 1, 2)


def to_bytes(images: Tensor) -> Tensor:
    """(B, 3, H, W) floats in [-1, 1] as (B, H, W, 3) uint8; what lies outside is clamped, never wrapped."""
    return images.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
