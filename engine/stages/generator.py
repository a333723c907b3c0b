"""generator: the generator trained on the real training patches."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.batches import TrainingBatches, to_bytes
from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.fitting import Fit
from engine.generators import build_generator
from engine.generators.base import Generator
from engine.pictures import grid_labels, save_grid
from engine.randomness import generator as rng_at
from engine.randomness import mix, seed_torch
from engine.spec.config import GeneratorConfig
from engine.spec.errors import ConfigError
from engine.spec.events import ImageSaved
from engine.spec.run_folder import RunFolder
from engine.stages import prepare
from engine.trainer import Trainer

STAGE = "generator"


def is_complete(folder: RunFolder) -> bool:
    return CheckpointFolder(folder.checkpoints / STAGE).is_final


def run(context: Context) -> None:
    """Train for the configured epochs; the last weights are the result."""
    config, real = generator_config(context), prepare.load(context)
    seed = mix(context.config.seed, STAGE)
    seed_torch(context.device, seed, "weights")
    model = build_generator(config, real.train.side)
    batches = TrainingBatches(real.train, config.batch_size, seed, context.device, "generator.batch_size")
    trainer = Trainer(model, batches, context.config.training, seed, context.device)
    require_every_phase(model, config.epochs * batches.steps_per_epoch)
    grids = _SampleGrids(context, model, config.epochs)
    fit = Fit(context, STAGE, trainer, config.epochs, grids)
    fit.run()
    fit.checkpoints.save_final(State(model.state_dict(), {"step": trainer.step, "epochs": config.epochs}))


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
    model = build_generator(generator_config(context), context.config.data.crop)
    model.load_state_dict(dict(CheckpointFolder(context.folder.checkpoints / STAGE).load_final().tensors))
    return model.to(context.device).eval()


def generator_config(context: Context) -> GeneratorConfig:
    if context.config.generator is None:
        raise ConfigError("generator: this run has none")
    return context.config.generator


class _SampleGrids:
    """After every so-many epochs, and the last, a grid of samples from the same latents, so that progress shows."""

    def __init__(self, context: Context, model: Generator, epochs: int) -> None:
        self._context, self._model, self._epochs = context, model, epochs

    def __call__(self, epoch: int, step: int) -> None:
        if epoch % self._context.config.training.sample_every and epoch != self._epochs:
            return
        path = self._context.folder.samples / STAGE / f"step-{step:06d}.png"
        save_grid(path, self._samples())
        relative = str(path.relative_to(self._context.folder.path))
        caption = f"samples after epoch {epoch}, normal above tumour"
        self._context.events.write(ImageSaved(stage=STAGE, step=step, path=relative, caption=caption))

    @torch.no_grad()
    def _samples(self) -> Any:
        self._model.eval()
        labels = torch.from_numpy(grid_labels()).to(self._context.device)
        return to_bytes(self._model.sample(labels, rng_at(self._context.config.seed, "grid"))).cpu().numpy()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {}

    def load(self, tensors: dict[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Nothing to go on from: a grid depends on the weights alone."""
