"""latent_prior: what a generator's latents are drawn from, trained on the latents of the real training patches."""

from typing import Any

from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.earlier_runs import choosing, circumstances, networks_of_earlier
from engine.generators.base import LatentGenerator
from engine.latents import LatentBatches, latents_of
from engine.monitoring.grids import SampleGrids
from engine.monitoring.monitor import fit_watched
from engine.monitoring.samples import Samples
from engine.randomness import generator as rng_at
from engine.randomness import mix
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.run_folder import RunFolder
from engine.stages import generator, prepare
from engine.trainer import Trainer

STAGE = generator.PRIOR_STAGE


def is_complete(folder: RunFolder) -> bool:
    return CheckpointFolder(folder.checkpoints / STAGE).is_final


def run(context: Context) -> None:
    """Encode every training patch, then train the prior for its own epochs; the last state is the result.

    A prior that an earlier run has trained just so is taken as it is, however it is sampled from here.
    """
    real, model = prepare.load(context), _settled(context)
    checkpoints = CheckpointFolder(context.folder.checkpoints / STAGE)
    if found := networks_of_earlier(context, STAGE, recipe, upon=generator.STAGE):
        model.latent_prior.load_state_dict(dict(found.tensors))
        SampleGrids(context, STAGE, Samples(context, STAGE, model, real.train), 0).save(0, "samples")
        checkpoints.save_final(found)
        return
    config: Any = getattr(context.config.generator, STAGE)
    seed = mix(context.config.seed, STAGE)
    latents = latents_of(model, real.train, config.flips, context.device, context.reporter(STAGE))
    batches = LatentBatches(latents, real.train.own_labels, config.batch_size, seed, context.device)
    model.latent_prior.prepare(batches.in_order, rng_at(seed, "prepare"))
    steps = config.epochs * batches.steps_per_epoch
    trainer = Trainer(model.latent_prior, batches, context.config.training, seed, context.device, steps)
    chosen = fit_watched(context, STAGE, trainer, model, real, config.epochs)
    meta = {"step": trainer.step, "epochs": config.epochs} | chosen
    checkpoints.save_final(State(model.latent_prior.state_dict(), meta))


def recipe(config: RunConfig) -> tuple[object, ...]:
    """Everything that decides the prior's weights, the data's content aside."""
    prior = config.latent_prior
    # Where samples choose the epoch, what they are drawn with chooses it too.
    apart = prior.sampling if prior is not None and config.monitoring.generator_choice == "last" else frozenset()
    own = {} if config.generator is None else config.generator.model_dump(exclude={STAGE: set(apart)})
    return own, choosing(config), circumstances(config)


def _settled(context: Context) -> LatentGenerator:
    """The generator with its networks trained, and with its prior as the seed of the run makes it."""
    model = generator.load_networks(context)
    if not isinstance(model, LatentGenerator):
        raise ConfigError("generator: this kind has no latent prior to train")
    return model
