"""reference: the same classifier trained on real patches, taken from an earlier run where one has it."""

from dataclasses import asdict, replace
from functools import partial

from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.earlier_runs import circumstances, taken_from_earlier
from engine.spec.config import RunConfig
from engine.spec.resolve import load as load_config
from engine.spec.run_folder import RunFolder
from engine.stages import classifier, prepare

STAGE = "reference"


def is_complete(folder: RunFolder) -> bool:
    return CheckpointFolder(folder.checkpoints / STAGE).is_final


def run(context: Context) -> None:
    """Copy the classifier of an earlier run on the same data with the same recipe, or train it."""
    checkpoints = CheckpointFolder(context.folder.checkpoints / STAGE)
    if found := taken_from_earlier(context, STAGE, partial(_same_classifier, context.config)):
        checkpoints.save_final(found)
        return
    real = prepare.load(context)
    classifier.fit_classifier(context, STAGE, classifier.training_set(context, real, "real"))


def _same_classifier(config: RunConfig, folder: RunFolder) -> State | None:
    """The classifier that a run trained on real patches, if it is what this config would train."""
    stage = _stage_with_real_classifier(folder)
    if stage is None or _recipe(load_config(folder.config)) != _recipe(config):
        return None
    state = CheckpointFolder(folder.checkpoints / stage).load_final()
    training = classifier.Training.of(state.meta)
    return State(state.tensors, asdict(replace(training, source_run=training.source_run or folder.id)))


def _stage_with_real_classifier(folder: RunFolder) -> str | None:
    if is_complete(folder):
        return STAGE
    if classifier.is_complete(folder) and load_config(folder.config).classifier.train_on == "real":
        return classifier.STAGE
    return None


def _recipe(config: RunConfig) -> tuple[object, ...]:
    """Everything that decides a classifier trained on real patches, the data's content aside."""
    neutral = config.classifier.model_copy(
        update={"train_on": "real", "synthetic_proportion": 0.5, "real_validation": 0}
    )
    return neutral, circumstances(config)
