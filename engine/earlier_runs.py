"""What earlier runs on the same patches have trained already."""

from collections.abc import Callable

from engine.checkpoints import State
from engine.context import Context
from engine.spec.config import RunConfig
from engine.spec.errors import HistotuiError
from engine.spec.run_folder import RunFolder
from engine.stages import prepare

Offer = Callable[[RunFolder], State | None]
"""What a run has that could be taken; None where it has nothing. May raise where its folder cannot be read."""


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


def circumstances(config: RunConfig) -> tuple[object, ...]:
    """What decides any model's weights beside its own settings, the patches' content aside."""
    # Where patches come from and how they were chosen does not matter when they are the same.
    chosen = {"train_share", "tumour_share", "share_seed"}
    data = config.data.model_dump(exclude={"source", "tissue", "broken", "broken_limit", *chosen})
    training = config.training
    arithmetic = (training.precision, training.compile, training.deterministic, training.threads, config.device)
    return tuple(sorted(data.items())), arithmetic, config.seed
