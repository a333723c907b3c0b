"""One measured thing beside its limit."""

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """A value in a unit, what it may be at most, and what it means; without a limit it is only reported."""

    name: str
    value: float
    unit: str
    meaning: str
    limit: float | None = None
    spread: tuple[float, float] | None = None
    """The quartiles, where there were several rounds."""

    @property
    def is_met(self) -> bool:
        return self.limit is None or self.value <= self.limit


def median_of(name: str, values: Sequence[float], unit: str, meaning: str, limit: float | None = None) -> Measure:
    """The median of several rounds with its quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return Measure(name, middle, unit, meaning, limit, (low, high))


def seconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Wall-clock seconds of a command from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


def row(measure: Measure) -> str:
    """One line: the value with its quartiles, its limit, and what it means."""
    limit = "reported" if measure.limit is None else f"at most {measure.limit:g}"
    mark = "" if measure.limit is None else "met" if measure.is_met else "MISSED"
    spread = "" if measure.spread is None else f"({measure.spread[0]:.3g} to {measure.spread[1]:.3g})"
    value = f"{measure.value:8.3g} {measure.unit:<5}"
    return f"{measure.name:<22}{value} {spread:<18} {limit:<12} {mark:<6}  {measure.meaning}"
