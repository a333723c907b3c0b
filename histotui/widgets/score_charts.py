"""The charts of a score: ROC curves and the calibration curve."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from histotui.formats import number
from histotui.widgets.chart import Chart
from histotui.widgets.lines import Line, XAxis

_UNIT: Final = ((0.0, 1.0), (0.0, 1.0))
_DIAGONAL: Final = Line("", (0.0, 1.0), (0.0, 1.0), dim=True)

Score = Mapping[str, Any]


class UnitChart(Chart):
    """A still chart of curves from 0 to 1 over the diagonal."""

    DEFAULT_CSS = """
    UnitChart {
        width: 1fr;
        min-width: 36;
        height: 18;
    }
    """

    def __init__(self, x_title: str, lines: Sequence[Line], title: str, empty: str) -> None:
        super().__init__(x_axis=XAxis(x_title), limits=_UNIT, empty=empty)
        self._still = [_DIAGONAL, *lines], title

    def on_mount(self) -> None:
        # A chart takes lines only after it is mounted.
        self.call_later(self.show, *self._still)


def roc_chart(scores: Sequence[tuple[str, Score]], title: str = "ROC") -> UnitChart:
    """Sensitivity over 1 − specificity, a line for each score that has one."""
    return UnitChart("1 − specificity; up: sensitivity", list(_roc_lines(scores)), title, "no ROC curve in this score")


def _roc_lines(scores: Sequence[tuple[str, Score]]) -> Iterator[Line]:
    for label, score in scores:
        if points := curve_points(score, "roc", "fpr", "tpr"):
            yield Line(f"{label} {number(score.get('auc'), 3)}", *points)


def calibration_chart(score: Score) -> UnitChart:
    """The share of tumour over the mean probability of each bin."""
    points = curve_points(score, "calibration", "probability", "observed")
    lines = [Line("calibration", *points)] if points else []
    title = f"calibration, ECE {number(score.get('ece'), 3)}"
    return UnitChart("P(tumour); up: share of tumour", lines, title, "no calibration curve in this score")


def curve_points(score: Score, part: str, x: str, y: str) -> tuple[list[float], list[float]] | None:
    """The points of a part of a score; None where it has none or they are not what they should be."""
    tree = score.get(part)
    if not isinstance(tree, Mapping):
        return None
    xs, ys = _numbers(tree.get(x)), _numbers(tree.get(y))
    return (xs, ys) if xs and len(xs) == len(ys) else None


def _numbers(values: object) -> list[float]:
    """The values, where they are a list of finite numbers; none otherwise."""
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        return []
    return [float(value) for value in values if math.isfinite(value)]
