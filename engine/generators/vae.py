"""Class-conditional convolutional VAE at the study's architecture."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from engine.gaussians import ClassGaussian, ClassMixture
from engine.generators.base import Generator, Loss, Passes, Phase, parameters_of
from engine.generators.blocks import CLASSES, deepest_shape, down, label_planes, normal, one_hot, up
from engine.spec.generator_config import VaeConfig


class Vae(Generator):
    """Conditional VAE (Kingma & Welling 2014; Sohn et al. 2015): label planes on the input, one-hot label beside z.

    The decoder's last layer is linear, as in the study; `sample` clamps. What the study had not: latents may be drawn
    from a Gaussian or a mixture for each class, fitted to the encoder's (as two-stage VAEs fit their second stage: Dai
    & Wipf 2019, Ghosh et al. 2020); the networks need not be told the label; the variance of pixels may be learned, as
    one number (Rybkin et al. 2021), and drawn from; amplitudes of spatial frequencies may have a term of their own
    (after Jiang et al. 2021, without their focal weights).
    """

    def __init__(self, config: VaeConfig, side: int) -> None:
        super().__init__()
        self.config = config
        self._shape = deepest_shape(config.channels, side)
        features = self._shape[0] * self._shape[1] * self._shape[2]
        self.encoder = down(3 + CLASSES, config.channels, norm=True, activation=lambda: nn.LeakyReLU(0.2))
        self.to_mu = nn.Linear(features, config.latent_dim)
        self.to_log_var = nn.Linear(features, config.latent_dim)
        self.from_latent = nn.Linear(config.latent_dim + CLASSES, features)
        self.decoder = up(config.channels, activation=lambda: nn.LeakyReLU(0.2), last=nn.Identity())
        self.prior = _prior(config)
        self.fewest = 1 if self.prior is None else self.prior.fewest
        if config.likelihood == "learned":
            self.log_std = nn.Parameter(torch.full((), -0.5 * math.log(2)))

    def require(self, patches: Sequence[int]) -> None:
        if self.prior is not None:
            self.prior.require(patches)

    def phases(self) -> tuple[Phase, ...]:
        betas = (self.config.beta1, self.config.beta2)
        clip = self.config.gradient_clip
        return (Phase("model", parameters_of(self), self.config.learning_rate, betas, gradient_clip=clip),)

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        mu, log_var = self.encode(images, labels)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)
        decoded = self.decode(z, labels).float()
        recon, kl = squared_error(decoded, images), kl_to_standard_normal(mu, log_var)
        total, terms = recon + self.config.kl_weight * kl, {"recon": recon, "kl": kl}
        if self.config.likelihood == "learned":
            values = images[0].numel()
            total = total - recon + negative_log_likelihood(recon, self.log_std, values)
            terms["pixel_std"] = self.log_std.exp()
        if self.config.spectral_weight:
            terms["spectral"] = spectral_error(decoded, images)
            total = total + self.config.spectral_weight * terms["spectral"]
        return Loss(total, terms)

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x, y), each (B, latent_dim)."""
        planes = label_planes(labels, images.shape[-1]) if self.config.conditional else self._no_label(labels)
        features = self.encoder(torch.cat([images, planes.expand(-1, -1, *images.shape[-2:])], dim=1)).flatten(1)
        return self.to_mu(features).float(), self.to_log_var(features).float()

    def decode(self, z: Tensor, labels: Tensor) -> Tensor:
        """(B, 3, S, S), not bounded."""
        told = one_hot(labels) if self.config.conditional else self._no_label(labels).flatten(1)
        features = self.from_latent(torch.cat([z, told], dim=1))
        images: Tensor = self.decoder(features.view(-1, *self._shape))
        return images

    def fit(self, passes: Passes, rng: torch.Generator) -> None:
        """Give the prior of each class the mean and covariance of its aggregate posterior, the mean of q(z | x)."""
        if self.prior is None:
            return
        spread = torch.zeros(CLASSES, self.config.latent_dim, device=self.to_mu.weight.device)
        count = torch.zeros(CLASSES, 1, device=spread.device)

        def means() -> Iterator[tuple[Tensor, Tensor]]:
            for images, labels in passes():
                mu, log_var = self.encode(images, labels)
                spread.index_add_(0, labels, log_var.exp())
                count.index_add_(0, labels, torch.ones_like(labels, dtype=count.dtype)[:, None])
                yield mu, labels

        if isinstance(self.prior, ClassMixture):
            seed = int(torch.randint(2**31, (), generator=rng))
            self.prior.fit(means(), lambda: spread / count, seed)
        else:
            self.prior.fit(means(), lambda: spread / count)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        z = normal(len(labels), self.config.latent_dim, rng, labels.device)
        if isinstance(self.prior, ClassMixture):
            z = self.prior.draw(labels, z, rng)
        elif self.prior is not None:
            z = self.prior.draw(labels, z)
        return self._pixels(z, labels, rng)

    def reconstruct(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """From a draw of q(z | x, y) and not from its mean: a prior that fits perfectly would draw just that."""
        mu, log_var = self.encode(images, labels)
        z = mu + normal(len(labels), self.config.latent_dim, rng, labels.device) * torch.exp(0.5 * log_var)
        return self._pixels(z, labels, rng)

    def _pixels(self, z: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        images = self.decode(z, labels).float()
        if self.config.pixel_noise:
            # A channel has twice the range here that the variance is learned in.
            images = images + 2 * self.log_std.exp() * torch.randn(images.shape, generator=rng).to(images.device)
        return images.clamp(-1, 1)

    def _no_label(self, labels: Tensor) -> Tensor:
        """What stands where the label would, the same for every patch: (B, CLASSES, 1, 1)."""
        return torch.full((len(labels), CLASSES, 1, 1), 1 / CLASSES, device=labels.device)


def _prior(config: VaeConfig) -> ClassGaussian | ClassMixture | None:
    match config.prior:
        case "standard":
            return None
        case "gaussian":
            return ClassGaussian(config.latent_dim)
        case "mixture":
            return ClassMixture(config.latent_dim, config.mixture_parts)


def squared_error(reconstructed: Tensor, images: Tensor) -> Tensor:
    """Squared error summed over each image, in units in which a channel goes from 0 to 1; mean over the batch."""
    return ((reconstructed - images) / 2).square().sum() / len(images)


def kl_to_standard_normal(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(q(z | x) || N(0, I)) in nats, summed over dimensions; mean over the batch (Kingma & Welling 2014, B)."""
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum() / len(mu)


def negative_log_likelihood(squared_error: Tensor, log_std: Tensor, values: int) -> Tensor:
    """-log N(x; mean, σ²·I) in nats of one image of so many values, but for the constant; (Rybkin et al. 2021, eq. 3).

    With σ² = 1/2 it is the squared error, but for a constant.
    """
    return squared_error / (2 * (2 * log_std).exp()) + values * log_std


def spectral_error(reconstructed: Tensor, images: Tensor) -> Tensor:
    """Squared error between the amplitudes of all spatial frequencies, in the units of `squared_error`.

    Phases are left out: texture counts for it, not where its parts are.
    """
    amplitudes = (torch.fft.fft2(each, norm="ortho").abs() for each in (reconstructed, images))
    return squared_error(*amplitudes)
