"""Ticks of a chart's axes: where they are and what they say, as many as there is room for."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from textual_plot.axis_formatter import AxisFormatter

UNITS: Final = ((3 * 86400, 86400, "d"), (3 * 3600, 3600, "h"), (300, 60, "m"), (0, 1, "s"))
SUFFIXES: Final = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))


class NumberAxis(AxisFormatter):
    """Round numbers, large ones as 20k."""

    def __init__(self, most: int = 5, cells: int = 0) -> None:
        """`most` ticks; labels that `cells` of width would cut at the right end are left out."""
        self.most = most
        self._cells = cells

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Round positions from low to high."""
        return round_numbers(min_, max_, self.most)

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """What each position is called."""
        return number_labels(ticks)

    def get_ticks_and_labels(self, min_: float, max_: float, max_ticks: int = 8) -> tuple[list[float], list[str]]:
        """Positions with their names, empty where a name would be cut."""
        ticks = self.get_ticks(min_, max_)
        labels = self.get_labels_for_ticks(ticks)
        if self._cells:
            rooms = [2 * (max_ - tick) / (max_ - min_) * self._cells + 1 for tick in ticks]
            labels = [_cut(label, room) for label, room in zip(labels, rooms, strict=True)]
        return ticks, labels


class LogAxis(NumberAxis):
    """Powers of ten for values that are drawn as their decadic logarithm."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Logarithms of powers of ten, of 1, 2 and 5 times those, or of round numbers: the first that are two."""
        powers = range(math.ceil(min_), math.floor(max_) + 1)
        if len(powers) > 1:
            return [float(power) for power in powers[:: math.ceil(len(powers) / self.most)]]
        decades = range(math.floor(min_), math.ceil(max_))
        between = [power + math.log10(part) for power in decades for part in (1, 2, 5)]
        inside = [tick for tick in between if min_ <= tick <= max_]
        if 1 < len(inside) <= self.most:
            return inside
        return [math.log10(tick) for tick in round_numbers(10**min_, 10**max_, self.most) if tick > 0]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """The values themselves, outside of 0.01 to 10,000 as 1e-3."""
        return [power_label(tick) for tick in ticks]


class DurationAxis(NumberAxis):
    """Seconds in the unit that reads best."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Round positions in that unit."""
        unit, _ = _unit(max_)
        return [tick * unit for tick in round_numbers(min_ / unit, max_ / unit, self.most)]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Numbers with their unit."""
        unit, letter = _unit(max(ticks, default=0))
        return [f"{label}{letter}" for label in number_labels([tick / unit for tick in ticks])]


def _cut(label: str, room: float) -> str:
    short = label.removesuffix(".0")
    return label if len(label) <= room else short if len(short) <= room else ""


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from low to high, so many at most but two at least."""
    if not high > low:
        return []
    power = math.floor(math.log10(high - low)) - 2
    steps = [part * 10.0 ** (power + more) for more in range(4) for part in (1, 2, 5)]
    ranges = [(step, _multiples(step, low, high)) for step in steps]
    fitting = [(step, places) for step, places in ranges if 1 < len(places) <= most]
    step, places = fitting[0] if fitting else [(step, places) for step, places in ranges if len(places) > 1][-1]
    # 3 steps of 0.1 are 0.3.
    return [float(f"{place * step:.12g}") for place in places]


def _multiples(step: float, low: float, high: float) -> range:
    return range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)


def number_labels(ticks: Sequence[float]) -> list[str]:
    """Numbers with as many decimals as tell them apart."""
    largest = max(map(abs, ticks), default=0.0)
    step = min((after - before for before, after in pairwise(ticks)), default=largest) or 1.0
    if largest < 1e-3 or largest >= 1e12:
        return [_scientific(tick) for tick in ticks]
    if len(ticks) == 1:
        return [f"{ticks[0]:.6g}"]
    scale, suffix = next(((scale, suffix) for least, scale, suffix in SUFFIXES if largest >= least), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / scale) + 1e-9))
    return [f"{tick / scale:.{decimals}f}{suffix}" if tick else "0" for tick in ticks]


def power_label(logarithm: float) -> str:
    """The number with this decadic logarithm."""
    value = 10**logarithm
    return f"{value:.5g}" if 0.0099 < value < 10000.5 else _scientific(value)


def _scientific(value: float) -> str:
    digits, _, power = f"{value:.3e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}" if value else "0"


def _unit(seconds: float) -> tuple[int, str]:
    return next((unit, letter) for least, unit, letter in UNITS if seconds >= least or unit == 1)
