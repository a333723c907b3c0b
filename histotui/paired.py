"""The paired tests between runs, as rows of a table."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from histotui.ask import ask, hide_progress
from histotui.formats import NOTHING, count, number, table
from histotui.summary import RunSummary

Row = dict[str, Any]

CAPTION: Final = (
    "Paired DeLong tests, over slides where these are known: how far the AUC of the second run is above that of the "
    "first, its 95 % interval, and p, which is not corrected for the number of tests"
)


def paired_rows(runs: Sequence[RunSummary]) -> list[Row]:
    """A row for every two runs that have scores: the test of their AUCs, or why there is none. Asks the engine."""
    scored = [run for run in runs if run.answer]
    if len(scored) < 2:
        return []
    answer = ask("comparison", {"runs": [str(run.folder.path.absolute()) for run in scored]}, hide_progress)
    found = {(pair["first"], pair["second"]): pair for pair in (*answer["pairs"], *answer["refused"])}
    return [_row(first, second, found.get((first.id, second.id), {})) for first, second in combinations(scored, 2)]


def _row(first: RunSummary, second: RunSummary, found: Mapping[str, Any]) -> Row:
    return {
        "first": first.id,
        "first_name": first.name,
        "second": second.id,
        "second_name": second.name,
        "first_auc": first.answer.get("auc"),
        "second_auc": second.answer.get("auc"),
        **{name: found.get(name) for name in ("difference", "low", "high", "p", "slides")},
        "refused": found.get("why"),
    }


def paired_lines(tests: Sequence[Row]) -> Iterator[str]:
    """The tests as aligned lines, and after them why some are missing."""
    header = ["FIRST", "SECOND", "DIFFERENCE", "95 % INTERVAL", "P"]
    cells = [_cells(test) for test in tests]
    if any(test["slides"] for test in tests):
        header.append("SLIDES")
        cells = [[*row, count(test["slides"])] for row, test in zip(cells, tests, strict=True)]
    yield from table(header, cells)
    yield from (test["refused"] for test in tests if test["refused"])


def _cells(test: Row) -> list[str]:
    low, high = (signed(test[end]) for end in ("low", "high"))
    return [
        test["first_name"] or test["first"],
        test["second_name"] or test["second"],
        signed(test["difference"]),
        f"[{low}, {high}]" if low != NOTHING else NOTHING,
        number(test["p"]),
    ]


def signed(value: object) -> str:
    """A difference with its sign; a dash where there is none."""
    return f"{value:+.4f}" if isinstance(value, float) else NOTHING
