"""Class-conditional convolutional GAN at the study's architecture."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.generators.base import Generator, Loss, Phase, parameters_of
from engine.generators.blocks import CLASSES, deepest_shape, down, normal, up
from engine.spec.generator_config import GanConfig


class GanGenerator(nn.Module):
    """z and an embedding of the label, through one linear layer, to an image in [-1, 1]."""

    def __init__(self, config: GanConfig, side: int) -> None:
        super().__init__()
        self._shape = deepest_shape(config.channels, side)
        features = self._shape[0] * self._shape[1] * self._shape[2]
        self.embedding = nn.Embedding(CLASSES, config.embedding_dim)
        self.from_latent = nn.Linear(config.latent_dim + config.embedding_dim, features)
        self.decoder = up(config.channels, activation=nn.ReLU, last=nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        features = self.from_latent(torch.cat([z, self.embedding(labels)], dim=1))
        images: Tensor = self.decoder(features.view(-1, *self._shape))
        return images


class Discriminator(nn.Module):
    """An image with a learned plane for its label, to one number: a logit, or a critic's score."""

    def __init__(self, config: GanConfig, side: int) -> None:
        super().__init__()
        self._side = side
        self.plane = nn.Embedding(CLASSES, side * side)
        norm = config.discriminator_norm == "batch"
        self.encoder = down(4, config.channels, norm=norm, activation=lambda: nn.LeakyReLU(0.2))
        channels, height, width = deepest_shape(config.channels, side)
        self.score = nn.Linear(channels * height * width, 1)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        plane = self.plane(labels).view(-1, 1, self._side, self._side)
        scores: Tensor = self.score(self.encoder(torch.cat([images, plane], dim=1)).flatten(1))
        return scores.squeeze(1).float()


class Gan(Generator):
    """Conditional GAN (Goodfellow et al. 2014; Mirza & Osindero 2014), or WGAN (Arjovsky et al. 2017).

    A step shows the discriminator one fresh batch of real patches; the generator learns in every
    `discriminator_steps`-th step. Generated patches are always judged with the labels they were made for.
    """

    def __init__(self, config: GanConfig, side: int) -> None:
        super().__init__()
        self.config = config
        self.generator = GanGenerator(config, side)
        self.discriminator = Discriminator(config, side)

    def phases(self) -> tuple[Phase, ...]:
        config, betas = self.config, (self.config.beta1, self.config.beta2)
        return (
            Phase(
                "discriminator",
                parameters_of(self.discriminator),
                config.discriminator_learning_rate,
                betas,
                weight_clip=config.weight_clip,
            ),
            Phase(
                "generator",
                parameters_of(self.generator),
                config.generator_learning_rate,
                betas,
                every=config.discriminator_steps,
                start=config.pretrain_steps,
            ),
        )

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        z = torch.randn(len(labels), self.config.latent_dim, device=images.device)
        if phase == "generator":
            return self._generator_loss(z, labels)
        return self._discriminator_loss(images, z, labels)

    def _generator_loss(self, z: Tensor, labels: Tensor) -> Loss:
        scores = self.discriminator(self.generator(z, labels), labels)
        loss = non_saturating_loss(scores) if self.config.loss == "bce" else -scores.mean()
        return Loss(loss, {"loss_g": loss})

    def _discriminator_loss(self, images: Tensor, z: Tensor, labels: Tensor) -> Loss:
        with torch.no_grad():
            fakes = self.generator(z, labels).float()
        real, fake = self.discriminator(images, labels), self.discriminator(fakes, labels)
        loss = discriminator_bce(real, fake) if self.config.loss == "bce" else fake.mean() - real.mean()
        terms = {"loss_d": loss, "d_real": real.mean(), "d_fake": fake.mean()}
        if not self.config.gradient_penalty:
            return Loss(loss, terms)
        penalty = gradient_penalty(self.discriminator, images, fakes, labels)
        return Loss(loss + self.config.gradient_penalty * penalty, terms | {"gradient_penalty": penalty})

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        z = normal(len(labels), self.config.latent_dim, rng, labels.device)
        images: Tensor = self.generator(z, labels).float()
        return images


def discriminator_bce(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log D(x)] - E[log(1 - D(G(z)))], from logits (B,)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating_loss(fake: Tensor) -> Tensor:
    """-E[log D(G(z))], from logits (B,)."""
    return F.softplus(-fake).mean()


def gradient_penalty(critic: nn.Module, images: Tensor, fakes: Tensor, labels: Tensor) -> Tensor:
    """E[(‖∇ critic(x̂)‖ - 1)²] on lines between real and generated patches of the same label (Gulrajani et al. 2017)."""
    # Squares of slopes are too small for half precision.
    with torch.autocast(images.device.type, enabled=False):
        mix = torch.rand(len(images), 1, 1, 1, device=images.device)
        between = (mix * images + (1 - mix) * fakes).float().requires_grad_()
        (slope,) = torch.autograd.grad(critic(between, labels).sum(), between, create_graph=True)
        # The small constant keeps the square root's own gradient finite where the slope vanishes.
        length = slope.flatten(1).square().sum(1).add(1e-12).sqrt()
        return (length - 1).square().mean()
