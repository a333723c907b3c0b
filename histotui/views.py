"""Ways to show a run that is being followed: nothing, plain lines, or a live picture (in `live`)."""

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, Self

from engine.spec.events import (
    DeviceTaken,
    Event,
    Metrics,
    Progress,
    Queued,
    Resumed,
    RunStarted,
    StageFinished,
    StageStarted,
    Warned,
)
from histotui import console
from histotui.formats import count, duration, number
from histotui.runs import Run, Stage, expected_stages

_SECONDS_BETWEEN_LINES = 5.0


class View(Protocol):
    """Shows a run on stderr while it is followed."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, event: Event, run: Run) -> None: ...
    def tick(self, run: Run) -> None: ...
    def note(self, text: str) -> None: ...


class SilentView:
    """For `--quiet`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, event: Event, run: Run) -> None: ...

    def tick(self, run: Run) -> None: ...

    def note(self, text: str) -> None: ...


class LineView(SilentView):
    """Whole lines, for pipes and logs."""

    def __init__(self, stages: tuple[str, ...]) -> None:
        self._stages = stages
        self._next_line = 0.0

    def show(self, event: Event, run: Run) -> None:
        match event:
            case RunStarted() | Resumed() if not event.device:
                pass
            case RunStarted() | Resumed():
                console.say(f"{'resumed' if isinstance(event, Resumed) else 'started'} on {event.device}")
            case Queued():
                console.say(f"waits: {event.words}")
            case DeviceTaken(device=device):
                console.say(f"started on {device}")
            case StageStarted(stage=name):
                console.say(f"{name}: {place(name, self._stages)}")
            case Progress() | Metrics() if time.monotonic() >= self._next_line:
                self._say_progress(run.stages[event.stage])
            case StageFinished(stage=name):
                console.say(f"{name}: done in {duration(event.seconds)}{_after_comma(losses(run.stages[name]))}")
            case Warned(message=message):
                console.say(f"warning: {message}")
            case _:
                pass

    def note(self, text: str) -> None:
        console.say(text)

    def _say_progress(self, stage: Stage) -> None:
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        parts = [position(stage), losses(stage), speed(stage)]
        console.say(f"{stage.name}: {', '.join(filter(None, parts))}")


def choose_view(config: Mapping[str, Any], title: str, quiet: bool) -> View:
    """The view that fits stderr."""
    stages = expected_stages(config)
    if quiet:
        return SilentView()
    if console.is_terminal(sys.stderr):
        # rich takes 50 ms to import, which only this view needs.
        from histotui.live import LiveView

        return LiveView(stages, title)
    return LineView(stages)


def place(name: str, stages: tuple[str, ...]) -> str:
    """Where a stage stands among all of them."""
    return f"stage {stages.index(name) + 1} of {len(stages)}" if name in stages else "started"


def position(stage: Stage) -> str:
    """How far a stage is."""
    parts = [f"epoch {stage.epoch}/{stage.epochs}"] if stage.epochs else []
    if stage.total:
        parts.append(f"{stage.what or 'step'} {count(stage.step)}/{count(stage.total)}")
    elif stage.what:
        parts.append(stage.what)
    return ", ".join(parts)


def losses(stage: Stage) -> str:
    """The latest values under their paper names."""
    return ", ".join(f"{name} {number(value)}" for name, value in stage.values.items())


def time_left(stage: Stage) -> str:
    """How long the stage still takes, once that is known."""
    return f"{duration(stage.seconds_left)} left" if stage.seconds_left is not None else ""


def rate(stage: Stage) -> str:
    """Patches per second, once they are known."""
    return f"{number(stage.rate, 3)} images/s" if stage.rate is not None else ""


def speed(stage: Stage) -> str:
    """The time left, and patches per second."""
    return ", ".join(filter(None, (time_left(stage), rate(stage))))


def _after_comma(text: str) -> str:
    return f", {text}" if text else ""
