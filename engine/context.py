"""Context: what every stage works with."""

import time
from dataclasses import dataclass, field

import torch

from engine.control import StopFlag
from engine.progress import Report
from engine.spec.config import RunConfig
from engine.spec.event_log import EventWriter
from engine.spec.events import Progress, Warned
from engine.spec.run_folder import RunFolder

PROGRESS_SECONDS = 1.0
"""Time between progress events."""


@dataclass(frozen=True, slots=True)
class Context:
    """One run at work: its folder and config, where it runs, where it reports and how it is stopped."""

    folder: RunFolder
    config: RunConfig
    device: torch.device
    events: EventWriter
    stop: StopFlag

    def warn(self, stage: str, message: str) -> None:
        self.events.write(Warned(stage=stage, message=message))

    def reporter(self, stage: str) -> Report:
        """A report that writes progress events of a stage and stops it where the run was asked to stop."""
        return _StageReport(self, stage)


@dataclass(slots=True)
class _StageReport:
    context: Context
    stage: str
    _meter: "Meter | None" = field(default=None, init=False)
    _doing: tuple[str, int] = field(default=("", 0), init=False)

    def __call__(self, what: str, done: int, total: int) -> None:
        self.context.stop.raise_if_requested()
        if self._meter is None or self._doing != (what, total):
            self._doing = (what, total)
            self._meter = Meter(self.context.events, self.stage, total, patches_per_step=1, start=done, what=what)
        self._meter.show(done)


class Meter:
    """Writes a progress event about once a second, with the rate and the time left."""

    def __init__(
        self,
        events: EventWriter,
        stage: str,
        total: int,
        patches_per_step: int,
        start: int = 0,
        steps_per_epoch: int = 0,
        what: str = "",
    ) -> None:
        self._events, self._stage, self._total = events, stage, total
        self._patches_per_step, self._steps_per_epoch = patches_per_step, steps_per_epoch
        self._what = what
        self._shown_at, self._shown_step = time.monotonic(), start
        self._rate: float | None = None

    def show(self, step: int) -> None:
        """Report that `step` steps are done."""
        now = time.monotonic()
        seconds = now - self._shown_at
        if seconds < PROGRESS_SECONDS and step < self._total:
            return
        if step > self._shown_step and seconds > 0:
            rate = (step - self._shown_step) / seconds
            self._rate = rate if self._rate is None else 0.7 * self._rate + 0.3 * rate
        self._shown_at, self._shown_step = now, step
        self._events.write(
            Progress(
                stage=self._stage,
                step=step,
                total=self._total,
                epoch=self._epoch(step),
                epochs=self._total // self._steps_per_epoch if self._steps_per_epoch else 0,
                rate=self._rate * self._patches_per_step if self._rate else None,
                seconds_left=(self._total - step) / self._rate if self._rate else None,
                what=self._what,
            )
        )

    def _epoch(self, step: int) -> int:
        return min(step, self._total - 1) // self._steps_per_epoch + 1 if self._steps_per_epoch else 0
