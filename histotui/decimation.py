"""Curves made fit to draw: thinned, smoothed, on a log scale, as dots. Free functions on arrays; x ascends."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
"""The bits of a braille character, by row and column of its dots."""


def floats(values: ArrayLike) -> Floats:
    """The values as an array of floats, without a copy where they are one already."""
    return np.asarray(values, dtype=np.float64)


def min_max(x: Floats, y: Floats, columns: int, low: float, high: float) -> tuple[Floats, Floats]:
    """The lowest and the highest point of each of `columns` from low to high, and the next point beyond either end.

    So no spike is lost. Where points are missing over a whole column, or among few points, one NaN stands for the gap.
    """
    start, stop = int(np.searchsorted(x, low)), int(np.searchsorted(x, high, side="right"))
    inside_x, inside_y = x[start:stop], _finite_or_nan(y[start:stop])
    if len(inside_x) > 2 * columns:
        chosen = _extremes(_column_of(inside_x, columns, low, high), inside_y)
        inside_x, inside_y = inside_x[chosen], inside_y[chosen]
    before, after = slice(max(start - 1, 0), start), slice(stop, stop + 1)
    return _one_nan_per_gap(
        np.concatenate((x[before], inside_x, x[after])),
        np.concatenate((_finite_or_nan(y[before]), inside_y, _finite_or_nan(y[after]))),
    )


def _finite_or_nan(y: Floats) -> Floats:
    return np.where(np.isfinite(y), y, np.nan)


def _column_of(x: Floats, columns: int, low: float, high: float) -> NDArray[np.intp]:
    share = (x - low) / (high - low)
    return np.minimum((share * columns).astype(np.intp), columns - 1)


def _extremes(column: NDArray[np.intp], y: Floats) -> NDArray[np.intp]:
    starts = np.concatenate(([0], np.flatnonzero(np.diff(column)) + 1))
    counts = np.diff(starts, append=len(y))
    lowest = _first_equal(y, np.fmin.reduceat(y, starts), starts, counts)
    highest = _first_equal(y, np.fmax.reduceat(y, starts), starts, counts)
    return np.unique(np.concatenate((lowest, highest)))


def _first_equal(y: Floats, wanted: Floats, starts: NDArray[np.intp], counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where each column has its wanted value first; its first point where it is all NaN."""
    same = y == np.repeat(wanted, counts)
    same[starts] |= np.isnan(wanted)
    places = np.flatnonzero(same)
    return places[np.searchsorted(places, starts)]


def _one_nan_per_gap(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    missing = np.isnan(y)
    keep = ~missing
    keep[1:] |= missing[1:] & ~missing[:-1]
    return x[keep], y[keep]


def segments(x: Floats, y: Floats) -> list[tuple[Floats, Floats]]:
    """The stretches between the gaps, which NaN marks."""
    ends = np.flatnonzero(np.isnan(y))
    starts = np.concatenate(([0], ends + 1))
    stops = np.concatenate((ends, [len(y)]))
    return [(x[start:stop], y[start:stop]) for start, stop in zip(starts, stops, strict=True) if stop > start]


def ema(y: Floats, weight: float) -> Floats:
    """The exponential moving average, corrected for its start from nothing; what is not finite stays out and as it is.

    sum(w^(t-k) y[k]) / sum(w^(t-k)) over the finite y[k] up to t.
    """
    finite = np.isfinite(y)
    with np.errstate(invalid="ignore"):
        mean = _decaying_sum(np.where(finite, y, 0.0), weight) / _decaying_sum(finite.astype(np.float64), weight)
    return np.where(finite, mean, y)


def _decaying_sum(y: Floats, weight: float) -> Floats:
    """Doubles the stretch that is summed in each pass until what is further back weighs nothing."""
    total, shift, factor = y.copy(), 1, weight
    while shift < len(y) and factor > np.finfo(np.float64).tiny:
        total[shift:] += factor * total[:-shift]
        shift, factor = 2 * shift, factor * factor
    return total


def log10_clipped(y: Floats) -> Floats:
    """The decadic logarithm; NaN, which is drawn as a gap, where there is none."""
    logarithm: Floats = np.log10(np.where(np.isfinite(y) & (y > 0), y, np.nan))
    return logarithm


def fractional_epochs(epochs: Floats) -> Floats:
    """Epochs counted from 1, the points within each spread evenly up to its end."""
    _, starts, counts = np.unique(epochs, return_index=True, return_counts=True)
    rank = np.arange(1, len(epochs) + 1) - np.repeat(starts, counts)
    whole = counts.copy()
    # An epoch that still runs is as long as the one before it.
    whole[-1:] = np.max(counts[-2:], initial=0)
    spread: Floats = epochs - 1 + rank / np.repeat(whole, counts)
    return spread


def braille(x: Floats, y: Floats, columns: int, rows: int) -> NDArray[np.uint8]:
    """Joined points, in cells from the upper left corner, as the braille bits of each cell: rows x columns."""
    across, down = _joined(*_clipped(2 * x, 4 * y, 2 * columns, 4 * rows))
    # A chart that is being squeezed out has less than nothing between its axes.
    columns, rows = max(columns, 0), max(rows, 0)
    cells = np.zeros((rows, columns), dtype=np.uint8)
    inside = (across >= 0) & (across < 2 * columns) & (down >= 0) & (down < 4 * rows)
    across, down = across[inside], down[inside]
    np.bitwise_or.at(cells, (down // 4, across // 2), DOTS[down % 4, across % 2])
    return cells


def _clipped(x: Floats, y: Floats, width: float, height: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Starts and ends of the parts within the frame of the lines between points (Liang and Barsky)."""
    x, y = np.clip(x, -1e6, 1e6), np.clip(y, -1e6, 1e6)
    dx, dy = np.diff(x), np.diff(y)
    x, y = x[:-1], y[:-1]
    enter, leave = np.zeros_like(dx), np.ones_like(dx)
    for toward, room in ((-dx, x), (dx, width - x), (-dy, y), (dy, height - y)):
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = room / toward
        enter = np.where(toward < 0, np.fmax(enter, crossing), enter)
        leave = np.where(toward > 0, np.fmin(leave, crossing), leave)
    seen = enter <= leave
    x, y, dx, dy, enter, leave = (values[seen] for values in (x, y, dx, dy, enter, leave))
    return x + enter * dx, y + enter * dy, x + leave * dx, y + leave * dy


def _joined(x0: Floats, y0: Floats, x1: Floats, y1: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every dot on the way from each start to its end."""
    steps = np.ceil(np.maximum(np.abs(x1 - x0), np.abs(y1 - y0))).astype(np.intp) + 1
    rank = np.arange(steps.sum()) - np.repeat(np.cumsum(steps) - steps, steps)
    share = rank / np.repeat(np.maximum(steps - 1, 1), steps)
    across = np.repeat(x0, steps) + share * np.repeat(x1 - x0, steps)
    down = np.repeat(y0, steps) + share * np.repeat(y1 - y0, steps)
    return np.floor(across).astype(np.intp), np.floor(down).astype(np.intp)
