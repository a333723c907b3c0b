"""`ls`: every run, one line each."""

import sys
from typing import Annotated

import typer

from histotui import console
from histotui.commands.options import JsonOption, RunsOption
from histotui.filters import matching
from histotui.formats import NOTHING, interval, number, table
from histotui.index import RunIndex
from histotui.sorting import sort
from histotui.store import RunStore, runs_root
from histotui.summary import RunSummary
from histotui.text import width


def ls(
    filter: Annotated[str, typer.Option("--filter", "-f", metavar="EXPR", help="Which runs; see above.")] = "",
    order: Annotated[str, typer.Option("--sort", metavar="COLUMN", help="-COLUMN for the reverse.")] = "created",
    json: JsonOption = False,
    runs: RunsOption = None,
) -> None:
    """List runs.

    A filter is terms with spaces between, all of which must hold: `vae` (in id, name, preset or tags),
    `state=finished`, `preset!=baseline`, `auc>=0.9`, `name:pilot`, `has:notes`, `gap<0`,
    `generator.latent_dim>100`; with `and`, `or`, `not`, parentheses, and quotes to keep spaces.

    \b
    histotui ls --filter "state=finished auc>0.6" --sort -auc
    histotui ls --json | jq '.[].id'
    """
    listing = tuple(reversed(RunIndex(RunStore(runs_root(runs))).summaries()))
    found = sort(matching(filter, listing), order, among=listing)
    if json:
        console.out_json([run.tree() for run in found])
    elif found:
        _print_table(found)
    else:
        console.say(f"no runs in {runs_root(runs)}" + (f" match {filter!r}" if filter else ""))


def _print_table(found: list[RunSummary]) -> None:
    room = console.columns(sys.stdout)
    lines: list[str] = []
    for hidden in ((), ("STAGE",), ("STAGE", "95 % INTERVAL")):
        lines = _table(found, hidden, room)
        if room is None or max(map(width, lines)) <= room:
            break
    for line in lines:
        console.out(line)


def _table(found: list[RunSummary], hidden: tuple[str, ...], room: int | None) -> list[str]:
    rows = [_cells(run) for run in found]
    header = [name for name in rows[0] if name not in hidden and any(row[name] for row in rows)]
    return table(header, [[row[name] for name in header] for row in rows], room, shrink="NAME")


def _cells(run: RunSummary) -> dict[str, str]:
    score = run.answer
    return {
        "RUN": run.id,
        "NAME": run.name,
        "STATE": ", ".join(filter(None, (run.state, run.ceiling))),
        "STAGE": "" if run.state == "finished" else run.stage,
        "TESTED ON": str(score.get("tested_on", NOTHING)),
        "AUC": number(score.get("auc")),
        "95 % INTERVAL": interval(score.get("auc_low"), score.get("auc_high")),
    }
