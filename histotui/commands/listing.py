"""`ls`: every run, one line each."""

import sys
from typing import Annotated

import typer

from histotui import console
from histotui.commands.options import JsonOption, RunsOption
from histotui.filters import matching
from histotui.formats import NOTHING, interval, number, table
from histotui.sorting import sort
from histotui.store import RunStore, runs_root
from histotui.summary import RunSummary


def ls(
    filter: Annotated[str, typer.Option("--filter", "-f", metavar="EXPR", help="Which runs; see below.")] = "",
    order: Annotated[str, typer.Option("--sort", metavar="COLUMN", help="-COLUMN for the reverse.")] = "created",
    json: JsonOption = False,
    runs: RunsOption = None,
) -> None:
    """List runs.

    A filter is terms with spaces between, all of which must hold: `vae` (in id, name, preset or tags),
    `state=finished`, `preset!=baseline`, `auc>=0.9`, `name:pilot`, `cfg.generator.latent_dim>100`.

    \b
    histotui ls --filter "state=finished auc>0.6" --sort -auc
    histotui ls --json | jq '.[].id'
    """
    found = sort(matching(filter, RunStore(runs_root(runs)).summaries()), order)
    if json:
        console.out_json([run.tree() for run in found])
    elif found:
        _print_table(found)
    else:
        console.say(f"no runs in {runs_root(runs)}" + (f" match {filter!r}" if filter else ""))


def _print_table(found: list[RunSummary]) -> None:
    named = any(run.name for run in found)
    header = ["RUN", *(["NAME"] if named else []), "STATE", "TESTED ON", "AUC", "95 % INTERVAL"]
    rows = [[run.id, *([run.name] if named else []), *_cells(run)] for run in found]
    for line in table(header, rows, console.columns(sys.stdout), shrink="NAME"):
        console.out(line)


def _cells(run: RunSummary) -> list[str]:
    score = run.answer
    state = f"{run.state}: {run.stage}" if run.stage and run.state != "finished" else run.state
    bounds = interval(score.get("auc_low"), score.get("auc_high"))
    return [state, str(score.get("tested_on", NOTHING)), number(score.get("auc")), bounds]
