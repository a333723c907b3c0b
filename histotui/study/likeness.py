"""The part of a report that says how near synthetic patches are to real ones."""

from collections.abc import Iterator, Sequence
from typing import Final

from engine.spec.errors import RunFolderError
from engine.spec.quality import Comparison, QualitySheet, read_quality
from engine.spec.study import Part, Row
from histotui.formats import NOTHING, count
from histotui.quality import BOTH, MEASURES, shown
from histotui.study.document import Block, Heading, Prose, Table
from histotui.study.results import Results
from histotui.study.sections import first_run

_SAYS: Final = (
    "Of the first seed of each row, both classes together, beside as many test patches; in brackets the floor, which "
    "real training patches have in the place of synthetic ones, in a classifier's space those that it was not fitted "
    "on. Measures are named for their feature space, and none "
    "is an FID: values of two spaces, or of other numbers of patches, say nothing of each other. None of them has a "
    "part in any other number here. Each run's own report has them by class."
)
_COPIES: Final = (
    "Shares of patches that are much nearer to one training patch than to all others, by the pixels of thumbnails in "
    "any orientation; test patches cannot be copies."
)
_ERROR: Final = "kernel_error"

_Sheets = Sequence[tuple[Row, QualitySheet]]


def quality_section(results: Results) -> Iterator[Block]:
    """A table of measures for each feature space, and how many patches are copies."""
    sheets = [(row, sheet) for row in results.rows(Part.TABLE) if (sheet := _sheet(row, results))]
    spaces = dict.fromkeys(each.space for _, sheet in sheets for each in sheet.comparisons)
    if not spaces:
        return
    yield Heading("Likeness to real patches")
    yield Prose(_SAYS)
    for space in spaces:
        yield Heading(space, 3)
        yield _measures(sheets, space)
    if any(sheet.copies for _, sheet in sheets):
        yield Heading("Copies", 3)
        yield _copies(sheets)


def _sheet(row: Row, results: Results) -> QualitySheet | None:
    """What was measured of the row's first seed, whichever classifier judged it; nothing where that is unreadable."""
    for yardstick in results.yardsticks:
        run = first_run(results.get(row, yardstick))
        try:
            if run and (sheet := read_quality(run.folder.quality)):
                return sheet
        except RunFolderError:
            continue
    return None


def _measures(sheets: _Sheets, space: str) -> Table:
    measures = [(words, name) for words, name in MEASURES if name != _ERROR]
    lines = [
        (row.name, count(each.patches), *(_beside_floor(each, name) for _, name in measures))
        for row, sheet in sheets
        for each in sheet.comparisons
        if (each.space, each.of) == (space, BOTH)
    ]
    return Table(("patches of", "n", *(words for words, _ in measures)), tuple(lines))


def _beside_floor(comparison: Comparison, name: str) -> str:
    value, floor = (shown(side, name) for side in (comparison.synthetic, comparison.floor))
    return value if floor == NOTHING else f"{value} ({floor})"


def _copies(sheets: _Sheets) -> Table:
    lines = [
        (row.name, f"{copies.matched:.1%}", f"{copies.matched_held_out:.1%}", "copies" if copies.clear else "none seen")
        for row, sheet in sheets
        if (copies := sheet.copies)
    ]
    return Table(("patches of", "much nearer to one", "test patches", "verdict"), tuple(lines), _COPIES)
