"""Timing two things in turn, so that whatever slows the machine down slows both."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio should be: at least, or at most, a value."""

    kind: Literal["at least", "at most"]
    value: float

    def is_met(self, ratio: float) -> bool:
        return ratio >= self.value if self.kind == "at least" else ratio <= self.value


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark: two durations in seconds and their ratio, the medians over interleaved rounds."""

    name: str
    ours: float
    theirs: float
    ratio: float
    spread: tuple[float, float]
    """The ratio's quartiles over the rounds."""
    meaning: str
    goal: Goal | None = None

    @property
    def is_met(self) -> bool:
        return self.goal is None or self.goal.is_met(self.ratio)


def compare(
    name: str, ours: Work, theirs: Work, meaning: str, goal: Goal | None = None, rounds: int = 9, times: int = 1
) -> Result:
    """Time `times` calls of each in turn, `rounds` times; the ratio is ours : theirs, reversed for `at least`."""
    ours(), theirs()
    pairs = [_round(ours, theirs, times, ours_first=number % 2 == 0) for number in range(rounds)]
    faster_is_more = goal is not None and goal.kind == "at least"
    ratios = [theirs / ours if faster_is_more else ours / theirs for ours, theirs in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    one, other = (statistics.median(side) / times for side in zip(*pairs, strict=True))
    return Result(name, one, other, middle, (low, high), meaning, goal)


def _round(ours: Work, theirs: Work, times: int, ours_first: bool) -> tuple[float, float]:
    """Seconds of ours and of theirs; who is first takes turns, since the first finds the other's data in the cache."""
    if ours_first:
        return seconds(ours, times), seconds(theirs, times)
    other = seconds(theirs, times)
    return seconds(ours, times), other


def seconds(work: Work, times: int = 1) -> float:
    """Wall-clock seconds of so many calls."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return time.perf_counter() - began
