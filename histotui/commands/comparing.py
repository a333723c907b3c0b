"""`compare`: runs side by side."""

from enum import StrEnum
from typing import Annotated

import typer

from histotui.commands.options import RunsArgument, RunsOption
from histotui.store import RunStore, runs_root


class Format(StrEnum):
    """How a comparison is written."""

    TABLE = "table"
    CSV = "csv"
    MARKDOWN = "md"
    LATEX = "latex"
    JSON = "json"


def compare(
    selected: RunsArgument,
    format: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B,C", help="Only these columns, in this order.")
    ] = None,
    runs: RunsOption = None,
) -> None:
    """Put the results of runs side by side, with the study's.

    \b
    histotui compare baseline-a vae-a vae-b
    histotui compare baseline-a vae-a --format latex > table1.tex
    histotui compare baseline-a vae-a --format md --columns preset,auc,auc_low,auc_high,seconds
    """
    from histotui.comparison import print_comparison

    store = RunStore(runs_root(runs))
    print_comparison([store.find(reference) for reference in selected], format.value, columns)
