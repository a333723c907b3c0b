"""Residual networks of a GAN: labels and latents to images, and images with labels to scores."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from engine.generators.blocks import CLASSES, LEVELS, one_hot

_FOLD = 2
"""Side of the blocks of pixels that are channels at either end of the networks."""
_DOUBLED = LEVELS - 1
"""Levels between those ends and the smallest side, a 16th of the image's."""
_FAINT = 0.2
"""Gain of the last layers at the start, so that images are grey and not black and white, and scores near zero."""
_FIRST_ITERATIONS = 15


class ResidualGenerator(nn.Module):
    """Standard normal z (B, latent_size) and labels (B,) to images (B, 3, S, S) in [-1, 1].

    Residual blocks (He et al. 2016) double the side. The gain and offset of their norms follow the first
    `latent_dim` of z and the label (self-modulation, Chen et al. 2019); the others are noise, place by place, for each
    block (Karras et al. 2019), so that where a nucleus lies does not have to be told by the former. Nothing mixes the
    images of a batch: a sample is the same alone and among others.
    """

    def __init__(self, latent_dim: int, channels: int, side: int) -> None:
        super().__init__()
        widths = [channels * 2**level for level in reversed(range(_DOUBLED + 1))]
        conditions, self._side = latent_dim + CLASSES, side // 2**LEVELS
        self._parts = [latent_dim, *((self._side * 2**level) ** 2 for level in range(1, _DOUBLED + 1))]
        self.latent_size = sum(self._parts)
        self.first = nn.Linear(conditions, widths[0] * self._side**2)
        self.blocks = nn.ModuleList(
            _UpBlock(inputs, outputs, conditions, self._side * 2**level)
            for level, (inputs, outputs) in enumerate(pairwise(widths))
        )
        self.norm = _ModulatedNorm(channels, conditions)
        self.enlarge = Doubled(side // _FOLD)
        self.last = nn.Conv2d(channels, 3, 3, padding=1)
        _start(self)
        nn.init.xavier_uniform_(self.last.weight, _FAINT)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        style, *noises = torch.split(z, self._parts, dim=1)
        condition = torch.cat([style, one_hot(labels)], dim=1)
        x = self.first(condition).view(len(z), -1, self._side, self._side)
        for block, noise in zip(self.blocks, noises, strict=True):
            x = block(x, condition, noise)
        x = F.relu(self.norm(x, condition))
        images: Tensor = self.last(self.enlarge(x))
        return images.tanh()


class ProjectionDiscriminator(nn.Module):
    """Images (B, 3, S, S) and labels (B,) to one score each, ψ(φ(x)) + ⟨v_y, φ(x)⟩ (Miyato & Koyama 2018, equation 3).

    φ sums over positions what residual blocks that halve the side make of blocks of 2x2 pixels, and nothing in it is
    normalised over a batch. With `spectral` each layer's weights have a largest singular value of 1.
    """

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(_DOUBLED + 1)]
        self.first = nn.Conv2d(3 * _FOLD**2, channels, 3, padding=1)
        self.blocks = nn.Sequential(
            *(_DownBlock(inputs, outputs, 2) for inputs, outputs in pairwise(widths)),
            _DownBlock(widths[-1], widths[-1], 1),
        )
        self.score = nn.Linear(widths[-1], 1)
        self.of_class = nn.Embedding(CLASSES, widths[-1])
        _start(self)
        for layer in (self.score, self.of_class):
            nn.init.xavier_uniform_(layer.weight, _FAINT)
        if spectral:
            normalise_spectra(self)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        features = F.relu(self.blocks(self.first(F.pixel_unshuffle(images, _FOLD)))).sum((2, 3))
        scores: Tensor = self.score(features).squeeze(1) + (self.of_class(labels) * features).sum(1)
        return scores.float()


class _UpBlock(nn.Module):
    """(B, inputs, S, S) and noise (B, 4S²) to (B, outputs, 2S, 2S)."""

    def __init__(self, inputs: int, outputs: int, conditions: int, side: int) -> None:
        super().__init__()
        self.enlarge = Doubled(side)
        self.norm1, self.norm2 = _ModulatedNorm(inputs, conditions), _ModulatedNorm(outputs, conditions)
        self.conv1, self.conv2 = (nn.Conv2d(width, outputs, 3, padding=1) for width in (inputs, outputs))
        self.straight = nn.Conv2d(inputs, outputs, 1)
        self.loudness = nn.Parameter(0.5 * torch.randn(outputs, 1, 1))

    def forward(self, x: Tensor, condition: Tensor, noise: Tensor) -> Tensor:
        hidden = self.enlarge(self.conv1(F.relu(self.norm1(x, condition))))
        hidden = hidden + self.loudness * noise.view(len(x), 1, *hidden.shape[2:])
        hidden = self.conv2(F.relu(self.norm2(hidden, condition)))
        output: Tensor = hidden + self.enlarge(self.straight(x))
        return output


class Doubled(nn.Module):
    """(B, C, S, S) to (B, C, 2S, 2S), interpolated bilinearly: repeated places would show as squares for long.

    Two products with a matrix, whose gradients are the same in every run, which on a GPU F.interpolate's are not.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        # Middles of the new places in units of the old ones, whose middles are whole numbers.
        middles = (torch.arange(2 * side) / 2 - 0.25).clamp(0, side - 1)
        self.weights: Tensor
        weights = (1 - (middles[:, None] - torch.arange(side)).abs()).clamp(min=0)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.weights @ x @ self.weights.mT


class _DownBlock(nn.Module):
    """(B, inputs, S, S) to (B, outputs, S/shrink, S/shrink)."""

    def __init__(self, inputs: int, outputs: int, shrink: int) -> None:
        super().__init__()
        self._shrink = shrink
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.straight = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv2(F.relu(self._pooled(self.conv1(F.relu(x)))))
        output: Tensor = hidden + self.straight(self._pooled(x))
        return output

    def _pooled(self, x: Tensor) -> Tensor:
        return x if self._shrink == 1 else F.avg_pool2d(x, self._shrink)


class _ModulatedNorm(nn.Module):
    """Group normalisation whose gain and offset follow the condition (B, conditions)."""

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(channels, 8), channels, affine=False)
        self.affine = nn.Linear(conditions, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, offset = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(offset, self.norm(x), 1 + gain)


class UnitSpectrum(nn.Module):
    """Weights over their largest singular value (Miyato et al. 2018), which power iteration follows in training.

    The first dimension stands against all others together. The gradient goes through the singular value as well.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.left: Tensor
        self.register_buffer("left", F.normalize(torch.randn(len(weight)), dim=0))
        self._iterate(weight.detach().flatten(1), _FIRST_ITERATIONS)

    def forward(self, weight: Tensor) -> Tensor:
        # Half precision has too few digits to divide weights by.
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            if self.training:
                self._iterate(matrix.detach(), 1)
            left = self.left.clone()  # what the gradient is computed with must outlive the next iteration
            right = F.normalize(matrix.detach().mT @ left, dim=0)
            return weight / (left @ matrix @ right)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, times: int) -> None:
        for _ in range(times):
            right = F.normalize(matrix.mT @ self.left, dim=0)
            self.left.copy_(F.normalize(matrix @ right, dim=0))


def normalise_spectra(network: nn.Module) -> None:
    """Give every layer of the network the weights of UnitSpectrum."""
    for layer in [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]:
        parametrize.register_parametrization(layer, "weight", UnitSpectrum(layer.weight))


def _start(network: nn.Module) -> None:
    """Weights that keep the variance of features, however deep (Glorot & Bengio 2010)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight, math.sqrt(2) if layer.weight.shape[-1] == 3 else 1.0)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
