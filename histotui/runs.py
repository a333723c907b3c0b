"""Run: what a run's events add up to, and the state that follows from them and from its process."""

import enum
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from engine.spec.events import (
    DeviceTaken,
    Event,
    Metrics,
    Progress,
    Queued,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    StageFinished,
    StageStarted,
    Warned,
)
from engine.spec.process import ProcessIdentity, is_locked
from engine.spec.run_folder import RunFolder

State = Literal["queued", "running", "stalled", "finished", "failed", "stopped", "lost", "unreadable"]
Outcome = RunFinished | RunFailed | RunStopped

LIVE: frozenset[State] = frozenset({"queued", "running", "stalled"})
RESUMABLE: frozenset[State] = frozenset({"failed", "stopped", "lost"})

# Seconds. On another host there is only the log to go by.
_QUEUED = 10
STALLED = 120
_STALLED_ELSEWHERE = 60
_LOST_ELSEWHERE = 600

_OUTCOMES: Mapping[type[Event], State] = {RunFinished: "finished", RunFailed: "failed", RunStopped: "stopped"}


class Life(enum.Enum):
    """What is known of a run's process."""

    ALIVE = "alive"
    DEAD = "dead"
    UNSEEN = "has not said who it is"
    ELSEWHERE = "on another host"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run, as far as it has come. `rate` is in patches per second."""

    name: str
    what: str = ""
    """What is being done, such as "unpacking"."""
    step: int = 0
    total: int = 0
    epoch: int = 0
    epochs: int = 0
    rate: float | None = None
    seconds_left: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    """How long it took; None until it has finished."""


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a run's events say, folded in order. `apply` gives the next one and changes nothing."""

    stages: Mapping[str, Stage] = field(default_factory=dict)
    stage: str = ""
    device: str = ""
    warnings: tuple[str, ...] = ()
    outcome: Outcome | None = None

    def apply(self, event: Event) -> Self:
        """The run after this event."""
        match event:
            case RunStarted() | Resumed():
                return replace(self, device=event.device or self.device, outcome=None)
            case DeviceTaken(device=device):
                return replace(self, device=device)
            case StageStarted(stage=name):
                return replace(self._at(name, what="", step=0, total=0, seconds=None), stage=name)
            case Progress(stage=name):
                return self._at(
                    name,
                    what=event.what,
                    step=event.step,
                    total=event.total,
                    epoch=event.epoch,
                    epochs=event.epochs,
                    rate=event.rate,
                    seconds_left=event.seconds_left,
                )
            case Metrics(stage=name):
                known = self.stages.get(name, Stage(name)).values
                return self._at(name, step=event.step, epoch=event.epoch, values={**known, **event.values})
            case StageFinished(stage=name):
                return self._at(name, seconds=event.seconds, seconds_left=None)
            case Warned(message=message):
                return self if message in self.warnings else replace(self, warnings=(*self.warnings, message))
            case RunFinished() | RunFailed() | RunStopped():
                return replace(self, outcome=event)
            case _:
                return self

    def apply_all(self, events: Iterable[Event]) -> Self:
        """The run after these events."""
        run = self
        for event in events:
            run = run.apply(event)
        return run

    def _at(self, name: str, **changes: Any) -> Self:
        stage = replace(self.stages.get(name, Stage(name)), **changes)
        return replace(self, stages={**self.stages, name: stage})


def life_of(folder: RunFolder) -> Life:
    """Whether the run's engine lives: by its lock, then by its process."""
    if is_locked(folder.lock):
        return Life.ALIVE
    identity = ProcessIdentity.read(folder.process)
    if identity is None:
        return Life.UNSEEN
    if identity.is_alive():
        return Life.ALIVE
    return Life.DEAD if identity.is_here() or identity.host == socket.gethostname() else Life.ELSEWHERE


def silence_of(folder: RunFolder, last: Event | None, life: Life, created: float, now: float) -> float:
    """Seconds since a run was last heard of: by its last event or its creation, and by the times of its files.

    The clock may have been set since the run began, which its events do not follow but its log's time does.
    """
    heard = [created if last is None else last.time]
    # Most runs have ended, and their files need not be asked.
    if life in (Life.ALIVE, Life.ELSEWHERE):
        begun, written = _written(folder.process), _written(folder.events)
        if life is Life.ALIVE:
            heard += [begun, written]
        # All files of a copy may be as old as the copy.
        elif written - begun > _STALLED_ELSEWHERE:
            heard.append(written)
    return min(abs(now - time) for time in heard)


def _written(path: Path) -> float:
    """When a file was last written to; long ago where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def state_of(last: Event | None, life: Life, silence: float) -> State:
    """The state of a run by its last event, its process and the seconds since it was last heard of."""
    outcome = None if last is None else _OUTCOMES.get(type(last))
    # An engine that lives after another one failed or stopped is taking the run up again.
    if outcome is not None and (life is not Life.ALIVE or outcome == "finished"):
        return outcome
    if life is Life.ELSEWHERE:
        return "running" if silence < _STALLED_ELSEWHERE else "stalled" if silence < _LOST_ELSEWHERE else "lost"
    if life is Life.ALIVE and isinstance(last, Queued):
        return "queued"
    if life is Life.ALIVE:
        return "running" if silence <= STALLED else "stalled"
    return "queued" if life is Life.UNSEEN and last is None and silence < _QUEUED else "lost"


def section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a saved config; empty where it is left out, none, or not what it should be."""
    part = config.get(name)
    return part if isinstance(part, dict) else {}


def expected_stages(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The stages of a run with this config, in order."""
    generator, synthesis = section(config, "generator"), section(config, "synthesis")
    drawn = generator.get("latent_prior") and not synthesis.get("reconstruct")
    made = ("generator", *(("latent_prior",) if drawn else ()), "synthesis") if generator else ()
    taken = ("synthesis",) if synthesis.get("source") else ()
    compared = (
        section(config, "evaluation").get("reference", True) and section(config, "classifier").get("train_on") != "real"
    )
    measured = (made or taken) and section(config, "quality").get("enabled")
    last = ("evaluation", *(("quality",) if measured else ()))
    return ("prepare", *(made or taken), "classifier", *(("reference",) if compared else ()), *last)
