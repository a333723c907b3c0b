"""The quality of a run's synthetic patches for people: tables with a floor beside each value, and what to know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.spec.errors import RunFolderError
from engine.spec.quality import Comparison, Copies, Measures, QualitySheet, read_quality
from engine.spec.run_folder import RunFolder
from histotui.formats import NOTHING, count, number, table
from histotui.text import clean_line

MEASURES = (
    ("Fréchet distance", "frechet"),
    ("kernel distance", "kernel"),
    ("  ± error", "kernel_error"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("density", "density"),
    ("coverage", "coverage"),
    ("detector AUC", "detector_auc"),
)
BOTH = "both classes"
_DISTANCES = frozenset({"frechet", "kernel", "kernel_error"})
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Quality:
    """What is shown of a run's quality; nothing where it has not been measured."""

    tables: tuple[tuple[str, ...], ...] = ()
    """The lines of a table for each feature space, its title first."""
    remarks: tuple[str, ...] = ()
    error: str = ""


def quality_of(folder: RunFolder) -> Quality:
    """What was measured of a run, in words; reads its folder."""
    try:
        sheet = read_quality(folder.quality)
    except RunFolderError as error:
        return Quality(error=str(error))
    return Quality() if sheet is None else Quality(tuple(_tables(sheet)), tuple(_remarks(sheet)))


def _tables(sheet: QualitySheet) -> Iterator[tuple[str, ...]]:
    for space in dict.fromkeys(row.space for row in sheet.comparisons):
        rows = [row for row in sheet.comparisons if row.space == space]
        both = ", ".join(count(row.patches) for row in rows if row.of == BOTH)
        classes = ", ".join(f"{count(row.patches)} {clean_line(row.of)}" for row in rows if row.of != BOTH)
        numbers = ": ".join(filter(None, (both, classes)))
        yield (f"quality by {clean_line(space)} ({numbers})", *_table(rows))


def _table(rows: Sequence[Comparison]) -> list[str]:
    header = ["", *(word for row in rows for word in (clean_line(row.of).removesuffix(" classes"), "floor"))]
    sides = [side for row in rows for side in (row.synthetic, row.floor)]
    return table(header, [[label, *(shown(side, name) for side in sides)] for label, name in MEASURES])


def shown(side: Measures, name: str) -> str:
    """A measure as a table has it."""
    value = getattr(side, name)
    return number(value, _DIGITS) if name in _DISTANCES else _share(value)


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _remarks(sheet: QualitySheet) -> Iterator[str]:
    for row in sheet.comparisons:
        if row.of == BOTH and row.synthetic.detector_auc is not None:
            yield f"detector AUC by {row.space}, 95 %: {_interval(row.synthetic)}, floor {_interval(row.floor)}"
    reasons = dict.fromkeys((row.space, reason) for row in sheet.comparisons for reason in row.left_out)
    for space, reason in reasons:
        of = [row.of for row in sheet.comparisons if row.space == space and reason in row.left_out]
        yield f"left out by {space} of {' and '.join(of)}: {reason}"
    if sheet.copies is not None:
        yield from _copying(sheet.copies)
    yield from sheet.notes


def _interval(side: Measures) -> str:
    return f"[{_share(side.detector_low)}, {_share(side.detector_high)}]"


def _copying(copies: Copies) -> Iterator[str]:
    found = f"clear, for {copies.criterion}" if copies.clear else "none to be seen"
    yield (
        f"copying: {found}; {copies.matched:.1%} of {count(copies.synthetic)} synthetic patches are much nearer to one "
        f"of {count(copies.train)} training patches than to all others, and {copies.matched_held_out:.1%} of "
        f"{count(copies.held_out)} test patches"
    )
    yield (
        f"the nearest training patch is {number(copies.distance, 3)} times as far as from test patches (blur alone "
        f"brings it nearer), and for {copies.near:.1%} nearer than for all but 5% of these"
    )
