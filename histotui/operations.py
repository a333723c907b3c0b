"""What can be done to runs from any screen. Every function may wait for a process or a disk: call it in a thread."""

from collections.abc import Callable, Sequence

from engine.spec.errors import HistotuiError, RunFolderError
from engine.spec.run_folder import RunFolder
from histotui.launcher import start_engine
from histotui.stopping import Question, check_resumable, kill_run, stop_run
from histotui.store import RunStore
from histotui.watcher import Engines

Operation = Callable[[], str]
"""Does something and says what was done; HistotuiError where it could not be."""


def stop(folder: RunFolder, is_called_off: Question) -> str:
    """Ask a run to stop with a checkpoint, and wait for it unless that is called off."""
    said: list[str] = []
    stop_run(folder, say=said.append, is_called_off=is_called_off)
    return said[-1]


def kill(folder: RunFolder) -> str:
    """Kill a run without a checkpoint."""
    said: list[str] = []
    kill_run(folder, say=said.append)
    return said[-1]


def resume(folder: RunFolder, engines: Engines) -> str:
    """Go on with a run from its last checkpoint."""
    check_resumable(folder)
    engines.add(start_engine(folder))
    return f"{folder.id}: goes on from its last checkpoint"


def trash(store: RunStore, folders: Sequence[RunFolder]) -> str:
    """Move runs to the trash; what stays where it is, as a live one does, is in the RunFolderError after that."""
    moved, left = [], []
    for folder in folders:
        try:
            store.trash(folder)
            moved.append(folder)
        except HistotuiError as error:
            left.append(str(error))
    done = f"{named(moved)} in the trash; u brings runs back" if moved else ""
    if left:
        raise RunFolderError("; ".join(filter(None, (*left, done))))
    return done


def restore(store: RunStore, reference: str) -> str:
    """Bring a run back from the trash."""
    return f"{store.restore(reference).id}: back"


def named(folders: Sequence[RunFolder]) -> str:
    """One run by its id, several by their number."""
    return folders[0].id if len(folders) == 1 else f"{len(folders)} runs"
