"""What earlier runs on the same patches have trained already."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.narration import tell
from engine.spec.config import RunConfig
from engine.spec.environments import read_environments
from engine.spec.errors import HistotuiError
from engine.spec.resolve import load as load_config
from engine.spec.run_folder import RunFolder
from engine.stages import prepare

Offer = Callable[[RunFolder], State | None]
"""What a run has that could be taken; None where it has nothing. May raise where its folder cannot be read."""
Recipe = Callable[[RunConfig], object]
"""Everything of a config that decides a stage's weights, the patches' content aside."""
_LENDER: Final = "run"
"""Where a checkpoint has the run that trained it, if it is another."""


def taken_from_earlier(context: Context, stage: str, offer: Offer) -> State | None:
    """The first state for this stage that a run beside this one offers, of those that it can be taken from.

    They have exactly the same patches in the same splits and groups, and the same program on the same kind of machine
    has run them from their beginning. None where `training.reuse` is off, or the stage has begun.
    """
    # What has begun here is finished here, so that a resumed run ends as it would have.
    if not context.config.training.reuse or CheckpointFolder(context.folder.checkpoints / stage).has_begun:
        return None
    own = _patches(context.folder), set(_programs(context.folder)[:1])
    for path in sorted(context.folder.path.parent.glob("*/config.json")):
        folder = RunFolder(path.parent)
        if folder.path == context.folder.path:
            continue
        try:
            theirs = _patches(folder), set(_programs(folder))
            if theirs == own and (state := offer(folder)):
                return state
        # A folder that cannot be read offers nothing; it is not this run's business to complain about it.
        except (HistotuiError, OSError, ValueError, KeyError, TypeError):
            continue
    return None


def networks_of_earlier(context: Context, stage: str, recipe: Recipe, upon: str | None = None) -> State | None:
    """What this stage would train, as an earlier run has trained it by the same recipe; None where none has.

    `upon`: an earlier stage, whose result must be the same to the last bit in both.
    """

    def ground(folder: RunFolder) -> str | None:
        return None if upon is None else CheckpointFolder(folder.checkpoints / upon).final_digest()

    own = recipe(context.config), ground(context.folder)

    def trained(folder: RunFolder) -> State | None:
        theirs = CheckpointFolder(folder.checkpoints / stage)
        if not theirs.is_final or (recipe(load_config(folder.config)), ground(folder)) != own:
            return None
        state = theirs.load_final()
        return State(state.tensors, {_LENDER: folder.id} | dict(state.meta))

    found = taken_from_earlier(context, stage, trained)
    if found is not None:
        tell(f"{stage}: takes the networks of {found.meta[_LENDER]}, which were trained with the same settings")
    return found


def was_taken(meta: Mapping[str, Any]) -> bool:
    """Whether what is saved beside a result says that another run has trained it: networks, or a reference."""
    return any(meta.get(name) is not None for name in (_LENDER, "source_run"))


def lender_notes(folder: RunFolder) -> list[str]:
    """Of each stage whose networks were taken from an earlier run, from which."""
    stages = sorted(folder.checkpoints.glob("*/final"))
    lenders = {path.parent.name: CheckpointFolder(path.parent).final_meta().get(_LENDER) for path in stages}
    return [
        f"The networks of stage {stage} are those of {lender}, which trained them with the same settings."
        for stage, lender in lenders.items()
        if lender is not None
    ]


def circumstances(config: RunConfig) -> tuple[object, ...]:
    """What decides any model's weights beside its own settings, the patches' content aside."""
    # Where patches come from and how they were chosen does not matter when they are the same.
    chosen = {"train_share", "tumour_share", "share_seed"}
    data = config.data.model_dump(exclude={"source", "tissue", "broken", "broken_limit", *chosen})
    training = config.training
    arithmetic = (training.precision, training.compile, training.deterministic, training.threads, config.device)
    return tuple(sorted(data.items())), arithmetic, config.seed


def choosing(config: RunConfig) -> tuple[object, ...]:
    """What decides which epoch's weights a generator is left with, beside what it trains."""
    if config.monitoring.generator_choice == "last":
        return ()
    # Where a source has no validation split, patches are held out by the classifier's fraction.
    return config.monitoring, config.classifier.validation_fraction


def _patches(folder: RunFolder) -> tuple[object, ...]:
    manifest = prepare.read_manifest(folder)
    return manifest["fingerprint"], manifest.get("grouping")


def _programs(folder: RunFolder) -> list[tuple[object, ...]]:
    """What decides how numbers come out, beside the config, of all that has worked on a run, the last first."""
    names = "engine_sha256", "device", "device_name", "threads"
    return [
        (*(said[name] for name in names), said["packages"]["torch"]) for said in read_environments(folder.environment)
    ]
