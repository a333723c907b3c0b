"""Class-conditional diffusion in pixels, as Karras et al. (2022) set it out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from engine.classifiers.augment import dihedral
from engine.ema import Average
from engine.generators.base import Generator, Loss, Phase, parameters_of
from engine.generators.unet import UNet
from engine.schedules import warm_cosine
from engine.spec.generator_config import DiffusionConfig

SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0
SIGMA_DATA = 0.5
"""Standard deviation that pixels in [-1, 1] are taken to have."""

Denoise = Callable[[Tensor, float], Tensor]
"""Noisy images (B, ...) and the standard deviation of their noise, to the mean of what they may have been."""
Network = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Scaled images (B, ...), a measure of their noise (B,) and labels (B,) to (B, ...)."""


class Diffusion(Generator):
    """EDM (Karras et al. 2022): a network that takes noise of any strength away, and patches from noise alone by it.

    Preconditioning, loss weight, noise levels and sampler are the paper's; patches are drawn without stochastic steps
    and without guidance, which trades the diversity that a classifier learns from for looks (Dhariwal & Nichol 2021).
    Against the paper the network is a small U-Net over blocks of pixels, patches are augmented by the eight
    orientations alone, which histology does not prefer among, so that nothing has to be told to the network, the
    learning rate falls to nothing after its rise, and samples come from an average of the weights that counts in steps.
    """

    def __init__(self, config: DiffusionConfig, side: int) -> None:
        super().__init__()
        self.config, self._side = config, side
        self.network = UNet(config.channels, config.blocks, config.unshuffle, config.dropout)
        self.average = Average(self.network, config.ema_decay)

    def phases(self) -> tuple[Phase, ...]:
        betas = (self.config.beta1, self.config.beta2)
        return (Phase("model", parameters_of(self.network), self.config.learning_rate, betas, schedule=warm_cosine),)

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        if self.config.flips:
            images = dihedral(images, torch.randint(0, 8, (len(images),), device=images.device))
        sigma = noise_levels(torch.randn(len(images), device=images.device), self.config.p_mean, self.config.p_std)
        noisy = images + torch.randn_like(images) * _over(sigma, images)
        error = (denoised(self.network, noisy, sigma, labels) - images).square().flatten(1).mean(1)
        loss = (loss_weight(sigma) * error).mean()
        return Loss(loss, {"denoising": loss})

    def after_step(self, step: int) -> None:
        self.average.update(self.network, step)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(len(labels), 3, self._side, self._side, generator=rng).to(labels.device)
        noise = noise.contiguous(memory_format=torch.channels_last)

        def denoise(noisy: Tensor, sigma: float) -> Tensor:
            return denoised(self.average, noisy, noisy.new_full((len(noisy),), sigma), labels)

        return heun(denoise, noise, sigma_steps(self.config.sampling_steps)).clamp(-1, 1)


@dataclass(frozen=True, slots=True)
class Preconditioning:
    """What a network's input, noise level, output and the image past it are scaled with, each (B,) (table 1)."""

    skip: Tensor
    out: Tensor
    into: Tensor
    noise: Tensor


def preconditioning(sigma: Tensor) -> Preconditioning:
    """Scales that give the network inputs and targets of unit variance at every noise level (B,)."""
    total = sigma.square() + SIGMA_DATA**2
    return Preconditioning(
        skip=SIGMA_DATA**2 / total, out=sigma * SIGMA_DATA * total.rsqrt(), into=total.rsqrt(), noise=sigma.log() / 4
    )


def denoised(network: Network, noisy: Tensor, sigma: Tensor, labels: Tensor) -> Tensor:
    """D(x; σ) of images (B, ...) with noise of σ (B,): float32 whatever the network computes in (equation 7)."""
    scale = preconditioning(sigma)
    output = network(noisy * _over(scale.into, noisy), scale.noise, labels).float()
    return noisy * _over(scale.skip, noisy) + output * _over(scale.out, noisy)


def noise_levels(normal: Tensor, mean: float, std: float) -> Tensor:
    """σ to train at, log-normal, from standard normal draws (B,)."""
    return (normal * std + mean).exp()


def loss_weight(sigma: Tensor) -> Tensor:
    """λ(σ), which makes the squared error of an untrained network weigh the same at every noise level."""
    return (sigma.square() + SIGMA_DATA**2) / (sigma * SIGMA_DATA).square()


def sigma_steps(count: int) -> list[float]:
    """The noise levels of so many sampling steps, two at least, and the 0 that they end at (equation 5)."""
    first, last = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return [(first + step / (count - 1) * (last - first)) ** RHO for step in range(count)] + [0.0]


def heun(denoise: Denoise, noise: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Images from unit noise (B, ...) along N noise levels and 0, in 2N - 1 calls (algorithm 1 without churn)."""
    x = noise * sigmas[0]
    for sigma, following in pairwise(sigmas):
        x = heun_step(denoise, x, sigma, following)
    return x


def heun_step(denoise: Denoise, x: Tensor, sigma: float, following: float) -> Tensor:
    """From one noise level to the following: along the mean slope of both ends, or of the first where it ends at 0."""
    slope = (x - denoise(x, sigma)) / sigma
    reached = x + (following - sigma) * slope
    if following == 0:
        return reached
    there = (reached - denoise(reached, following)) / following
    return x + (following - sigma) * (slope + there) / 2


def _over(values: Tensor, images: Tensor) -> Tensor:
    """One value per image, (B,) as (B, 1, ...)."""
    return values.view(-1, *[1] * (images.dim() - 1))
