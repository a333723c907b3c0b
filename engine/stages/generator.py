"""generator: the generator trained on the real training patches."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.batches import TrainingBatches, in_order, to_bytes, to_float
from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.data.patches import PatchSet
from engine.fitting import Fit
from engine.generators import build_generator
from engine.generators.base import Generator, LatentGenerator
from engine.pictures import grid_labels, save_grid
from engine.progress import Report, silent
from engine.randomness import generator as rng_at
from engine.randomness import mix, permutation, seed_torch
from engine.spec.config import FitConfig, GeneratorConfig
from engine.spec.errors import ConfigError
from engine.spec.events import ImageSaved
from engine.spec.run_folder import RunFolder
from engine.stages import prepare
from engine.trainer import Trainer

STAGE = "generator"
PRIOR_STAGE: Final = "latent_prior"
_FIT_BATCH: Final = 256
_FITTED_FOR_GRIDS: Final = 2048
"""Patches that what is fitted at once sees before a grid: enough to look at."""


def is_complete(folder: RunFolder) -> bool:
    return CheckpointFolder(folder.checkpoints / STAGE).is_final


def run(context: Context) -> None:
    """Train for the configured epochs, compute what takes all patches at once; the last state is the result."""
    config, real = generator_config(context), prepare.load(context)
    seed = mix(context.config.seed, STAGE)
    seed_torch(context.device, seed, "weights")
    model = build_generator(config, real.train.side).to(context.device)
    epochs = config.epochs if isinstance(config, FitConfig) else 0
    grids = SampleGrids(context, STAGE, model, real.train, epochs)
    meta = _train(context, model, config, real.train, grids) if isinstance(config, FitConfig) else {}
    fit(context, model, real.train, context.reporter(STAGE))
    if not meta:
        grids.save(0, "samples")
    CheckpointFolder(context.folder.checkpoints / STAGE).save_final(State(model.state_dict(), meta))


def _train(
    context: Context, model: Generator, config: FitConfig, patches: PatchSet, grids: "SampleGrids"
) -> dict[str, Any]:
    """Take every step; how many there were."""
    seed = mix(context.config.seed, STAGE)
    batches = TrainingBatches(patches, config.batch_size, seed, context.device, "generator.batch_size")
    steps = config.epochs * batches.steps_per_epoch
    trainer = Trainer(model, batches, context.config.training, seed, context.device, steps)
    require_every_phase(model, steps)
    Fit(context, STAGE, trainer, config.epochs, grids).run()
    return {"step": trainer.step, "epochs": config.epochs}


@torch.no_grad()
def fit(context: Context, model: Generator, patches: PatchSet, report: Report) -> None:
    """Let a generator compute what takes all of these patches at once."""

    def passes() -> Iterator[tuple[Tensor, Tensor]]:
        labels = torch.from_numpy(patches.own_labels.astype(np.int64)).to(context.device)
        for start, images in in_order(patches, _FIT_BATCH, context.device):
            report("fitting", start, len(patches))
            context.stop.raise_if_requested()
            yield to_float(images), labels[start : start + len(images)]

    model.eval()
    model.fit(passes, rng_at(context.config.seed, STAGE, "fit"))


def require_every_phase(model: Generator, steps: int) -> None:
    """ConfigError where a phase would begin after the last step, and what it trains would stay as it was."""
    for phase in model.phases():
        if not any(phase.is_due(step) for step in range(phase.start, min(steps, phase.start + phase.every))):
            raise ConfigError(
                f"generator: its phase {phase.name} would never take part: it begins after {phase.start} "
                f"steps and there are {steps}; train for more epochs or lower generator.pretrain_steps"
            )


def load(context: Context) -> Generator:
    """The trained generator, ready to sample."""
    model = load_networks(context)
    if isinstance(model, LatentGenerator):
        prior = CheckpointFolder(context.folder.checkpoints / PRIOR_STAGE).load_final()
        model.latent_prior.load_state_dict(dict(prior.tensors))
    return model


def load_networks(context: Context) -> Generator:
    """What this stage has trained, without what a later one trains."""
    model = build_generator(generator_config(context), context.config.data.crop)
    model.load_state_dict(dict(CheckpointFolder(context.folder.checkpoints / STAGE).load_final().tensors))
    return model.to(context.device).eval()


def generator_config(context: Context) -> GeneratorConfig:
    if context.config.generator is None:
        raise ConfigError("generator: this run has none")
    return context.config.generator


class SampleGrids:
    """After every so-many epochs, and the last, a grid from the same latents, so that progress shows.

    Where there is nothing yet to draw latents from, it shows real patches through their latents and back.
    """

    def __init__(self, context: Context, stage: str, model: Generator, patches: PatchSet, epochs: int) -> None:
        self._context, self._stage, self._model, self._epochs = context, stage, model, epochs
        some = permutation(len(patches), context.config.seed, "grid fit")[:_FITTED_FOR_GRIDS]
        self._some = patches.select(np.sort(some))
        self._reconstructs = isinstance(model, LatentGenerator) and stage == STAGE

    def __call__(self, epoch: int, step: int) -> None:
        if epoch % self._context.config.training.sample_every and epoch != self._epochs:
            return
        if self._reconstructs:
            self.save(step, f"real patches reconstructed after epoch {epoch}")
            return
        fit(self._context, self._model, self._some, silent)
        self.save(step, f"samples after epoch {epoch}")

    def save(self, step: int, what: str) -> None:
        """Write the grid and tell of it."""
        path = self._context.folder.samples / self._stage / f"step-{step:06d}.png"
        save_grid(path, self._images())
        relative = str(path.relative_to(self._context.folder.path))
        caption = f"{what}, normal above tumour"
        self._context.events.write(ImageSaved(stage=self._stage, step=step, path=relative, caption=caption))

    @torch.no_grad()
    def _images(self) -> Any:
        self._model.eval()
        labels, rng = (
            torch.from_numpy(grid_labels()).to(self._context.device),
            rng_at(self._context.config.seed, "grid"),
        )
        if isinstance(self._model, LatentGenerator) and self._reconstructs:
            images = self._model.reconstruct(self._real(grid_labels()), labels, rng)
        else:
            images = self._model.sample(labels, rng)
        return to_bytes(images).cpu().numpy()

    def _real(self, labels: NDArray[np.int64]) -> Tensor:
        """Real patches of these classes, the first of each again where they are few, (B, 3, H, W) in [-1, 1]."""
        own = [np.flatnonzero(self._some.own_labels == label) for label in (0, 1)]
        rows = [own[label][place % len(own[label])] for place, label in enumerate(labels)]
        images = self._some.images[self._some.rows[rows]]
        return to_float(torch.from_numpy(images).to(self._context.device))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {}

    def load(self, tensors: dict[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Nothing to go on from: a grid depends on the weights alone."""
