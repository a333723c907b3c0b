"""Confusion matrices as coloured text, which can be copied and needs no colour to be read."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text
from textual.widgets import Static

from histotui.formats import count, number

CALLED = ("called normal", "called tumour")
TRUTH = ("normal", "tumour")
_LABEL, _CELL = 7, 15
WIDTH = _LABEL + 2 * _CELL


def confusion_text(point: Mapping[str, Any], title: str, style: str = "bold") -> Text:
    """A matrix of counts and shares of each row under a title, ✓ where the classifier was right.

    `point` has `confusion`, `sensitivity` and `specificity`, as a score and an operating point have.
    """
    confusion = _matrix(point.get("confusion"))
    if not confusion:
        return Text.assemble((title, style), "\nno predictions")
    text = Text.assemble((title, style), "\n", " " * _LABEL, *(name.rjust(_CELL) for name in CALLED), no_wrap=True)
    for truth, (row, name) in enumerate(zip(confusion, TRUTH, strict=True)):
        text.append(f"\n{name:<{_LABEL}}")
        for called, cell in enumerate(row):
            text.append_text(_cell(cell, cell / (sum(row) or 1), right=called == truth))
    sensitivity, specificity = (number(point.get(name), 3) for name in ("sensitivity", "specificity"))
    return text.append(f"\nsensitivity {sensitivity}  specificity {specificity}")


def _matrix(value: object) -> list[list[int]]:
    """Two rows of two counts, of a part of a score that nobody has checked; empty where it is something else."""
    rows = value if isinstance(value, list) else []
    sound = [list(map(type, row)) if isinstance(row, list) else row for row in rows] == [[int, int], [int, int]]
    return rows if sound else []


def _cell(value: int, share: float, right: bool) -> Text:
    words = f"{'✓' if right else '✗'} {count(value):>6} {share:4.0%}"
    return Text(words.rjust(_CELL), style=f"{'bold ' if share >= 0.5 else ''}{'green' if right else 'red'}")


class ConfusionMatrix(Static):
    """One confusion matrix."""

    DEFAULT_CSS = f"""
    ConfusionMatrix {{
        width: {WIDTH};
        height: 5;
        margin-right: 2;
        text-wrap: nowrap;
    }}
    """

    def __init__(self, point: Mapping[str, Any], title: str, style: str = "bold") -> None:
        super().__init__(confusion_text(point, title, style))
