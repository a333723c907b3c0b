"""`rm` and `restore`."""

from histotui import console
from histotui.commands.options import RunArgument, RunsArgument, RunsOption
from histotui.store import RunStore, runs_root


def rm(selected: RunsArgument, runs: RunsOption = None) -> None:
    """Move runs to the trash, .trash in their folder. A run that works is left alone.

    \b
    histotui rm pilot 20261123-15
    """
    store = RunStore(runs_root(runs))
    # Every name is looked up before anything moves, so that a wrong one moves nothing.
    folders = {folder.path: folder for folder in map(store.find, selected)}
    for folder in folders.values():
        store.trash(folder)
        console.say(f"{folder.id}: in the trash, from which `histotui restore` brings it back")


def restore(run: RunArgument, runs: RunsOption = None) -> None:
    """Bring a run back from the trash."""
    folder = RunStore(runs_root(runs)).restore(run)
    console.say(f"{folder.id}: back")
