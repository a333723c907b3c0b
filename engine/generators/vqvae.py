"""VQ-VAE: patches as grids of discrete codes, and a transformer over the codes of each class."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.classifiers.augment import ORIENTATIONS, dihedral
from engine.generators.base import LatentGenerator, Loss, Phase, parameters_of
from engine.generators.quantiser import Quantiser, as_vectors
from engine.generators.transformer import CodePrior
from engine.schedules import warm_cosine
from engine.spec.errors import ConfigError
from engine.spec.generator_config import VqvaeConfig

_WIDEST = 4
"""Channels of the deepest levels, in those of the first."""
_LAST = 0.02
"""Standard deviation of the decoder's last weights before it has learned."""


class Vqvae(LatentGenerator):
    """VQ-VAE (van den Oord et al. 2017) with a transformer for a prior (as Esser et al. 2021, without their GAN).

    Only the prior is told the label: a decoder that knows it paints a mark of its own. Against the papers: vectors are
    compared in few dimensions (Yu et al. 2022), layers are normalised, and patches come in all eight orientations,
    which histology does not prefer among.
    """

    def __init__(self, config: VqvaeConfig, side: int) -> None:
        super().__init__()
        if side % config.downsampling:
            raise ConfigError(
                f"generator.downsampling: {config.downsampling} does not divide a crop of {side} pixels; "
                "lower it, or set data.crop to a multiple of it"
            )
        self.config, self._codes = config, (side // config.downsampling) ** 2
        widths = level_widths(config.channels, config.downsampling)
        self.encoder = encoder(widths, config.blocks, config.code_dim)
        self.decoder = decoder(widths, config.blocks, config.code_dim)
        self.quantiser = Quantiser(config.codebook_size, config.code_dim, config.codebook_decay)
        self.latent_prior: CodePrior = CodePrior(config.latent_prior, config.codebook_size, side // config.downsampling)
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None

    def phases(self) -> tuple[Phase, ...]:
        config = self.config
        parameters = parameters_of(self.encoder, self.decoder)
        return (Phase("model", parameters, config.learning_rate, (config.beta1, config.beta2), schedule=warm_cosine),)

    def require(self, patches: Sequence[int]) -> None:
        for label, count in enumerate(patches):
            if not count:
                raise ConfigError(f"generator: class {label} has no training patches to learn codes of")
        vectors = sum(patches) * self._codes
        if vectors < self.config.codebook_size:
            raise ConfigError(
                f"generator.codebook_size: {self.config.codebook_size} codes are more than the {vectors} vectors that "
                f"{sum(patches)} training patches are made of; set it to at most {vectors}"
            )

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        if self.config.flips:
            images = dihedral(images, torch.randint(0, ORIENTATIONS, (len(images),), device=images.device))
        features = self.encoder(images)
        quantised = self.quantiser(features)
        recon = F.mse_loss(self.decoder(quantised.values).float(), images)
        total = recon + self.config.commitment * quantised.commitment
        # The codes follow in `after_step`, as the weights do: not where the loss is not finite.
        self._seen = (as_vectors(features.detach().float()), quantised.codes.flatten(), total.detach().isfinite())
        return Loss(total, {"recon": recon, "commitment": quantised.commitment})

    def after_step(self, step: int) -> None:
        if self._seen is not None:
            vectors, codes, valid = self._seen
            self.quantiser.learn(vectors, codes, step, valid)
            self._seen = None

    def epoch_terms(self) -> dict[str, Tensor]:
        return self.quantiser.take_usage()

    def latents(self, images: Tensor, labels: Tensor) -> Tensor:
        """The codes of images, (B, H, W) int16."""
        codes: Tensor = self.quantiser(self.encoder(images)).codes
        return codes.short()

    def reconstruct(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self.decode(self.latents(images, labels))

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return self.decode(self.latent_prior.draw(labels, rng))

    def decode(self, codes: Tensor) -> Tensor:
        """Images (B, 3, S, S) in [-1, 1] of codes (B, H, W)."""
        images: Tensor = self.decoder(self.quantiser.look_up(codes.long()))
        return images.float().clamp(-1, 1)


def level_widths(channels: int, downsampling: int) -> list[int]:
    """Channels after each halving of the side."""
    return [channels * min(2**level, _WIDEST) for level in range(int(math.log2(downsampling)))]


def encoder(widths: list[int], blocks: int, code_dim: int) -> nn.Sequential:
    """Conv(4, stride 2) for each level, then residual blocks: (B, 3, S, S) to (B, code_dim, S/2^levels, ...)."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1)]
    for inputs, width in pairwise(widths):
        layers += [_Active(inputs), nn.Conv2d(inputs, width, 4, 2, 1)]
    deepest = widths[-1]
    layers += [_Residual(deepest) for _ in range(blocks)]
    return nn.Sequential(*layers, _Active(deepest), nn.Conv2d(deepest, code_dim, 1)).apply(_initialise)


def decoder(widths: list[int], blocks: int, code_dim: int) -> nn.Sequential:
    """The mirror of `encoder` with transposed convolutions; its last layer is linear and begins near 0."""
    deepest = widths[-1]
    layers: list[nn.Module] = [nn.Conv2d(code_dim, deepest, 3, padding=1)]
    layers += [_Residual(deepest) for _ in range(blocks)]
    for inputs, width in pairwise(reversed(widths)):
        layers += [_Active(inputs), nn.ConvTranspose2d(inputs, width, 4, 2, 1)]
    last = nn.ConvTranspose2d(widths[0], 3, 4, 2, 1)
    network = nn.Sequential(*layers, _Active(widths[0]), last).apply(_initialise)
    nn.init.normal_(last.weight, std=_LAST)
    return network


def _initialise(module: nn.Module) -> None:
    """Weights that keep the size of what passes them, forwards (He et al. 2015)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        # A place of a transposed convolution's output is reached by one in stride² of its weights.
        terms = module.in_channels * math.prod(module.kernel_size)
        terms //= math.prod(module.stride) if module.transposed else 1
        nn.init.normal_(module.weight, std=math.sqrt(2 / terms))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class _Active(nn.Sequential):
    """Normalisation over all channels together, so that the patch's own colour passes, and SiLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.GroupNorm(1, channels), nn.SiLU())


class _Residual(nn.Module):
    """x + f(x), f being twice group normalisation, SiLU and a 3x3 convolution; (B, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            norm = nn.GroupNorm(math.gcd(channels, 8), channels)
            layers += [norm, nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = x + self.layers(x)
        return output
