"""reference: the same classifier trained on real patches, taken from an earlier run where one has it."""

from dataclasses import asdict, replace

from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.spec.config import RunConfig
from engine.spec.errors import HistotuiError
from engine.spec.resolve import load as load_config
from engine.spec.run_folder import RunFolder
from engine.stages import classifier, prepare

STAGE = "reference"


def is_complete(folder: RunFolder) -> bool:
    return CheckpointFolder(folder.checkpoints / STAGE).is_final


def run(context: Context) -> None:
    """Copy the classifier of an earlier run on the same data with the same recipe, or train it."""
    checkpoints = CheckpointFolder(context.folder.checkpoints / STAGE)
    # A reference that has begun here is finished here, so that a resumed run ends as it would have.
    found = None if checkpoints.has_begun else _find_earlier(context)
    if found is not None:
        checkpoints.save_final(found)
        return
    real = prepare.load(context)
    classifier.fit_classifier(context, STAGE, classifier.training_set(context, real, "real"))


def _find_earlier(context: Context) -> State | None:
    fingerprint = prepare.read_manifest(context.folder)["fingerprint"]
    for path in sorted(context.folder.path.parent.glob("*/config.json")):
        folder = RunFolder(path.parent)
        try:
            state = _same_classifier(folder, context.config, fingerprint)
        # A folder that cannot be read is no reference; it is not this run's business to complain about it.
        except (HistotuiError, OSError, KeyError, TypeError):
            continue
        if folder.path != context.folder.path and state is not None:
            return state
    return None


def _same_classifier(folder: RunFolder, config: RunConfig, fingerprint: str) -> State | None:
    """The classifier that a run trained on real patches, if it is what this config would train."""
    stage = _stage_with_real_classifier(folder)
    if stage is None or prepare.read_manifest(folder)["fingerprint"] != fingerprint:
        return None
    if _recipe(load_config(folder.config)) != _recipe(config):
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
    # Where patches come from and how they were chosen does not matter when they are the same.
    chosen = {"train_share", "tumour_share", "share_seed"}
    data = config.data.model_dump(exclude={"source", "tissue", "broken", "broken_limit", *chosen})
    precision = (config.training.precision, config.training.deterministic, config.training.threads, config.device)
    return neutral, tuple(sorted(data.items())), precision, config.seed
