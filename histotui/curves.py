"""Curves: what a stage logged under one name, collected from a run's events."""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.spec.events import Metrics

BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The values of one name of one stage, with the step, the epoch and the seconds into the run of each."""

    stage: str
    name: str
    steps: "array[float]"
    epochs: "array[float]"
    times: "array[float]"
    values: "array[float]"


class CurveBook:
    """Collects metrics events; `snapshot` gives curves that stay as they are while it collects on."""

    def __init__(self, began: float | None = None) -> None:
        """`began`: the run's first event in wall-clock seconds; without it, the first event added."""
        self._began = began
        self._stages: dict[str, dict[str, _Growing]] = {}
        self._snapshot: tuple[Curve, ...] | None = ()

    def add(self, event: Metrics) -> None:
        """Take in what one event says; a step that a curve is past already is left out."""
        if self._began is None:
            self._began = event.time
        names = self._stages.setdefault(event.stage, {})
        for name, value in event.values.items():
            growing = names.setdefault(name, _Growing())
            if growing.add(event.step, event.epoch, event.time - self._began, value):
                self._snapshot = None

    def snapshot(self) -> tuple[Curve, ...]:
        """Every curve, stages and their names in the order they came in; the same objects where nothing changed."""
        if self._snapshot is None:
            self._snapshot = tuple(
                growing.curve(stage, name) for stage, names in self._stages.items() for name, growing in names.items()
            )
        return self._snapshot


def _column() -> "array[float]":
    return array("d")


@dataclass(slots=True, eq=False)
class _Growing:
    steps: "array[float]" = field(default_factory=_column)
    epochs: "array[float]" = field(default_factory=_column)
    times: "array[float]" = field(default_factory=_column)
    values: "array[float]" = field(default_factory=_column)
    frozen: Curve | None = None

    def add(self, step: float, epoch: float, seconds: float, value: float) -> bool:
        # Logs of before the writer left out what a resumed run repeats.
        if self.steps and step <= self.steps[-1]:
            return False
        self.steps.append(step)
        self.epochs.append(epoch)
        # The clock may have been set back before the run was taken up again.
        self.times.append(max(seconds, self.times[-1] if self.times else 0.0))
        self.values.append(value)
        self.frozen = None
        return True

    def curve(self, stage: str, name: str) -> Curve:
        if self.frozen is None:
            self.frozen = Curve(stage, name, self.steps[:], self.epochs[:], self.times[:], self.values[:])
        return self.frozen


def spark(values: Sequence[float], width: int) -> str:
    """The values as block characters, at most `width` of them; a blank where nothing is finite."""
    heights = list(_means(values, width))
    finite = [height for height in heights if height is not None]
    if not finite:
        return " " * len(heights)
    low, high = min(finite), max(finite)
    return "".join(" " if height is None else _block(height, low, high) for height in heights)


def _means(values: Sequence[float], width: int) -> Iterator[float | None]:
    count = min(len(values), max(width, 0))
    for place in range(count):
        part = values[place * len(values) // count : (place + 1) * len(values) // count]
        finite = [value for value in part if math.isfinite(value)]
        # Divided before they are added, since finite values may add up to an infinite one.
        yield sum(value / len(finite) for value in finite) if finite else None


def _block(height: float, low: float, high: float) -> str:
    span = high / 2 - low / 2
    share = (height / 2 - low / 2) / span if span > 0 else 0.5
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]
