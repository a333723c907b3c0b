"""SampleGrids: pictures of the same latents after every so-many epochs, so that progress shows."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from engine.context import Context
from engine.monitoring.samples import Samples
from engine.pictures import grid_labels, show_grid
from engine.randomness import generator as rng_at


class SampleGrids:
    """After every so-many epochs, and the last, a grid of samples from the same latents.

    Where there is nothing yet to draw latents from, real patches through their latents and back.
    """

    def __init__(self, context: Context, stage: str, samples: Samples, epochs: int, reconstructs: bool = False) -> None:
        self._context, self._stage, self._samples, self._epochs = context, stage, samples, epochs
        self._reconstructs = reconstructs

    def __call__(self, epoch: int, step: int) -> None:
        if epoch % self._context.config.training.sample_every and epoch != self._epochs:
            return
        if self._reconstructs:
            self.save(step, f"real patches reconstructed after epoch {epoch}")
            return
        self._samples.after(epoch)
        self.save(step, f"samples after epoch {epoch}")

    def save(self, step: int, what: str, ending: str = "") -> None:
        """Write the grid and tell of it. `ending`: of its name, where the step has another."""
        make = self._samples.reconstruct if self._reconstructs else self._samples.draw
        patches = make(grid_labels(), rng_at(self._context.config.seed, "grid"))
        show_grid(self._context, self._stage, step, patches, what, ending)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {}

    def load(self, tensors: dict[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Nothing to go on from: a grid depends on the weights alone."""
