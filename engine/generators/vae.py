"""Class-conditional convolutional VAE at the study's architecture."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engine.gaussians import ClassGaussian
from engine.generators.base import Generator, Loss, Passes, Phase, parameters_of
from engine.generators.blocks import CLASSES, deepest_shape, down, label_planes, normal, one_hot, up
from engine.spec.config import VaeConfig


class Vae(Generator):
    """Conditional VAE (Kingma & Welling 2014; Sohn et al. 2015): label planes on the input, one-hot label beside z.

    The decoder's last layer is linear, as in the study; `sample` clamps. What the study had not: latents may be drawn
    from a Gaussian for each class, fitted to the encoder's (as two-stage VAEs fit their second stage: Dai & Wipf 2019,
    Ghosh et al. 2020), and the networks need not be told the label.
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
        self.prior = ClassGaussian(config.latent_dim) if config.prior == "gaussian" else None

    def phases(self) -> tuple[Phase, ...]:
        betas = (self.config.beta1, self.config.beta2)
        return (Phase("model", parameters_of(self), self.config.learning_rate, betas),)

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        mu, log_var = self.encode(images, labels)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)
        recon = squared_error(self.decode(z, labels).float(), images)
        kl = kl_to_standard_normal(mu, log_var)
        return Loss(recon + self.config.kl_weight * kl, {"recon": recon, "kl": kl})

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

        self.prior.fit(means(), lambda: spread / count)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        z = normal(len(labels), self.config.latent_dim, rng, labels.device)
        z = z if self.prior is None else self.prior.draw(labels, z)
        return self.decode(z, labels).float().clamp(-1, 1)

    def _no_label(self, labels: Tensor) -> Tensor:
        """What stands where the label would, the same for every patch: (B, CLASSES, 1, 1)."""
        return torch.full((len(labels), CLASSES, 1, 1), 1 / CLASSES, device=labels.device)


def squared_error(reconstructed: Tensor, images: Tensor) -> Tensor:
    """Squared error summed over each image, in units in which a channel goes from 0 to 1; mean over the batch."""
    return ((reconstructed - images) / 2).square().sum() / len(images)


def kl_to_standard_normal(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(q(z | x) || N(0, I)) in nats, summed over dimensions; mean over the batch (Kingma & Welling 2014, B)."""
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum() / len(mu)
