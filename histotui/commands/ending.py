"""`stop` and `resume`."""

from typing import Annotated

import typer

from histotui.commands.options import DetachOption, JsonOption, QuietOption, RunArgument, RunsOption
from histotui.store import RunStore, runs_root


def stop(
    run: RunArgument,
    now: Annotated[bool, typer.Option("--now", help="Kill it and its workers without a checkpoint.")] = False,
    runs: RunsOption = None,
) -> None:
    """Ask a run to stop with a checkpoint, and wait for it.

    Of a run that is stopping already, this only waits for the end.

    \b
    histotui stop @last
    histotui stop 20261123-15 --now
    """
    from histotui.stopping import kill_run, stop_run

    folder = RunStore(runs_root(runs)).find(run)
    if now:
        kill_run(folder)
    else:
        stop_run(folder)


def resume(
    run: RunArgument,
    detach: DetachOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    runs: RunsOption = None,
) -> None:
    """Go on with a run from its last checkpoint.

    For runs that were stopped, failed or were lost.

    \b
    histotui resume @last
    """
    from histotui.stopping import check_resumable
    from histotui.watching import Watch, watch

    folder = RunStore(runs_root(runs)).find(run)
    check_resumable(folder)
    watch(lambda: folder, Watch(detach, json, quiet))
