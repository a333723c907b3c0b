"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from histotui.store import RunStore, runs_root

RunsOption = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="Where runs lie; else $HISTOTUI_RUNS, else ./runs.")
]
ImagesOption = Annotated[
    str | None,
    typer.Option("--images", metavar="KIND", help="How to draw pictures: auto, kitty, sixel, halfcell, unicode, off."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No narration on stderr.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Start it, print its id and leave it alone.")]


def complete_run(incomplete: str) -> list[str]:
    """Ids and names for the shell; runs under a folder given by --runs are not known to it."""
    summaries = RunStore(runs_root(None)).summaries()
    known = ["@last", *(word for run in summaries for word in (run.id, run.name) if word)]
    return [word for word in known if word.startswith(incomplete)]


RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="An id, a unique beginning of one, a name, or @last.", autocompletion=complete_run
    ),
]
RunsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...", help="Ids, unique beginnings of ids, names, or @last.", autocompletion=complete_run
    ),
]
