"""The pipeline: prepare, train the generator, synthesize, train the classifiers, evaluate, measure."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.context import Context
from engine.foresight import require_later_stages, shortage
from engine.spec.config import RunConfig
from engine.spec.events import StageFinished, StageStarted
from engine.spec.run_folder import RunFolder
from engine.stages import classifier, evaluation, generator, latent_prior, prepare, quality, reference, synthesis


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: what it does, and how its folder shows that it is done."""

    name: str
    run: Callable[[Context], None]
    is_complete: Callable[[RunFolder], bool]
    is_needed: Callable[[RunConfig], bool] = lambda config: True


def _has_generator(config: RunConfig) -> bool:
    return config.generator is not None


def _has_latent_prior(config: RunConfig) -> bool:
    return config.latent_prior is not None


def _has_synthetic(config: RunConfig) -> bool:
    return config.has_synthetic


def _measures_quality(config: RunConfig) -> bool:
    return config.measures_quality


def _needs_reference(config: RunConfig) -> bool:
    return config.evaluation.reference and config.classifier.train_on != "real"


def _prepare(context: Context) -> None:
    prepare.run(context)
    if _has_generator(context.config) and (said := shortage(context)):
        context.warn(prepare.STAGE, said)


def _train_generator(context: Context) -> None:
    require_later_stages(context)
    generator.run(context)


STAGES = (
    Stage(prepare.STAGE, _prepare, prepare.is_complete),
    Stage(generator.STAGE, _train_generator, generator.is_complete, _has_generator),
    Stage(latent_prior.STAGE, latent_prior.run, latent_prior.is_complete, _has_latent_prior),
    Stage(synthesis.STAGE, synthesis.run, synthesis.is_complete, _has_synthetic),
    Stage(classifier.STAGE, classifier.run, classifier.is_complete),
    Stage(reference.STAGE, reference.run, reference.is_complete, _needs_reference),
    Stage(evaluation.STAGE, evaluation.run, evaluation.is_complete),
    Stage(quality.STAGE, quality.run, quality.is_complete, _measures_quality),
)


def remaining(folder: RunFolder, config: RunConfig) -> Iterator[Stage]:
    """The stages that a run still needs, in order."""
    return (stage for stage in STAGES if stage.is_needed(config) and not stage.is_complete(folder))


def run_stages(context: Context, enter: Callable[[str], None]) -> None:
    """Run what remains; `enter` hears the name of each stage as it begins."""
    for stage in remaining(context.folder, context.config):
        enter(stage.name)
        began = time.monotonic()
        context.stop.raise_if_requested()
        context.events.write(StageStarted(stage=stage.name))
        stage.run(context)
        context.events.write(StageFinished(stage=stage.name, seconds=time.monotonic() - began))
