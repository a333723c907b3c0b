"""What earlier runs on the same patches have trained already."""

from collections.abc import Callable
from typing import Final

from engine.checkpoints import CheckpointFolder, State
from engine.context import Context
from engine.narration import tell
from engine.spec.config import RunConfig
from engine.spec.errors import HistotuiError
from engine.spec.resolve import load as load_config
from engine.spec.run_folder import RunFolder
from engine.stages import prepare

Offer = Callable[[RunFolder], State | None]
"""What a run has that could be taken; None where it has nothing. May raise where its folder cannot be read."""
_LENDER: Final = "run"
"""Where a checkpoint has the run that trained it, if it is another."""


def taken_from_earlier(context: Context, offer: Offer) -> State | None:
    """The first state that a run beside this one offers, of those with exactly the same patches in the same splits."""
    fingerprint = prepare.read_manifest(context.folder)["fingerprint"]
    for path in sorted(context.folder.path.parent.glob("*/config.json")):
        folder = RunFolder(path.parent)
        if folder.path == context.folder.path:
            continue
        try:
            if prepare.read_manifest(folder)["fingerprint"] == fingerprint and (state := offer(folder)):
                return state
        # A folder that cannot be read offers nothing; it is not this run's business to complain about it.
        except (HistotuiError, OSError, KeyError, TypeError):
            continue
    return None


def takes_networks(context: Context, stage: str, recipe: Callable[[RunConfig], object]) -> bool:
    """Whether an earlier run has trained, by this recipe, what this stage would train: then it is the stage's result.

    `recipe`: everything of a config that decides the weights, the patches' content aside.
    """
    checkpoints = CheckpointFolder(context.folder.checkpoints / stage)
    # What has begun here is finished here, so that a resumed run ends as it would have.
    if checkpoints.has_begun:
        return False

    def trained(folder: RunFolder) -> State | None:
        theirs = CheckpointFolder(folder.checkpoints / stage)
        if not theirs.is_final or recipe(load_config(folder.config)) != recipe(context.config):
            return None
        state = theirs.load_final()
        return State(state.tensors, {_LENDER: folder.id} | dict(state.meta))

    found = taken_from_earlier(context, trained)
    if found is None:
        return False
    tell(f"{stage}: takes the networks of {found.meta[_LENDER]}, which were trained with the same settings")
    checkpoints.save_final(found)
    return True


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
