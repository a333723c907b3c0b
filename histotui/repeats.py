"""Runs that differ in their seeds alone as one row of a comparison: mean, spread, and how many there are."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from engine.spec.errors import RunFolderError
from engine.spec.run_folder import RunFolder
from histotui import console
from histotui.comparison import Row, comparison_row, doubted, only_columns, without_stamp
from histotui.formats import NOTHING, interval, number, table
from histotui.repeating import Spread
from histotui.runs import section
from histotui.settings import with_defaults
from histotui.summary import RunSummary, read_tree
from histotui.tables import as_text, as_tree

SPREAD: Final = ("loss", "accuracy", "auc", "ece", "reference_auc", "by_real_auc")
"""Measures whose standard deviation over the runs stands beside their mean, as NAME_sd."""
_MEAN: Final = (*SPREAD, "auc_low", "auc_high", "slide_low", "slide_high", "sensitivity", "specificity", "seconds")
_DEEPEST: Final = 10

Seeds = tuple[Any, ...]

NOTE: Final = (
    "Means over runs that differ in their seeds alone ± their standard deviation; the intervals are over test patches, "
    "in the mean of the runs."
)


def print_repeats(folders: Sequence[RunFolder], format: str, columns: str | None = None) -> None:
    """The runs in one of the formats on stdout, those that differ in their seeds alone as one row."""
    rows = repeat_rows(doubted(folders))
    if format == "table" and columns is None:
        for line in repeat_lines(rows, console.columns(sys.stdout)):
            console.out(line)
        console.say(NOTE)
        return
    rows = rows if columns is None else only_columns(rows, columns.split(","))
    if format == "json":
        console.out_json(as_tree(rows))
    else:
        console.out(as_text(rows, None, format).rstrip("\n"))


def repeats(runs: Sequence[RunSummary]) -> list[tuple[RunSummary, ...]]:
    """The runs in groups that differ in seeds alone, in the order of their first ones."""
    groups: dict[str, list[RunSummary]] = {}
    for run in runs:
        groups.setdefault(_setting(run.config), []).append(run)
    return [tuple(group) for group in groups.values()]


def repeat_rows(runs: Sequence[RunSummary]) -> list[Row]:
    """A row for each group of repeats: what they share as it is, measures in the mean of those that have a score."""
    groups = repeats(runs)
    return [_row(group, label) for group, label in zip(groups, _labels(groups), strict=True)]


def repeat_lines(rows: Sequence[Row], columns: int | None = None) -> list[str]:
    """The rows as aligned lines for people."""
    header = ["REPEATS OF", "N", "TRAINED", "TESTED", "ACC.", "AUC", "95 % INTERVAL", "STUDY"]
    return table(header, [_cells(row) for row in rows], columns, shrink="REPEATS OF")


def _setting(config: Mapping[str, Any], depth: int = 0) -> str:
    """What is the same for repeats: the config without its seeds, nor those of the run whose patches it took."""
    config = with_defaults(config)
    data = {name: value for name, value in section(config, "data").items() if name != "share_seed"}
    synthesis = dict(section(config, "synthesis"))
    if synthesis.get("source") and depth < _DEEPEST:
        synthesis["source"] = _of_lender(str(synthesis["source"]), depth)
    same = {name: value for name, value in config.items() if name != "seed"}
    return json.dumps({**same, "data": data, "synthesis": synthesis}, sort_keys=True)


def _seeds(config: Mapping[str, Any], depth: int = 0) -> Seeds:
    """The seeds that repeats differ in: the run's own, then those of the run whose patches it took."""
    config = with_defaults(config)
    own = config.get("seed"), section(config, "data").get("share_seed")
    source = section(config, "synthesis").get("source")
    if not source or depth >= _DEEPEST:
        return own
    try:
        return *own, *_seeds(read_tree(RunFolder(Path(str(source))).config), depth + 1)
    except RunFolderError:
        return *own, source


def _of_lender(source: str, depth: int) -> str:
    """The setting of the run at this path; the path itself where there is none any more."""
    try:
        return _setting(read_tree(RunFolder(Path(source)).config), depth + 1)
    except RunFolderError:
        return source


def _labels(groups: Sequence[Sequence[RunSummary]]) -> Iterator[str]:
    """What each group is called: the name that its runs share, else their preset; an id where two are called alike."""
    short = [_shared_name(group) or group[0].preset for group in groups]
    for group, label in zip(groups, short, strict=True):
        yield label if short.count(label) == 1 else without_stamp(group[0].id)


def _shared_name(group: Sequence[RunSummary]) -> str:
    """The name that all have, but for the seed that `run --repeat` writes behind it."""
    names = {run.name.removesuffix(f" seed {run.config.get('seed')}") for run in group}
    return names.pop() if len(names) == 1 else ""


def _row(group: Sequence[RunSummary], label: str) -> Row:
    scored = _of_each_seed(group)
    rows = [comparison_row(run) for run in scored]
    first = rows[0] if rows else comparison_row(group[0])
    shared = {name: value for name, value in first.items() if all(row[name] == value for row in rows)}
    spreads = {name: spread for name in _MEAN if (spread := _spread(rows, name))}
    return {
        **{name: shared.get(name) for name in first},
        "run": " ".join(run.id for run in group),
        "name": label,
        "state": shared.get("state", "several"),
        **{name: spread.mean for name, spread in spreads.items()},
        **{f"{name}_sd": spreads[name].deviation if name in spreads else None for name in SPREAD},
        "runs": len(rows),
        "seeds": " ".join(str(run.config.get("seed")) for run in scored),
    }


def _of_each_seed(group: Sequence[RunSummary]) -> list[RunSummary]:
    """The newest run of each seed that has a score: the same seed twice is no repeat."""
    found: dict[Seeds, RunSummary] = {}
    for run in group:
        key = _seeds(run.config)
        if run.answer and (key not in found or run.created >= found[key].created):
            found[key] = run
    return list(found.values())


def _spread(rows: Sequence[Row], name: str) -> Spread | None:
    """The spread of a measure that all runs have; None where one lacks it."""
    values = [row[name] for row in rows]
    if not values or not all(isinstance(value, int | float) for value in values):
        return None
    return Spread.of([float(value) for value in values])


def _cells(row: Row) -> list[str]:
    return [
        row["name"],
        str(row["runs"]),
        row["trained_on"] or NOTHING,
        row["tested_on"] or NOTHING,
        _with_spread(row, "accuracy"),
        _with_spread(row, "auc"),
        interval(row["auc_low"], row["auc_high"]),
        number(row["study_auc"]),
    ]


def _with_spread(row: Row, name: str) -> str:
    deviation = row[f"{name}_sd"]
    return number(row[name]) + ("" if deviation is None else f" ± {number(deviation)}")
