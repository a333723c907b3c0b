"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

RunsOption = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="Where runs lie; else $HISTOTUI_RUNS, else ./runs.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No narration on stderr.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Start it, print its id and leave it alone.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="An id, a unique beginning of one, a name, or @last.")]
RunsArgument = Annotated[
    list[str], typer.Argument(metavar="RUN...", help="Ids, unique beginnings of ids, names, or @last.")
]
