"""`follow` and `logs`: watch a run that was started elsewhere."""

from typing import Annotated

import typer

from histotui import console
from histotui.commands.options import JsonOption, QuietOption, RunArgument, RunsOption
from histotui.logs import print_log, print_stack
from histotui.store import RunStore, runs_root


def follow(run: RunArgument, json: JsonOption = False, quiet: QuietOption = False, runs: RunsOption = None) -> None:
    """Watch a run until it ends; the exit code is the run's own.

    Ctrl-C ends the watching, not the run.

    \b
    histotui follow @last
    """
    from histotui.watching import Watch, watch_along

    watch_along(RunStore(runs_root(runs)).find(run), Watch(json=json, quiet=quiet))


def logs(
    run: RunArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    stack: Annotated[
        bool, typer.Option("--stack", help="Where the engine is now, for one that seems to hang.")
    ] = False,
    runs: RunsOption = None,
) -> None:
    """Print a run's log: what the engine wrote for people.

    \b
    histotui logs @last --follow
    """
    folder = RunStore(runs_root(runs)).find(run)
    if stack:
        print_stack(folder)
    elif not print_log(folder, follow):
        console.say(f"{folder.id} has no log yet")
