"""Rows of a comparison as text, for papers and for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from histotui.paired import CAPTION

Row = Mapping[str, Any]


def as_tree(rows: Sequence[Row], tests: Sequence[Row] | None = None) -> object:
    """What JSON says: the rows, or an object of both where there are tests."""
    return list(rows) if tests is None else {"runs": list(rows), "paired_tests": list(tests)}


def as_text(rows: Sequence[Row], tests: Sequence[Row] | None, format: str) -> str:
    """The rows as JSON, CSV, Markdown, LaTeX or an aligned table; the tests as a second table.

    A file of CSV has one table: with tests it is theirs.
    """
    match format:
        case "json":
            return json.dumps(as_tree(rows, tests), indent=2, allow_nan=False) + "\n"
        case "csv":
            return _table(rows if tests is None else tests, format)
        case _:
            second = [_caption(format), _table(_without_empty(tests), format)] if tests else []
            return "\n\n".join(part.rstrip("\n") for part in [_table(rows, format), *second]) + "\n"


def _caption(format: str) -> str:
    return f"% {CAPTION.replace('%', 'per cent')}" if format == "latex" else CAPTION


def _without_empty(rows: Sequence[Row]) -> list[Row]:
    """The rows without columns in which nothing stands."""
    filled = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    return [{name: row[name] for name in filled} for row in rows]


def _table(rows: Sequence[Row], format: str) -> str:
    # pandas takes 300 ms to import, which only an export needs.
    import pandas

    # A column of numbers in which one is missing would turn into one of floats: 15,130 patches into 1.513e+04.
    frame = pandas.DataFrame([dict(row) for row in rows], dtype=object)
    match format:
        case "csv":
            return frame.to_csv(index=False)
        case "md" | "table":
            style = "pipe" if format == "md" else "simple"
            shown = frame.astype(object).where(frame.notna(), None)
            return shown.to_markdown(index=False, floatfmt=".4g", missingval="", tablefmt=style)
        case _:
            columns = "".join("l" if any(isinstance(cell, str) for cell in frame[name]) else "r" for name in frame)
            return frame.to_latex(index=False, escape=True, na_rep="", float_format="%.4g", column_format=columns)
