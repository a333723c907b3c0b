"""Randomness as a function of where it is needed, so that nothing about it has to be saved to resume a run."""

import numpy as np
import torch
from numpy.typing import NDArray

_MASK = 2**64 - 1


def mix(*parts: int | str) -> int:
    """A 63-bit seed for one use of randomness, such as (run seed, stage, step). SplitMix64 (Steele et al. 2014)."""
    state = 0
    for part in parts:
        number = part if isinstance(part, int) else int.from_bytes(part.encode(), "little")
        state = _scramble((state ^ (number & _MASK)) + 0x9E3779B97F4A7C15 & _MASK)
    return state >> 1


def permutation(size: int, *parts: int | str) -> NDArray[np.int64]:
    """A shuffle of range(size) that depends on these parts alone, (size,) int64."""
    return np.random.Generator(np.random.Philox(mix(*parts))).permutation(size)


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator that starts at these parts: the same draws on every device."""
    return torch.Generator().manual_seed(mix(*parts))


def seed_torch(device: torch.device, *parts: int | str) -> None:
    """Start PyTorch's own generator of this device at these parts."""
    seed = mix(*parts)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    # torch.manual_seed reaches every backend and takes ten times as long.
    torch.default_generator.manual_seed(seed)


def _scramble(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31
