"""generator: the generator trained on the real training patches."""

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from engine.batches import TrainingBatches
from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.earlier_runs import choosing, circumstances, networks_of_earlier
from engine.fitting import Fit
from engine.generators import build_generator
from engine.generators.base import Generator, LatentGenerator
from engine.monitoring.grids import SampleGrids
from engine.monitoring.monitor import fit_watched
from engine.monitoring.samples import Samples, fit
from engine.randomness import mix, seed_torch
from engine.spec.config import RunConfig
from engine.spec.config_parts import FitConfig
from engine.spec.errors import ConfigError
from engine.spec.generator_config import GeneratorConfig
from engine.spec.run_folder import RunFolder
from engine.stages import prepare
from engine.stages.prepare import RealPatches
from engine.trainer import Trainer

STAGE = "generator"
PRIOR_STAGE: Final = "latent_prior"


def is_complete(folder: RunFolder) -> bool:
    return CheckpointFolder(folder.checkpoints / STAGE).is_final


def run(context: Context) -> None:
    """Train for the configured epochs, compute what takes all patches at once; the last state is the result.

    With `monitoring.generator_choice` the weights of an earlier epoch may be taken instead. Networks between patches
    and latents that an earlier run has trained just so are taken as they are, whatever draws the latents here.
    """
    in_part = context.config.synthesis.reconstruct or context.config.latent_prior is not None
    if in_part and (found := networks_of_earlier(context, STAGE, _recipe)):
        CheckpointFolder(context.folder.checkpoints / STAGE).save_final(found)
        return
    config, real = generator_config(context), prepare.load(context)
    model = _untrained(context).to(context.device)
    model.require([len(real.train) - real.train.tumours, real.train.tumours])
    meta = _train(context, model, config, real) if isinstance(config, FitConfig) else {}
    fit(context, STAGE, model, real.train, context.reporter(STAGE))
    if not meta:
        SampleGrids(context, STAGE, Samples(context, STAGE, model, real.train), 0).save(0, "samples")
    CheckpointFolder(context.folder.checkpoints / STAGE).save_final(State(_networks(model.state_dict()), meta))


def _recipe(config: RunConfig) -> tuple[object, ...]:
    """Everything that decides the networks, the data's content aside."""
    own = {} if config.generator is None else config.generator.model_dump(exclude={PRIOR_STAGE})
    return own, choosing(config), circumstances(config)


def _train(context: Context, model: Generator, config: FitConfig, real: RealPatches) -> dict[str, Any]:
    """Take every step; how many there were, and whose weights were taken."""
    seed = mix(context.config.seed, STAGE)
    batches = TrainingBatches(real.train, config.batch_size, seed, context.device, "generator.batch_size")
    steps = config.epochs * batches.steps_per_epoch
    trainer = Trainer(model, batches, context.config.training, seed, context.device, steps)
    require_every_phase(model, steps)
    if isinstance(model, LatentGenerator):
        # There is nothing yet to draw latents from; the stage that trains it looks at samples.
        grids = SampleGrids(
            context, STAGE, Samples(context, STAGE, model, real.train), config.epochs, reconstructs=True
        )
        Fit(context, STAGE, trainer, config.epochs, grids).run()
        chosen = {}
    else:
        chosen = fit_watched(context, STAGE, trainer, model, real, config.epochs)
    return {"step": trainer.step, "epochs": config.epochs} | chosen


def require_every_phase(model: Generator, steps: int) -> None:
    """ConfigError where a phase would begin after the last step, and what it trains would stay as it was."""
    for phase in model.phases():
        if not any(phase.is_due(step) for step in range(phase.start, min(steps, phase.start + phase.every))):
            late = f"it begins after {phase.start} steps", "pretrain_steps"
            seldom = f"it takes part in every {phase.every}th step", "discriminator_steps"
            why, setting = late if phase.start >= steps else seldom
            raise ConfigError(
                f"generator: its phase {phase.name} would never take part: {why} and there are {steps}; train for more "
                f"epochs or lower generator.{setting}"
            )


def load(context: Context) -> Generator:
    """The trained generator, ready to sample."""
    model = load_networks(context)
    if isinstance(model, LatentGenerator):
        prior = CheckpointFolder(context.folder.checkpoints / PRIOR_STAGE).load_final()
        model.latent_prior.load_state_dict(dict(prior.tensors))
    return model


def load_networks(context: Context) -> Generator:
    """What this stage has trained; what a later one trains is as the seed of the run makes it."""
    model = _untrained(context)
    trained = CheckpointFolder(context.folder.checkpoints / STAGE).load_final().tensors
    own = model.state_dict()
    model.load_state_dict(_networks(trained) | {name: own[name] for name in own.keys() - _networks(own).keys()})
    return model.to(context.device).eval()


def _untrained(context: Context) -> Generator:
    """The generator as the seed of the run makes it."""
    seed_torch(context.device, mix(context.config.seed, STAGE), "weights")
    return build_generator(generator_config(context), context.config.data.crop)


def _networks(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A generator's tensors without those of the prior that a later stage trains."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{PRIOR_STAGE}.")}


def generator_config(context: Context) -> GeneratorConfig:
    if context.config.generator is None:
        raise ConfigError("generator: this run has none")
    return context.config.generator
