"""`compare`: runs side by side."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from engine.spec.errors import ConfigError
from histotui import console
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
    paired: Annotated[
        bool,
        typer.Option(
            "--paired", help="Test every two AUCs: a second table; in csv, which has one table, in its place."
        ),
    ] = False,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="Runs that differ in their seeds alone as one row: mean, spread, number.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="DIR", help="Write tables in every format, the tests and figures to a folder."
        ),
    ] = None,
    runs: RunsOption = None,
) -> None:
    """Put the results of runs side by side, with the study's.

    The test is DeLong's for two AUCs on the same patches: the second run's AUC less the first's, its 95 % interval, and
    p, not corrected for the number of tests. Where slides are known these are taken as independent, and not patches.
    With it JSON is an object of `runs` and `paired_tests`; --export writes the tests into table.md, table.tex and
    table.json, and for CSV into paired.csv beside table.csv.

    \b
    histotui compare baseline-a vae-a vae-b
    histotui compare baseline-a vae-a --format latex > table1.tex
    histotui compare baseline-a vae-a --format md --columns preset,auc,auc_low,auc_high,seconds
    histotui compare baseline-a vae-a --export figures
    histotui compare $(histotui ls --json | jq -r '.[].id') --repeats
    """
    if repeats and (paired or export is not None):
        other = "--paired" if paired else "--export"
        raise ConfigError(f"{other} is about single runs and --repeats about means of them: leave one of the two out")
    folders = [RunStore(runs_root(runs)).find(reference) for reference in selected]
    if export is not None:
        from histotui.exporting import write_export

        console.out(str(write_export(folders, export, columns)))
        return
    if repeats:
        from histotui.repeats import print_repeats

        print_repeats(folders, format.value, columns)
        return
    from histotui.comparison import print_comparison

    print_comparison(folders, format.value, columns, paired)
