"""A small class-conditional U-Net: images, and how noisy they are, to images of the same shape."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.generators.blocks import CLASSES, one_hot

_MULTIPLIERS = (1, 2, 2)
"""Channels of each level, in base channels; attention is at the last."""
_HEAD = 64
"""Channels of an attention head, where there are that many."""
_WAVES = 16


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) with the residual blocks of Dhariwal & Nichol (2021) at three levels.

    Blocks of pixels become channels before the first level (Hoogeboom et al. 2023), for a quarter of the cost or less.
    Against the usual network a level has as many blocks on its way up as on its way down, attention is at the lowest
    alone, and sides are halved and doubled by 2x2 convolutions that do not overlap: they are cheap, and their gradients
    are the same in every run.
    """

    def __init__(self, channels: int, blocks: int, unshuffle: int, dropout: float) -> None:
        super().__init__()
        self._unshuffle = unshuffle
        conditions, folded = 4 * channels, 3 * unshuffle**2
        self.condition = _Condition(conditions)
        self.first = nn.Conv2d(folded, channels, 3, padding=1)
        self.level = _Level([channels * multiplier for multiplier in _MULTIPLIERS], blocks, conditions, dropout)
        self.norm = _AdaptiveNorm(channels, conditions)
        self.last = nn.Conv2d(channels, folded, 3, padding=1)

    def forward(self, images: Tensor, noise: Tensor, labels: Tensor) -> Tensor:
        """Images (B, 3, S, S), a measure of their noise of order 1 (B,) and labels (B,) to (B, 3, S, S)."""
        condition = self.condition(noise, labels)
        x = self.first(F.pixel_unshuffle(images, self._unshuffle))
        x = self.norm(self.level(x, condition), condition)
        return F.pixel_shuffle(self.last(F.silu(x)), self._unshuffle)


class _Condition(nn.Module):
    """Noise, as waves of many lengths (Vaswani et al. 2017), and label in one vector (B, size)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.from_noise = nn.Linear(2 * _WAVES, size)
        self.from_label = nn.Linear(CLASSES, size)
        self.mix = nn.Linear(size, size)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        angles = noise[:, None] * torch.logspace(-2, 4, _WAVES, base=2.0, device=noise.device)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
        hidden = F.silu(self.from_noise(waves) + self.from_label(one_hot(labels)))
        return F.silu(self.mix(hidden))


class _Level(nn.Module):
    """Blocks on the way down, all narrower levels, and blocks on the way up, each given what its partner made."""

    def __init__(self, widths: list[int], blocks: int, conditions: int, dropout: float) -> None:
        super().__init__()
        width, *narrower = widths
        attention = not narrower
        self.down = nn.ModuleList(_Block(width, width, conditions, dropout, attention) for _ in range(blocks))
        self.inner = (
            _Between(widths, blocks, conditions, dropout)
            if narrower
            else _Block(width, width, conditions, dropout, attention)
        )
        self.up = nn.ModuleList(_Block(2 * width, width, conditions, dropout, attention) for _ in range(blocks))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        made = []
        for block in self.down:
            x = block(x, condition)
            made.append(x)
        x = self.inner(x, condition)
        for block in self.up:
            x = block(torch.cat([x, made.pop()], dim=1), condition)
        return x


class _Between(nn.Module):
    """All levels below the first of `widths`, at half its side."""

    def __init__(self, widths: list[int], blocks: int, conditions: int, dropout: float) -> None:
        super().__init__()
        width, *narrower = widths
        self.shrink = nn.Conv2d(width, narrower[0], 2, 2)
        self.level = _Level(narrower, blocks, conditions, dropout)
        self.grow = nn.ConvTranspose2d(narrower[0], width, 2, 2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        grown: Tensor = self.grow(self.level(self.shrink(x), condition))
        return grown


class _Block(nn.Module):
    """A residual block (B, inputs, S, S) to (B, outputs, S, S); it adds nothing before it has learned."""

    def __init__(self, inputs: int, outputs: int, conditions: int, dropout: float, attention: bool) -> None:
        super().__init__()
        self.norm = _group_norm(inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.adapt = _AdaptiveNorm(outputs, conditions)
        self.drop = nn.Dropout(dropout)
        self.second = _zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.straight = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.attention = _Attention(outputs) if attention else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        hidden = self.first(F.silu(self.norm(x)))
        hidden = self.second(self.drop(F.silu(self.adapt(hidden, condition))))
        output: Tensor = self.attention(self.straight(x) + hidden)
        return output


class _AdaptiveNorm(nn.Module):
    """Group normalisation whose gain and offset follow the condition."""

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__()
        self.norm = _group_norm(channels)
        self.affine = nn.Linear(conditions, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, offset = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(offset, self.norm(x), 1 + gain)


class _Attention(nn.Module):
    """Self-attention over all positions, added to what it attends to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._heads = max(1, channels // _HEAD) if channels % _HEAD == 0 else 1
        self.norm = _group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = _zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm(x)).flatten(2).view(batch, 3, self._heads, channels // self._heads, height * width)
        q, k, v = qkv.transpose(3, 4).unbind(1)
        attended = F.scaled_dot_product_attention(q, k, v)
        projected: Tensor = self.project(attended.transpose(2, 3).reshape(batch, channels, height, width))
        return x + projected


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, 8), channels)


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with all weights zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
