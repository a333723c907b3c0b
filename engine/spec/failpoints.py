"""Failpoints: where a test lets the program die, be refused something, or compute what is not a number.

Active only where HISTOTUI_FAILPOINT says so, as `name[:hit][:action]`, several with commas between them. `hit` is the
time that the failpoint is reached at which it acts, from 1, or `3+` for that and all later ones; `action` is one of
Action. `scores.written:1:kill9` ends the process once scores.json is written and before it has its name.
"""

import errno
import os
import signal
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

from engine.spec.errors import ConfigError

VARIABLE: Final = "HISTOTUI_FAILPOINT"
_SLEEP_SECONDS: Final = 3600.0


class _Number(Protocol):
    def __mul__(self, other: float, /) -> Any: ...


T = TypeVar("T", bound=_Number)


class Write(StrEnum):
    """What is written to disk; each has the failpoints of Moment."""

    CHECKPOINT = "checkpoint"
    COMMAND = "command"
    CONFIG = "config"
    DATA_MANIFEST = "data-manifest"
    ENVIRONMENT = "environment"
    EXPORT = "export"
    FIGURE = "figure"
    META = "meta"
    PACK = "pack"
    PICTURE = "picture"
    POSTMORTEM = "postmortem"
    PREDICTIONS = "predictions"
    PROCESS = "process"
    QUALITY = "quality"
    REPORT = "report"
    SCORES = "scores"
    SETTINGS = "settings"
    SPLITS = "splits"
    SYNTHETIC = "synthetic"
    SYNTHETIC_PROGRESS = "synthetic-progress"


OUTSIDE_RUNS: Final = frozenset(
    {Write.COMMAND, Write.CONFIG, Write.EXPORT, Write.FIGURE, Write.META, Write.REPORT, Write.SETTINGS}
)
"""What no engine at work on a run writes."""


class Moment(StrEnum):
    """How far a write is."""

    BEGUN = "begun"
    """Nothing of it is on disk yet."""
    WRITTEN = "written"
    """All of it is there under another name."""
    NAMED = "named"
    """It has its name, and the folder is not yet synchronised."""


class Act(StrEnum):
    """What else may go wrong: appending, allocating, updating, forgetting."""

    EVENT = "event"
    CHECKPOINT_FORGET = "checkpoint.forget"
    STEP_FORWARD = "step.forward"
    STEP_LOSS = "step.loss"
    STEP_BACKWARD = "step.backward"
    STEP_GRADIENT = "step.gradient"
    STEP_UPDATE = "step.update"
    STEP_DONE = "step.done"
    FIT = "fit"
    ENCODE = "encode"
    SAMPLE = "sample"
    PREDICT = "predict"
    PACK_BLOCK = "pack.block"


class Action(StrEnum):
    """What happens at a failpoint."""

    KILL = "kill9"
    FULL = "enospc"
    BROKEN = "eio"
    MEMORY = "oom"
    NAN = "nan"
    INF = "inf"
    SLEEP = "sleep"


NAMES: Final = (*(f"{write}.{moment}" for write in Write for moment in Moment), *map(str, Act))
"""Every failpoint."""

_ERRNO: Final = {Action.FULL: errno.ENOSPC, Action.BROKEN: errno.EIO}
_SPOIL: Final = {Action.NAN: float("nan"), Action.INF: float("inf")}


@dataclass(slots=True)
class _Armed:
    action: Action
    hit: int
    onwards: bool
    reached: int = 0

    def is_due(self) -> bool:
        self.reached += 1
        return self.reached == self.hit or (self.onwards and self.reached > self.hit)


_armed: dict[str, _Armed] = {}


def arm(wish: str | None) -> None:
    """Let these failpoints act from now on, and no others. ConfigError for what is none."""
    _armed.clear()
    for part in filter(None, (wish or "").split(",")):
        name, _, rest = part.partition(":")
        hit, _, action = rest.partition(":") if rest not in set(Action) else ("", "", rest)
        count = hit.removesuffix("+") or "1"
        if name not in NAMES or not count.isdecimal() or int(count) < 1 or (action or "kill9") not in set(Action):
            raise ConfigError(f"{VARIABLE}: {part!r}: write name[:hit][:action] with a name among {', '.join(NAMES)}")
        _armed[name] = _Armed(Action(action or "kill9"), int(count), hit.endswith("+"))


def arm_from_environment() -> None:
    """Let those failpoints act that the environment names."""
    arm(os.environ.get(VARIABLE))


def reach(point: str) -> None:
    """Fail here, where this failpoint is to."""
    if not _armed or (armed := _armed.get(point)) is None or armed.action in _SPOIL or not armed.is_due():
        return
    match armed.action:
        case Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Action.SLEEP:
            time.sleep(_SLEEP_SECONDS)
        case Action.MEMORY:
            # The error of whatever allocates: torch's, which this part of the program does not import.
            raise getattr(sys.modules.get("torch"), "OutOfMemoryError", MemoryError)(f"failpoint {point}")
        case _:
            number = _ERRNO[armed.action]
            raise OSError(number, os.strerror(number), f"failpoint {point}")


def spoiled(point: str, value: T) -> T:
    """The value, a number or a tensor, or something that is not finite where this failpoint is to spoil it."""
    if not _armed or (armed := _armed.get(point)) is None or armed.action not in _SPOIL or not armed.is_due():
        return value
    nonsense: T = value * _SPOIL[armed.action]
    return nonsense
