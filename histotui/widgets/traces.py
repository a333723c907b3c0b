"""What a chart draws: traces, the strokes they make of what is in view, and where their points are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from histotui.decimation import Floats, min_max
from histotui.widgets.view import Range


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A line to draw: `values` as logged, `solid` what stands out, `behind` the raw values of a smoothed line."""

    label: str
    x: Floats
    values: Floats
    solid: Floats
    behind: Floats | None
    mark: str
    style: str
    dim: bool

    @property
    def has_finite(self) -> bool:
        """Whether there is a value to draw on its scale."""
        return bool(np.isfinite(self.solid).any())

    def value_at(self, x: float) -> float | None:
        """What was logged last up to x."""
        place = int(np.searchsorted(self.x, x, side="right")) - 1
        return float(self.values[place]) if place >= 0 else None


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """Points to be joined, NaN between those that are not; `mark` where the line is to be told from others."""

    x: Floats
    y: Floats
    style: str
    mark: str = ""


def strokes_of(traces: Iterable[Trace], columns: int, x_range: Range) -> list[Stroke]:
    """What is dim first, so that it lies behind."""
    dim, bright = [], []
    for trace in traces:
        solid = min_max(trace.x, trace.solid, columns, *x_range)
        if trace.behind is not None:
            dim.append(Stroke(*min_max(trace.x, trace.behind, columns, *x_range), f"dim {trace.style}"))
        if trace.dim:
            dim.append(Stroke(*solid, f"dim {trace.style}"))
        else:
            bright.append(Stroke(*solid, trace.style, trace.mark))
    return dim + bright


def span_of(traces: Iterable[Trace]) -> Range:
    """The first x and the last of traces of which one at least has a point."""
    ends = [(float(trace.x[0]), float(trace.x[-1])) for trace in traces if len(trace.x)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def values_within(strokes: Iterable[Stroke], x_range: Range) -> Range:
    """The lowest and the highest value in view, or of all where none is."""
    low, high = x_range
    every = [stroke.y for stroke in strokes]
    inside = [stroke.y[(low <= stroke.x) & (stroke.x <= high)] for stroke in strokes]
    for values in (np.concatenate(inside), np.concatenate(every)):
        if np.isfinite(values).any():
            return float(np.nanmin(values)), float(np.nanmax(values))
    return 0.0, 1.0


def points_at(stroke: Stroke, wanted: Floats) -> tuple[Floats, Floats]:
    """The stroke's points at or after each wanted x."""
    if not len(stroke.x):
        return stroke.x, stroke.y
    places = np.unique(np.minimum(np.searchsorted(stroke.x, wanted), len(stroke.x) - 1))
    return stroke.x[places], stroke.y[places]


def marks_of(
    strokes: Iterable[Stroke], shown: tuple[Range, Range], times: int
) -> Iterator[tuple[Stroke, Floats, Floats]]:
    """Where strokes have their marks, `times` at most within the ranges of x and y that are shown.

    They tell lines apart without their colours, so a line alone has none, unless it is a single point.
    """
    marked = [stroke for stroke in strokes if stroke.mark]
    (low, high), (bottom, top) = shown
    if len(marked) == 1 < len(marked[0].x):
        return
    for place, stroke in enumerate(marked):
        shares = (np.arange(times) + (place + 0.5) / len(marked)) / times
        x, y = points_at(stroke, low + shares * (high - low))
        seen = (low <= x) & (x < high) & (bottom < y) & (y < top)
        yield stroke, x[seen], y[seen]


def next_point(traces: Iterable[Trace], at: float, shift: float) -> float:
    """The first point at least `shift` further, else the last there is; the nearest point where it is 0."""
    places = np.concatenate([trace.x for trace in traces])
    if not shift:
        return float(places[np.argmin(np.abs(places - at))])
    further = places[places >= at + shift] if shift > 0 else places[places <= at + shift]
    if not len(further):
        return float(places.max() if shift > 0 else places.min())
    return float(further.min() if shift > 0 else further.max())
