"""The results of several runs as one table."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.quality import read_quality
from engine.spec.resolve import flatten
from engine.spec.run_folder import RUN_ID, RunFolder
from engine.spec.scores import slide_interval
from histotui import console
from histotui.doubts import doubts, incomparable
from histotui.formats import NOTHING, interval, number, table
from histotui.paired import paired_lines, paired_rows
from histotui.quality import BOTH
from histotui.runs import section
from histotui.settings import lent_by, study_beside, written
from histotui.summary import RunSummary, readable
from histotui.tables import as_text, as_tree
from histotui.text import width

Row = dict[str, Any]

_MEASURED = (
    "data", "trained_on", "tested_on", "n_train", "n_test", "loss", "accuracy", "auc", "auc_low", "auc_high", "ece",
    "sensitivity", "specificity", "selected_on",
)  # fmt: skip


_WHERE_KNOWN = ("BY SLIDES", "BY REAL")

_BETTER: Mapping[str, Callable[[Sequence[float]], float]] = {
    "loss": min,
    "accuracy": max,
    "auc": max,
    "ece": min,
    "sensitivity": max,
    "specificity": max,
}
"""Measures that have a best value, and which it is."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs side by side, in the order asked for."""

    runs: tuple[RunSummary, ...] = ()
    labels: tuple[str, ...] = ()
    """What each run is called in tables and figures: short, and no two the same."""
    rows: tuple[Row, ...] = ()
    doubts: tuple[str, ...] = ()
    differences: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each setting in which the runs differ, with its value in every one."""
    best: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """By measure, the places of the rows that have the best value; none where they cannot be compared."""


def compare_runs(runs: Sequence[RunSummary]) -> Comparison:
    """These runs as the comparison of them; reads their manifests."""
    rows = tuple(map(comparison_row, runs))
    return Comparison(
        tuple(runs),
        tuple(short_labels(runs)),
        rows,
        tuple(doubts(runs)),
        tuple(config_differences([run.config for run in runs])),
        {} if any(incomparable(runs)) else best(rows),
    )


def best(rows: Sequence[Row]) -> dict[str, frozenset[int]]:
    """By measure, the places of its best value among two or more."""
    found = {}
    for measure, better in _BETTER.items():
        values = {place: row[measure] for place, row in enumerate(rows) if isinstance(row[measure], int | float)}
        if len(values) > 1:
            top = better(list(values.values()))
            found[measure] = frozenset(place for place, value in values.items() if value == top)
    return found


def short_labels(runs: Sequence[RunSummary]) -> Iterator[str]:
    """Each run's name, or its id without the time; the id where another run is called the same."""
    short = [run.name or without_stamp(run.id) for run in runs]
    for run, label in zip(runs, short, strict=True):
        yield label if short.count(label) == 1 else run.id


def config_differences(configs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every setting that isn't the same in all configs, with its values; a dash where a config has no such setting."""
    flat = [dict(flatten(dict(config))) for config in configs]
    paths = dict.fromkeys(path for settings in flat for path in settings)
    for path in paths:
        values = tuple(written(settings[path]) if path in settings else NOTHING for settings in flat)
        if len(set(values)) > 1:
            yield path, values


def print_comparison(
    folders: Sequence[RunFolder], format: str, columns: str | None = None, paired: bool = False
) -> None:
    """The runs in one of the formats on stdout, all columns or those named; doubts about comparing on stderr.

    `paired` adds the tests of every two runs' AUCs.
    """
    runs, rows = read_rows(folders, columns)
    tests = paired_rows(runs) if paired else None
    if tests == []:
        console.say("warning: fewer than two of the runs have scores: there is nothing to test")
    if format == "json":
        console.out_json(as_tree(rows, tests))
    elif format == "table" and columns is None:
        for line in _table(rows):
            console.out(line)
        for line in ("", *paired_lines(tests)) if tests else ():
            console.out(line)
    else:
        console.out(as_text(rows, tests, format).rstrip("\n"))


def read_rows(folders: Sequence[RunFolder], columns: str | None) -> tuple[list[RunSummary], list[Row]]:
    """These runs, and a row for each with all columns or those named; doubts about comparing are said."""
    runs = doubted(folders)
    rows = [comparison_row(run) for run in runs]
    return runs, rows if columns is None else only_columns(rows, columns.split(","))


def doubted(folders: Sequence[RunFolder]) -> list[RunSummary]:
    """These runs; what stands against comparing them is said on stderr."""
    runs = [readable(folder) for folder in folders]
    for doubt in doubts(runs):
        console.say(f"warning: {doubt}")
    return runs


def comparison_row(run: RunSummary) -> Row:
    """One run's answer with its settings and the study's figures."""
    generator, study = section(run.config, "generator"), study_beside(run.config)
    reference, by_real = run.reference, run.epoch_by_real
    slide_low, slide_high = slide_interval(run.answer)
    return {
        "run": run.id,
        "name": run.name,
        "preset": run.preset,
        "state": run.state,
        "latent": generator.get("latent_dim"),
        "channels": generator.get("channels"),
        "generator_epochs": generator.get("epochs"),
        "synthetic_of": lent_by(run.config),
        "classifier_epochs": section(run.config, "classifier").get("epochs"),
        **{name: run.answer.get(name) for name in _MEASURED},
        "slide_low": slide_low,
        "slide_high": slide_high,
        **_quality_columns(run),
        "reference_auc": reference.get("auc"),
        "by_real_auc": by_real.get("auc"),
        "by_real_low": by_real.get("auc_low"),
        "by_real_high": by_real.get("auc_high"),
        "study_loss": study.loss if study else None,
        "study_accuracy": study.accuracy if study else None,
        "study_auc": study.auc if study else None,
        "study_note": study.note if study else "",
        "seconds": run.seconds,
        "device": run.device,
    }


def _quality_columns(run: RunSummary) -> Row:
    """A few measures of both classes in the run's first feature space, which is the same for all runs."""
    try:
        sheet = read_quality(run.folder.quality)
    except RunFolderError:
        sheet = None
    both = next((row for row in sheet.comparisons if row.of == BOTH), None) if sheet else None
    copies = sheet.copies if sheet else None
    return {
        "quality_by": both.space if both else "",
        "quality_patches": both.patches if both else None,
        "frechet": both.synthetic.frechet if both else None,
        "frechet_floor": both.floor.frechet if both else None,
        "coverage": both.synthetic.coverage if both else None,
        "coverage_floor": both.floor.coverage if both else None,
        "copied": copies.matched if copies else None,
    }


def only_columns(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """The rows with these columns in this order; ConfigError where there is no such column."""
    unknown = [name for name in columns if name not in rows[0]]
    if unknown:
        raise ConfigError(f"--columns {unknown[0]}: unknown; there are {', '.join(rows[0])}")
    return [{name: row[name] for name in columns} for row in rows]


def _table(rows: Sequence[Row]) -> list[str]:
    room = console.columns(sys.stdout)
    lines: list[str] = []
    for hidden in ((), ("LOSS",), ("LOSS", "ACC."), ("LOSS", "ACC.", "BY REAL")):
        lines = _lines(rows, hidden, room)
        if room is None or max(map(width, lines)) <= room:
            break
    return lines


def _lines(rows: Sequence[Row], hidden: Sequence[str], room: int | None) -> list[str]:
    """The table without some columns, and without those that only some comparisons have where this one doesn't."""
    cells = [_cells(row) for row in rows]
    empty = [name for name in _WHERE_KNOWN if all(row[name] == NOTHING for row in cells)]
    header = [name for name in cells[0] if name not in (*hidden, *empty)]
    return table(header, [[row[name] for name in header] for row in cells], room, shrink="RUN")


def _cells(row: Row) -> dict[str, str]:
    return {
        "RUN": row["name"] or without_stamp(row["run"]),
        "TRAINED": row["trained_on"] or NOTHING,
        "TESTED": row["tested_on"] or NOTHING,
        "LOSS": number(row["loss"]),
        "ACC.": number(row["accuracy"]),
        "AUC": number(row["auc"]),
        "95 % INTERVAL": interval(row["auc_low"], row["auc_high"]),
        "BY SLIDES": interval(row["slide_low"], row["slide_high"]),
        "BY REAL": number(row["by_real_auc"]),
        "STUDY": number(row["study_auc"]),
    }


def without_stamp(run_id: str) -> str:
    """A run's id without its time."""
    match = RUN_ID.fullmatch(run_id)
    return f"{match['preset']}-{match['random']}" if match else run_id
