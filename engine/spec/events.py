"""Events: what a run says while it works, one line of events.jsonl each."""

from dataclasses import dataclass, field
from typing import ClassVar

from engine.spec.clock import now

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, at a wall-clock time in seconds; what lies between two of one process really passed."""

    type: ClassVar[str]
    time: float = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """The engine has taken up the run; always the first line."""

    type: ClassVar[str] = "run_started"
    schema: int = SCHEMA
    version: str = ""
    engine: str = ""
    config_sha256: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed(Event):
    """The engine has taken up a run again that had stopped, failed or been lost."""

    type: ClassVar[str] = "resumed"
    version: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(Event):
    """The run waits for a device; so many runs are before it, the one at work on the device left out."""

    type: ClassVar[str] = "queued"
    device: str
    before: int

    @property
    def words(self) -> str:
        """Its place in the line and for what, in as few letters as a table has."""
        return f"{f'no. {self.before + 1}' if self.before else 'next'} for {self.device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTaken(Event):
    """The device that was waited for is this run's now."""

    type: ClassVar[str] = "device_taken"
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted(Event):
    """A stage begins, or goes on where it was."""

    type: ClassVar[str] = "stage_started"
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """How far a stage is with `what` it does. `rate` is in patches per second, `seconds_left` an estimate."""

    type: ClassVar[str] = "progress"
    stage: str
    step: int
    total: int
    epoch: int = 0
    epochs: int = 0
    rate: float | None = None
    seconds_left: float | None = None
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(Event):
    """Values under their paper names: means over the steps since the last such event, or of one epoch's validation."""

    type: ClassVar[str] = "metrics"
    stage: str
    step: int
    epoch: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSaved(Event):
    """A picture lies at `path`, relative to the run folder."""

    type: ClassVar[str] = "image"
    stage: str
    step: int
    path: str
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved(Event):
    """A checkpoint is complete on disk at `path`, relative to the run folder."""

    type: ClassVar[str] = "checkpoint"
    stage: str
    step: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something the reader of the result should know."""

    type: ClassVar[str] = "warning"
    stage: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored(Event):
    """A classifier was tested; the whole score is in scores.json."""

    type: ClassVar[str] = "scored"
    trained_on: str
    tested_on: str
    role: str
    n_test: int
    accuracy: float
    auc: float
    auc_low: float
    auc_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished(Event):
    """A stage's output is complete on disk."""

    type: ClassVar[str] = "stage_finished"
    stage: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """Every stage is complete. `seconds` is what the run took, the time between a stop and a resumption left out."""

    type: ClassVar[str] = "run_finished"
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(Event):
    """The run ended with an error; the traceback, where there is one, is in log.txt."""

    type: ClassVar[str] = "run_failed"
    error: str
    message: str
    exit_code: int
    stage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopped(Event):
    """The run was asked to stop and can be resumed."""

    type: ClassVar[str] = "run_stopped"
    stage: str


EVENT_TYPES: dict[str, type[Event]] = {
    kind.type: kind
    for kind in (
        RunStarted, Resumed, Queued, DeviceTaken, StageStarted, Progress, Metrics, ImageSaved, CheckpointSaved, Warned,
        Scored, StageFinished, RunFinished, RunFailed, RunStopped,
    )
}  # fmt: skip
