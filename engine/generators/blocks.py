"""Layers that more than one generator uses: four stride-2 convolutions down, and four up."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 2
LEVELS = 4


def widths(channels: int) -> tuple[int, ...]:
    """Channels after each level: doubled every time."""
    return tuple(channels * 2**level for level in range(LEVELS))


def deepest_shape(channels: int, side: int) -> tuple[int, int, int]:
    """(C, H, W) after the four levels, for a side that is divisible by 16."""
    return widths(channels)[-1], side // 2**LEVELS, side // 2**LEVELS


def down(inputs: int, channels: int, norm: bool, activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Conv(4, stride 2, padding 1), norm, activation, four times: (B, inputs, S, S) to (B, 8·channels, S/16, S/16)."""
    layers: list[nn.Module] = []
    for outputs in widths(channels):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not norm)]
        layers += [nn.BatchNorm2d(outputs)] if norm else []
        layers += [activation()]
        inputs = outputs
    return nn.Sequential(*layers)


def up(channels: int, activation: Callable[[], nn.Module], last: nn.Module) -> nn.Sequential:
    """The mirror of `down` with transposed convolutions: (B, 8·channels, S/16, S/16) to (B, 3, S, S)."""
    layers: list[nn.Module] = []
    *inner, inputs = widths(channels)
    for outputs in reversed(inner):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), activation()]
        inputs = outputs
    return nn.Sequential(*layers, nn.ConvTranspose2d(inputs, 3, 4, 2, 1), last)


def one_hot(labels: Tensor) -> Tensor:
    """(B,) int64 as (B, CLASSES) float32."""
    return F.one_hot(labels, CLASSES).float()


def label_planes(labels: Tensor, side: int) -> Tensor:
    """One plane per class, ones on the patch's own: (B, CLASSES, side, side)."""
    return one_hot(labels)[:, :, None, None].expand(-1, -1, side, side)


def normal(count: int, size: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal draws of the CPU generator, (count, size), on the device."""
    return torch.randn(count, size, generator=rng).to(device)
