"""Finding: one thing that is wrong with a run folder."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a file, what is to be done, and how, where that can be done without losing what is whole."""

    path: str
    """Relative to the run folder."""
    problem: str
    remedy: str
    mend: Callable[[], object] | None = None
