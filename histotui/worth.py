"""What an AUC is worth in real patches: a learning curve read backwards."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

FEWER: Final = 0.0
MORE: Final = math.inf
"""A reading below the curve's first point and above its last: nothing is said beyond what was measured."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The mean AUC over runs on so many real training patches, and the ends of its 95 % interval."""

    patches: int
    auc: float
    low: float
    high: float
    runs: int = 1


@dataclass(frozen=True, slots=True)
class Worth:
    """Real patches that teach as much, and the ends of their interval; each may be FEWER or MORE than the curve has."""

    patches: float
    low: float
    high: float
    smallest: int
    largest: int

    def __str__(self) -> str:
        return f"worth {self.reading} real patches"

    @property
    def reading(self) -> str:
        """The number with its interval, such as 210 [150, 330]."""
        return f"{self._word(self.patches)} [{self._word(self.low)}, {self._word(self.high)}]"

    def _word(self, reading: float) -> str:
        if reading == FEWER:
            return f"fewer than {self.smallest:,}"
        return f"more than {self.largest:,}" if reading == MORE else f"{round(reading):,}"

    def tree(self) -> dict[str, Any]:
        """As plain JSON types: a reading beyond the curve is the word `fewer` or `more`."""
        words = {FEWER: "fewer", MORE: "more"}
        readings = {"patches": self.patches, "low": self.low, "high": self.high}
        return {name: words.get(value, value) for name, value in readings.items()} | {
            "smallest": self.smallest,
            "largest": self.largest,
        }


def worth(auc: float, low: float, high: float, curve: Sequence[CurvePoint]) -> Worth:
    """How many real patches teach as much as an AUC says, by a curve of at least two sizes; ValueError otherwise.

    Means are made to rise with the patches (isotonic regression, runs as weights) and joined by straight lines in
    log n. A size is in the interval where the two AUCs may be the same: where they differ by no more than both half
    widths together, in quadrature as of independent errors, AUC's and the curve's at each of its points.
    """
    points = sorted(curve, key=lambda point: point.patches)
    sizes = [point.patches for point in points]
    if len(set(sizes)) != len(sizes) or len(sizes) < 2:
        raise ValueError("a learning curve needs two sizes or more, each once")
    upper = [point.auc + math.hypot(point.high - point.auc, auc - low) for point in points]
    lower = [point.auc - math.hypot(point.auc - point.low, high - auc) for point in points]
    weights = [point.runs for point in points]
    means, upper, lower = (rising(values, weights) for values in ([point.auc for point in points], upper, lower))
    return Worth(
        read_backwards(auc, sizes, means),
        read_backwards(auc, sizes, upper),
        read_backwards(auc, sizes, lower, last=True),
        sizes[0],
        sizes[-1],
    )


def rising(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest values that never fall, in weighted least squares (isotonic regression, pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        mean, total, count = value, float(weight), 1
        while pools and pools[-1][0] >= mean:
            before, before_total, before_count = pools.pop()
            mean = (before * before_total + mean * total) / (before_total + total)
            total, count = total + before_total, count + before_count
        pools.append((mean, total, count))
    return [mean for mean, _, count in pools for _ in range(count)]


def read_backwards(auc: float, sizes: Sequence[int], values: Sequence[float], last: bool = False) -> float:
    """The size at which values that never fall reach an AUC, the first such or the last; FEWER or MORE beyond them."""
    if auc < values[0]:
        return FEWER
    if auc > values[-1]:
        return MORE
    if auc in values:
        same = [size for size, value in zip(sizes, values, strict=True) if value == auc]
        return float(same[-1 if last else 0])
    for (size, value), (next_size, next_value) in pairwise(zip(sizes, values, strict=True)):
        if value < auc < next_value:
            part = (auc - value) / (next_value - value)
            return math.exp(math.log(size) + part * (math.log(next_size) - math.log(size)))
    raise ValueError("the values fall somewhere")
