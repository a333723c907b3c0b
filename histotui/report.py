"""The result of a run for people: its row of Table 1, confusion matrix and what must be known beside them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.spec.presets import StudyResult
from engine.spec.scores import slide_interval
from histotui import console
from histotui.console import Paint
from histotui.formats import NOTHING, count, interval, number, table
from histotui.quality import quality_of
from histotui.runs import expected_stages, section
from histotui.settings import KAGGLE_TEST, TISSUE, departures, lent_by, study_beside, written
from histotui.summary import RunSummary, read_tree, strings
from histotui.text import width

_CALLED = ("called normal", "called tumour")
_TRUTH = ("normal", "tumour")
_LABEL, _CELL = 16, 16
_ROWS = (
    "trained on", "tested on", "training patches", "test patches", "loss", "accuracy", "AUC", "95 % interval",
    "95 % by slides",
)  # fmt: skip
_WHERE_KNOWN = ("95 % by slides",)

Tree = Mapping[str, Any]


def print_report(run: RunSummary) -> None:
    """Everything about a finished run's result, on stdout."""
    console.out(_title(run))
    for block in (_table_block, _confusion_block, _notes_block, _quality_block):
        block(run)
    console.out()
    if grid := last_grid(run):
        console.out(f"samples  {_shown(grid)}")
    console.out(f"run      {_shown(run.folder.path)}")


def last_grid(run: RunSummary) -> Path | None:
    """The grid of the last stage that has any, of its last step: copies of a run folder may have lost their times."""
    for stage in reversed(expected_stages(run.config)):
        if grids := sorted((run.folder.samples / stage).glob("step-*.png")):
            return grids[-1]
    return None


def _title(run: RunSummary) -> str:
    generator = section(run.config, "generator")
    sizes = (("latent_dim", "latents"), ("components", "components"), ("channels", "channels"))
    size = "".join(f", {generator[name]} {word}" for name, word in sizes if name in generator)
    lender = lent_by(run.config)
    return f"{run.preset}{size}" + (f", synthetic patches of {lender}" if lender else "")


def _table_block(run: RunSummary) -> None:
    if not run.scores:
        console.out("no scores yet")
        return
    console.out()
    for line in score_lines(run, console.columns(sys.stdout)):
        console.out(line)


def score_lines(run: RunSummary, room: int | None = None) -> list[str]:
    """The scores of a run as aligned lines, a column for each, the study's beside the answer.

    Columns for which there is no room go below the others.
    """
    columns = list(_columns(run))
    lines: list[str] = []
    while columns:
        fitting = next((n for n in range(len(columns), 1, -1) if _fits(_block(columns[:n]), room)), 1)
        lines += ([""] if lines else []) + _block(columns[:fitting])
        columns = columns[fitting:]
    return lines


def _fits(lines: Sequence[str], room: int | None) -> bool:
    return room is None or max(map(width, lines)) <= room


def _block(columns: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    header = ["", *(title for title, _ in columns)]
    rows = [[label, *(cells[place] for _, cells in columns)] for place, label in enumerate(_ROWS)]
    return table(header, [row for row in rows if row[0] not in _WHERE_KNOWN or set(row[1:]) != {NOTHING}])


def _columns(run: RunSummary) -> Iterator[tuple[str, Sequence[str]]]:
    titles = {"answer": "this run"} | {role: role for role in ("epoch by real", "reference", "label fidelity")}
    for role, title in titles.items():
        for score in run.scores:
            if score.get("role") == role:
                yield title, _cells(score)
                break
        study = study_beside(run.config) if role == "answer" else None
        if study is not None:
            yield "the study", _study_cells(study, run)


def _cells(score: Tree) -> Sequence[str]:
    return (
        str(score.get("trained_on", NOTHING)),
        str(score.get("tested_on", NOTHING)),
        count(score.get("n_train")),
        count(score.get("n_test")),
        number(score.get("loss")),
        number(score.get("accuracy")),
        number(score.get("auc")),
        interval(score.get("auc_low"), score.get("auc_high")),
        interval(*slide_interval(score)),
    )


def _study_cells(study: StudyResult, run: RunSummary) -> Sequence[str]:
    trained = str(run.answer.get("trained_on")).replace(TISSUE, "real")
    measured = (number(study.loss), number(study.accuracy), number(study.auc))
    return (trained, "real", NOTHING, count(KAGGLE_TEST), *measured, NOTHING, NOTHING)


def _confusion_block(run: RunSummary) -> None:
    confusion = run.answer.get("confusion")
    if not confusion:
        return
    threshold = section(run.config, "evaluation").get("threshold")
    console.out()
    console.out("confusion".ljust(_LABEL), *(name.rjust(_CELL) for name in _CALLED), f"   at threshold {threshold}")
    for truth, (row, name) in enumerate(zip(confusion, _TRUTH, strict=True)):
        total = sum(row) or 1
        cells = [_confusion_cell(value, value / total, called == truth) for called, value in enumerate(row)]
        console.out(name.ljust(_LABEL), *cells)


def _confusion_cell(value: int, share: float, right: bool) -> Paint:
    shade = "1" if share >= 0.5 else "2"
    return Paint(f"{count(value)} {share:5.0%}".rjust(_CELL), f"{shade};{'32' if right else '31'}")


def _notes_block(run: RunSummary) -> None:
    notes = list(result_notes(run))
    if notes:
        console.out()
    for note in notes:
        console.out_prose(f"- {note}")


def _quality_block(run: RunSummary) -> None:
    quality = quality_of(run.folder)
    for lines in quality.tables:
        console.out()
        for line in lines:
            console.out(line)
    if quality.remarks or quality.error:
        console.out()
    for remark in (quality.error,) if quality.error else quality.remarks:
        console.out_prose(f"- {remark}")


def result_notes(run: RunSummary) -> Iterator[str]:
    """What must be known beside a run's result."""
    yield from strings(read_tree(run.folder.scores, missing_is_empty=True).get("notes"))
    study = study_beside(run.config)
    if study is not None and run.scores:
        yield f"The study tested on {KAGGLE_TEST:,} of Kaggle's patches, other ones than these."
        if study.note:
            yield f"In the study this preset {study.note}."
    changed = [f"{path}={written(new)}" for path, _, new in departures(run.config)]
    if changed:
        yield f"Differs from the preset {run.preset}: {', '.join(changed[:6])}{', …' if len(changed) > 6 else ''}"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
