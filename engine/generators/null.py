"""The null generator: no network, a Gaussian for each class over the principal components of the pixels."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.gaussians import ClassGaussian, principal_components
from engine.generators.base import Generator, Loss, Passes, Phase
from engine.generators.blocks import normal
from engine.spec.errors import ConfigError
from engine.spec.generator_config import NullConfig


class Null(Generator):
    """What mean colour and coarse layout alone teach a classifier: the floor under every other generator.

    Components as in Turk & Pentland (1991), fitted to both classes together; what lies outside them is left out.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, config: NullConfig, side: int) -> None:
        super().__init__()
        self._components, self._side = config.components, side
        size = 3 * side * side
        if config.components > size:
            raise ConfigError(f"generator.components: {config.components} are more than the {size} values of a patch")
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(config.components, size))
        self.gaussian = ClassGaussian(config.components)

    def require(self, patches: Sequence[int]) -> None:
        self.gaussian.require(patches)
        if (total := sum(patches)) <= self._components:
            raise ConfigError(
                f"generator.components: {self._components} need more than {self._components} training patches "
                f"and there are {total}; set it to at most {max(1, total - 1)}"
            )

    def phases(self) -> tuple[Phase, ...]:
        return ()

    def loss(self, phase: str, images: Tensor, labels: Tensor) -> Loss:
        raise ValueError(f"the null generator takes no steps, and has no phase {phase!r}")

    def fit(self, passes: Passes, rng: torch.Generator) -> None:
        """Find the components, then mean and covariance of each class's coefficients."""

        def rows() -> Iterator[Tensor]:
            return (images.flatten(1) for images, _ in passes())

        self.mean, self.basis = principal_components(rows, self._components, rng)
        self.gaussian.fit((self._coefficients(images), labels) for images, labels in passes())

    def _coefficients(self, images: Tensor) -> Tensor:
        return (images.flatten(1) - self.mean) @ self.basis.mT

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        coefficients = self.gaussian.draw(labels, normal(len(labels), self._components, rng, labels.device))
        images = self.mean + coefficients @ self.basis
        return images.view(-1, 3, self._side, self._side).clamp(-1, 1)
