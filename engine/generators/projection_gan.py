"""A GAN that does not collapse: residual networks, a projection discriminator, and what keeps the two in balance."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.classifiers.augment import ORIENTATIONS, dihedral
from engine.ema import Average
from engine.generators.base import Generator, Loss, Phase, parameters_of
from engine.generators.blocks import normal
from engine.generators.diff_augment import diff_augment
from engine.generators.residual import ProjectionDiscriminator, ResidualGenerator
from engine.spec.generator_config import ProjectionGanConfig

_RISE = 0.05
"""Share of all steps in which the learning rates rise: the first slopes are steep."""


class ProjectionGan(Generator):
    """Class-conditional GAN with the remedies that its config names, each of which can be left out.

    A projection discriminator (Miyato & Koyama 2018) with spectral normalisation (Miyato et al. 2018); the hinge loss
    (Lim & Ye 2017) or the relativistic pairing loss (Jolicoeur-Martineau 2019) with R1 and R2 (Mescheder et al. 2018),
    as R3GAN has it (Huang et al. 2024); DiffAugment (Zhao et al. 2020) on all that the discriminator sees; unequal
    learning rates (Heusel et al. 2017), falling to nothing; samples from averaged weights (Yazıcı et al. 2019). The
    defaults are R3GAN's: the relativistic loss with both penalties, equal rates and no spectral normalisation.

    Against the papers: both networks work on blocks of 2x2 pixels, for a quarter of the cost. The penalties are on the
    slope at augmented patches, and instead of all patches in some steps (Karras et al. 2020) they take some patches in
    every step. Colours are changed little, because stain is signal. Real patches are shown in all eight orientations,
    which histology does not prefer among; generated ones as they are, so that they learn them. Pairs of the
    relativistic loss are of one class: generated patches have the labels of the real ones in the batch.
    """

    def __init__(self, config: ProjectionGanConfig, side: int) -> None:
        super().__init__()
        self.config = config
        self.generator = ResidualGenerator(config.latent_dim, config.channels, side)
        self.discriminator = ProjectionDiscriminator(config.channels, config.spectral_norm)
        self.average = Average(self.generator, config.ema_decay)
        self._augment = partial(
            diff_augment, translation=config.translation, cutout=config.cutout, colour=config.colour
        )

    def phases(self) -> tuple[Phase, ...]:
        config, betas = self.config, (self.config.beta1, self.config.beta2)
        return (
            Phase(
                "discriminator",
                parameters_of(self.discriminator),
                config.discriminator_learning_rate,
                betas,
                schedule=trapezium,
            ),
            Phase(
                "generator",
                parameters_of(self.generator),
                config.generator_learning_rate,
                betas,
                every=config.discriminator_steps,
                schedule=trapezium,
            ),
        )

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        if self.config.flips:
            images = dihedral(images, torch.randint(0, ORIENTATIONS, (len(images),), device=images.device))
        z = torch.randn(len(labels), self.generator.latent_size, device=images.device)
        if phase == "generator":
            return self._generator_loss(images, z, labels)
        return self._discriminator_loss(images, z, labels)

    def _generator_loss(self, images: Tensor, z: Tensor, labels: Tensor) -> Loss:
        fake = self.discriminator(self._augment(self.generator(z, labels)), labels)
        if self.config.loss == "hinge":
            loss = -fake.mean()
        else:
            with torch.no_grad():
                real = self.discriminator(self._augment(images), labels)
            loss = relativistic(fake, real)
        return Loss(loss, {"loss_g": loss})

    def _discriminator_loss(self, images: Tensor, z: Tensor, labels: Tensor) -> Loss:
        with torch.no_grad():
            shown = self._augment(torch.cat([images, self.generator(z, labels).float()]))
        real, fake = self.discriminator(shown, labels.repeat(2)).chunk(2)
        loss = hinge(real, fake) if self.config.loss == "hinge" else relativistic(real, fake)
        terms = {"loss_d": loss, "d_real": real.mean(), "d_fake": fake.mean()}
        total = loss
        images, fakes = shown.chunk(2)
        for name, penalty in self._penalties(images, fakes, labels).items():
            terms[name] = penalty
            total = total + getattr(self.config, name) / 2 * penalty
        return Loss(total, terms)

    def _penalties(self, images: Tensor, fakes: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """R1 and R2, those that have a weight, at the first patches of the batch."""
        some = max(1, round(self.config.penalty_share * len(images)))
        patches = {
            name: each[:some]
            for name, each, weight in (("r1", images, self.config.r1), ("r2", fakes, self.config.r2))
            if weight
        }
        if not patches:
            return {}
        slopes = squared_gradient_norms(
            self.discriminator, torch.cat([*patches.values()]), labels[:some].repeat(len(patches))
        )
        return {name: each.mean() for name, each in zip(patches, slopes.chunk(len(patches)), strict=True)}

    def after_step(self, step: int) -> None:
        generator_step, odd = divmod(step + 1, self.config.discriminator_steps)
        if not odd:
            self.average.update(self.generator, generator_step - 1)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        z = normal(len(labels), self.generator.latent_size, rng, labels.device)
        images: Tensor = self.average(z, labels).float()
        return images


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss from scores (B,): nothing beyond 1 for real and -1 for generated patches."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def relativistic(higher: Tensor, lower: Tensor) -> Tensor:
    """E[softplus(lower - higher)] over pairs of scores (B,): real above generated, or the other way round."""
    return F.softplus(lower - higher).mean()


def squared_gradient_norms(discriminator: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """‖∇ D(x)‖² at each of images (B, 3, H, W), (B,): its mean is R1 at real ones and R2 at generated ones."""
    # Squares of slopes are too small for half precision.
    with torch.autocast(images.device.type, enabled=False):
        images = images.detach().float().requires_grad_()
        (slopes,) = torch.autograd.grad(discriminator(images, labels).sum(), images, create_graph=True)
        return slopes.flatten(1).square().sum(1)


def trapezium(done: float) -> float:
    """The learning rate, as a share of its highest: it rises at first and in the second half it falls to nothing."""
    return min(1.0, done / _RISE, 2 * (1 - done))
