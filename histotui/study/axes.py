"""Scales of charts: where a value lies, and which values are written beside an axis. Free functions and frozen data."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """From values between `low` and `high` to pixels between `start` and `stop`; `log` is for values above 0."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; values outside lie on the nearer end."""
        low, high, value = (self._flat(each) for each in (self.low, self.high, value))
        share = 0.5 if high <= low else (value - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values to write beside the axis, at most about so many."""
        return _decades(self.low, self.high) if self.log else ticks(self.low, self.high, most)

    def _flat(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.log else value


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from low to high, at most so many of them."""
    if not high > low or not math.isfinite(high - low):
        return [low] if math.isfinite(low) else []
    rough = (high - low) / max(most - 1, 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(step * size for step in _STEPS if step * size >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts = (1, 2, 5) if len(powers) < 4 else (1,)
    values = (part * 10.0**power for power in powers for part in parts)
    return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


def padded(values: Iterable[float], share: float = 0.05) -> tuple[float, float]:
    """The lowest and highest of the finite values with a margin; 0 and 1 where there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    margin = (high - low) * share or abs(high) * share or share
    return low - margin, high + margin


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Of points in the order of x, the lowest and the highest of each of `most` / 2 stretches, so no spike is lost."""
    finite = [point for point in points if all(map(math.isfinite, point))]
    if len(finite) <= most:
        return finite
    stretches = max(most // 2, 1)
    kept: list[tuple[float, float]] = []
    for place in range(stretches):
        part = finite[place * len(finite) // stretches : (place + 1) * len(finite) // stretches]
        ends = {min(part, key=_height), max(part, key=_height)}
        kept += sorted(ends)
    return kept


def _height(point: tuple[float, float]) -> float:
    return point[1]
