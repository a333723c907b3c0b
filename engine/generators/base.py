"""Model and Generator: what the training loop asks of anything it trains."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from engine.schedules import warm_cosine
from engine.spec.errors import ConfigError

Passes = Callable[[], Iterator[tuple[Tensor, Tensor]]]
"""Each call goes once over patches: images (B, 3, H, W) in [-1, 1] and labels (B,) int64, in an order that stays."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One optimizer's part of a training step."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    learning_rate: float
    betas: tuple[float, float]
    every: int = 1
    """It takes part in every so-manyth step."""
    start: int = 0
    """Steps before its first."""
    weight_clip: float | None = None
    """Keep its parameters within ± this."""
    gradient_clip: float | None = None
    """Shorten its gradient, all parameters together, to this 2-norm where it is longer (Pascanu et al. 2013)."""
    weight_decay: float = 0.0
    """AdamW's (Loshchilov & Hutter 2019): the share of each weight that goes per step, by the learning rate."""
    schedule: Callable[[float], float] | None = None
    """The learning rate as a share of `learning_rate`, by the share of the fit's steps that are done."""

    def is_due(self, step: int) -> bool:
        """Whether it takes part in step `step`, counted from 0."""
        return step >= self.start and (step + 1) % self.every == 0


@dataclass(frozen=True, slots=True)
class Loss:
    """`total` is back-propagated; `terms` are shown under their paper names. All are scalars."""

    total: Tensor
    terms: Mapping[str, Tensor]


class Model(nn.Module, ABC):
    """Anything that the training loop trains: it states its optimizers as phases, in update order."""

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]: ...

    @abstractmethod
    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        """The loss of one phase on images (B, 3, H, W) in [-1, 1] and labels (B,) int64."""

    def after_step(self, step: int) -> None:
        """After every update of step `step`, counted from 0: what follows the weights, such as their average."""

    def epoch_terms(self) -> Mapping[str, Tensor]:
        """What is to be shown of a whole epoch, scalars by name: asked once after its last step, and counted anew."""
        return {}


class Generator(Model):
    """A class-conditional generator of patches. One that is computed at once, without steps, states no phases."""

    fewest: int = 1
    """Training patches of each class that a look at it needs, for what `fit` takes and for grids."""

    def require(self, patches: Sequence[int]) -> None:
        """Before anything is trained: ConfigError where so many training patches of each class are not enough."""

    def fit(self, passes: Passes, rng: torch.Generator) -> None:
        """Compute what takes all training patches at once: after the last step, and on some of them before a grid."""

    @abstractmethod
    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """One image per label, (B, 3, H, W), bounded by [-1, 1]. `rng` is a CPU generator that decides the sample."""

    def reconstruct(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Images (B, 3, H, W) through the encoder and back, bounded by [-1, 1]; its config says `has_encoder`.

        ConfigError where this kind has none.
        """
        raise ConfigError("synthesis.reconstruct: this kind of generator has no encoder; choose an autoencoder")


class LatentPrior(Model):
    """What latents are drawn from, trained once the networks that make and read them are done.

    Its `loss` is given what the generator's `latents` makes of images, (B, ...), in the place of images.
    """

    def prepare(self, passes: Passes, rng: torch.Generator) -> None:
        """Before the first step: compute what takes all latents at once, such as their scale."""


class LatentGenerator(Generator):
    """A generator in two parts: networks between images and latents, and after them what latents are drawn from."""

    latent_prior: LatentPrior
    """Trained in a stage of its own; none of its parameters are in the phases of the generator."""

    @abstractmethod
    def latents(self, images: Tensor, labels: Tensor) -> Tensor:
        """What the prior learns of images (B, 3, H, W): (B, ...), in a dtype that is worth keeping all of them in."""

    @abstractmethod
    def reconstruct(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Images (B, 3, H, W) through their latents and back, bounded by [-1, 1]."""


def parameters_of(*modules: nn.Module) -> tuple[nn.Parameter, ...]:
    return tuple(parameter for module in modules for parameter in module.parameters())


class AdamWSettings(Protocol):
    """The settings of a config that AdamW is made of."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def beta1(self) -> float: ...
    @property
    def beta2(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


def adamw_phase(name: str, network: nn.Module, config: AdamWSettings) -> Phase:
    """One phase for a whole network, whose learning rate rises shortly and falls along a cosine."""
    return Phase(
        name,
        parameters_of(network),
        config.learning_rate,
        (config.beta1, config.beta2),
        weight_decay=config.weight_decay,
        schedule=warm_cosine,
    )
