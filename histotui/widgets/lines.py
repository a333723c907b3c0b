"""Lines over an axis, as a chart is given them, and the traces that it draws them as."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from histotui.curves import Curve
from histotui.decimation import Floats, ema, floats, fractional_epochs, log10_clipped
from histotui.formats import duration
from histotui.text import clean_line
from histotui.widgets.traces import Trace

SMOOTHINGS: Final = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99)
LARGEST: Final = 1e300
"""Larger values are gaps, since the span between two of them would be infinite."""

PALETTE: Final = {
    "sky": ("#56b4e9", "#1b7bb5"),
    "orange": ("#e69f00", "#a86f00"),
    "green": ("#00b583", "#007a59"),
    "purple": ("#cc79a7", "#a34a7c"),
    "vermilion": ("#e8661b", "#c04a00"),
    "yellow": ("#f0e442", "#7d7400"),
    "blue": ("#4f8fd6", "#00548f"),
}
"""Okabe and Ito's colours, told apart by colour-blind readers: on a dark ground, on a light one."""

GREY: Final = "#808080"
MARKS: Final = "●■▲◆○□△◇"


@dataclass(frozen=True, slots=True)
class XAxis:
    """What runs along the bottom."""

    title: str
    seconds: bool = False

    def text(self, x: float) -> str:
        """A position in words."""
        return f"{self.title} {duration(x) if self.seconds else _position(x)}"


STEP: Final = XAxis("step")
EPOCH: Final = XAxis("epoch")
TIME: Final = XAxis("time", seconds=True)


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Points with x ascending. `style` is a name of PALETTE or #rrggbb, and the next of PALETTE where it is empty."""

    label: str
    x: ArrayLike
    y: ArrayLike
    style: str = ""
    dim: bool = False

    def same(self, other: "Line") -> bool:
        """Whether the two would be drawn the same."""
        return (self.label, self.style, self.dim) == (other.label, other.style, other.dim) and (
            _same(self.x, other.x) and _same(self.y, other.y)
        )


def curve_line(curve: Curve, axis: XAxis = STEP, label: str = "", style: str = "") -> Line:
    """A curve over one of STEP, EPOCH and TIME."""
    x = {EPOCH: fractional_epochs(floats(curve.epochs)), TIME: floats(curve.times)}.get(axis, floats(curve.steps))
    return Line(label or curve.name, x, floats(curve.values), style)


def next_smoothing(weight: float, direction: int) -> float:
    """The next of SMOOTHINGS, up or down; none at all where the direction is 0."""
    further = [step for step in SMOOTHINGS if (step - weight) * direction > 1e-9]
    return min(further, key=lambda step: abs(step - weight), default=weight) if direction else 0.0


def traces_of(lines: Sequence[Line], smoothing: float, log_scale: bool, dark: bool) -> tuple[Trace, ...]:
    """The lines with their colours on a dark or a light ground, smoothed but for the dim ones, and on their scale."""
    bright = [line for line in lines if not line.dim]
    return tuple(
        _trace(line, 0 if line.dim else bright.index(line), 0.0 if line.dim else smoothing, log_scale, dark)
        for line in lines
    )


def _trace(line: Line, place: int, smoothing: float, log_scale: bool, dark: bool) -> Trace:
    values = floats(line.y)
    scale = log10_clipped if log_scale else _drawable
    on_dark, on_light = _colours(line.style or (GREY if line.dim else list(PALETTE)[place % len(PALETTE)]))
    return Trace(
        label=clean_line(line.label),
        x=floats(line.x),
        values=values,
        solid=scale(ema(_drawable(values), smoothing)) if smoothing > 0 else scale(_drawable(values)),
        behind=scale(_drawable(values)) if smoothing > 0 else None,
        mark="┄" if line.dim else MARKS[place % len(MARKS)],
        style=on_dark if dark else on_light,
        dim=line.dim,
    )


def _colours(style: str) -> tuple[str, str]:
    return PALETTE.get(style, (style, style))


def _drawable(values: Floats) -> Floats:
    return np.where(np.abs(values) < LARGEST, values, np.nan)


def _same(one: ArrayLike, other: ArrayLike) -> bool:
    return one is other or np.array_equal(floats(one), floats(other), equal_nan=True)


def _position(x: float) -> str:
    return f"{x:,.0f}" if x == math.floor(x) else f"{x:,.2f}"
