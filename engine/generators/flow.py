"""Class-conditional flow matching over vectors: from noise to latents along straight lines."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.ema import Average
from engine.generators.base import LatentPrior, Loss, Passes, Phase, adamw_phase
from engine.generators.blocks import CLASSES, normal, one_hot
from engine.spec.generator_config import FlowConfig

_WAVES = 32
Velocity = Callable[[Tensor, float], Tensor]
"""Vectors (B, D) and a time in [0, 1] to the direction in which they move, (B, D)."""


class Flow(LatentPrior):
    """Conditional flow matching (Lipman et al. 2023) with straight paths (Liu et al. 2023), given the class.

    It learns Gaussians, mean and log variance side by side as (B, 2·D), by one draw of each per step. Vectors are
    scaled to unit variance in every dimension. Times to train at are logit-normal (Esser et al. 2024). Some are trained
    without their label, so that samples may be guided away from what no label leads to (Ho & Salimans 2022).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: FlowConfig, size: int) -> None:
        super().__init__()
        self.config, self._size = config, size
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.network = VelocityNet(size, config.width, config.blocks)
        self.average = Average(self.network, config.ema_decay)

    def phases(self) -> tuple[Phase, ...]:
        return (adamw_phase("flow", self.network, self.config),)

    def prepare(self, passes: Passes, rng: torch.Generator) -> None:
        """Find mean and standard deviation of each dimension, over all vectors and their own variance."""
        count, total, squares = 0, torch.zeros_like(self.mean).double(), torch.zeros_like(self.mean).double()
        for latents, _ in passes():
            mu, log_var = latents.double().chunk(2, dim=1)
            count += len(mu)
            total += mu.sum(0)
            squares += (mu.square() + log_var.exp()).sum(0)
        mean = total / count
        self.mean = mean.float()
        self.std = (squares / count - mean.square()).clamp_min(1e-12).sqrt().float()

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        mu, log_var = images.float().chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)
        data = (z - self.mean) / self.std
        noise, time = torch.randn_like(data), torch.randn(len(data), device=data.device).sigmoid()
        told = torch.rand(len(data), 1, device=data.device) >= self.config.label_dropout
        velocity = self.network(between(noise, data, time), time, one_hot(labels) * told).float()
        loss = F.mse_loss(velocity, data - noise)
        return Loss(loss, {"flow_matching": loss})

    def after_step(self, step: int) -> None:
        self.average.update(self.network, step)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """One vector per label, (B, D)."""
        told, guidance = one_hot(labels), self.config.guidance

        def velocity(x: Tensor, time: float) -> Tensor:
            times = x.new_full((len(x),), time)
            given: Tensor = self.average(x, times, told).float()
            return given if guidance == 1 else torch.lerp(self.average(x, times, 0 * told).float(), given, guidance)

        noise = normal(len(labels), self._size, rng, labels.device)
        return self.mean + self.std * heun(velocity, noise, self.config.sampling_steps)


class VelocityNet(nn.Module):
    """A residual network over vectors whose norms follow time and class (adaLN: Peebles & Xie 2023).

    One projection of the condition serves all blocks, each with offsets of its own to it (Chen et al. 2024).
    """

    def __init__(self, size: int, width: int, blocks: int) -> None:
        super().__init__()
        self.from_time = nn.Linear(2 * _WAVES, width)
        self.from_label = nn.Linear(CLASSES, width)
        self.condition = nn.Linear(width, 3 * width)
        self.first = nn.Linear(size, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.offset = nn.Parameter(torch.zeros(2 * width))
        self.last = nn.Linear(width, size)

    def forward(self, x: Tensor, time: Tensor, told: Tensor) -> Tensor:
        """Vectors (B, D), times in [0, 1] (B,) and labels one-hot (B, CLASSES), or 0 for none, to velocities (B, D)."""
        angles = time[:, None] * torch.logspace(0, 6, _WAVES, base=2.0, device=time.device)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
        condition = self.condition(F.silu(self.from_time(waves) + self.from_label(told)))
        x = self.first(x)
        for block in self.blocks:
            x = block(x, condition)
        gain, bias = (condition[:, : len(self.offset)] + self.offset).chunk(2, dim=1)
        velocity: Tensor = self.last(adapted(x, gain, bias))
        return velocity


class _Block(nn.Module):
    """A residual block (B, W); it adds nothing before it has learned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(3 * width))
        self.first = nn.Linear(width, width)
        self.second = _zero(nn.Linear(width, width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias, gate = (condition + self.offset).chunk(3, dim=1)
        hidden = self.second(F.silu(self.first(adapted(x, gain, bias))))
        return torch.addcmul(x, hidden, 1 + gate)


def adapted(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Layer normalisation of vectors (B, W) with a gain, beside 1, and a bias of their own each."""
    return torch.addcmul(bias, F.layer_norm(x, x.shape[1:]), 1 + gain)


def between(noise: Tensor, data: Tensor, time: Tensor) -> Tensor:
    """The point of each straight path from noise (B, D) at time 0 to data (B, D) at time 1 at its own time (B,)."""
    return torch.lerp(noise, data, time[:, None])


def heun(velocity: Velocity, x: Tensor, steps: int) -> Tensor:
    """Vectors (B, D) carried from time 0 to time 1 in equal steps of the trapezoidal rule (Heun 1900)."""
    for step in range(steps):
        here, there = step / steps, (step + 1) / steps
        slope = velocity(x, here)
        x = x + (slope + velocity(x + slope / steps, there)) / (2 * steps)
    return x


def _zero(layer: nn.Linear) -> nn.Linear:
    """The layer with all weights zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
