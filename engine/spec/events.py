"""Events: what a run says while it works, appended to events.jsonl one line at a time."""

import dataclasses
import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar, Self

from engine.spec.clock import now
from engine.spec.errors import RunFolderError
from engine.spec.failpoints import Act, reach
from engine.spec.typed import conforms

SCHEMA = 1
MAX_LINE = 1 << 20
SYNC_SECONDS = 2.0
"""A power failure loses what was said in about so many seconds; a killed process loses nothing."""


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


class EventWriter:
    """Appends events, each in the kernel before the next statement runs.

    A run that resumes repeats the steps since its last checkpoint with the same results; what the log already says of a
    step is not said again.
    """

    def __init__(self, path: Path, listener: Callable[[Event], None] | None = None) -> None:
        """`listener` hears of each event that was written."""
        # pydantic's serialisers take a sixth of json's time; only the writer pays for their import.
        from pydantic import TypeAdapter

        self._forms = {
            name: (b'{"type":"%s",' % name.encode(), TypeAdapter(kind).serializer.to_json)
            for name, kind in EVENT_TYPES.items()
        }
        self._path, self._listener = path, listener
        self._said = _steps_said(path)
        """The last step that an earlier process said of each stage and kind."""
        self._sync_due = 0.0
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        _drop_torn_line(path, self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, event: Event) -> None:
        """Append one line, unless the log has this stage, step and kind already. OSError where the disk is full."""
        if self._said and self._is_said(event):
            return
        start, to_json = self._forms[event.type]
        line = start + to_json(event)[1:] + b"\n"
        reach(Act.EVENT)
        if os.write(self._descriptor, line) < len(line):
            _drop_torn_line(self._path, self._descriptor)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        if event.time > self._sync_due:
            os.fdatasync(self._descriptor)
            self._sync_due = event.time + SYNC_SECONDS
        if self._listener is not None:
            self._listener(event)

    def _is_said(self, event: Event) -> bool:
        return isinstance(event, Metrics | ImageSaved) and event.step <= self._said.get(_key(event), -1)

    def close(self) -> None:
        """Close the log, with all of it on disk."""
        os.fdatasync(self._descriptor)
        os.close(self._descriptor)


class EventReader:
    """Follows a growing events.jsonl: each call to `read` gives what was appended since the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.skipped = 0
        """Lines that could not be read."""

    def read(self) -> list[Event]:
        """New whole lines as events. A half-written last line waits; what is not understood is skipped and counted."""
        return list(self._new_events())

    def _new_events(self) -> Iterator[Event]:
        for line in self._new_lines():
            event = parse_event(line)
            if event is None:
                self.skipped += 1
            else:
                yield event

    def _new_lines(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                while line := file.readline(MAX_LINE):
                    if not line.endswith(b"\n"):
                        if len(line) < MAX_LINE or not _skip_line(file):
                            return
                        line = b""
                    self._offset = file.tell()
                    yield line
        except FileNotFoundError:
            return


def parse_event(line: bytes | str) -> Event | None:
    """The event in a line, unknown fields left out; None for unknown names. RunFolderError for a newer schema."""
    try:
        tree = json.loads(line)
        kind = EVENT_TYPES[tree["type"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    schema = tree.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise RunFolderError(
            f"this run was written with schema {schema} and this histotui reads up to {SCHEMA}: update histotui"
        )
    if not conforms(kind, tree):
        return None
    names = {part.name for part in dataclasses.fields(kind)}
    try:
        return kind(**{name: value for name, value in tree.items() if name in names})
    except TypeError:
        return None


def read_last(path: Path) -> Event | None:
    """The last whole event of a log, without reading what comes before."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            for size in (1 << 13, 2 * MAX_LINE):
                file.seek(max(0, end - size))
                # Only the first may be the rest of a line, which no event begins with; the last is torn or empty.
                lines = file.read().split(b"\n")[:-1]
                if event := next((event for line in reversed(lines) if (event := parse_event(line))), None):
                    return event
    except OSError:
        return None
    return None


def worked_seconds(path: Path) -> float:
    """Seconds from each start or resumption of a run to the last that was heard of it, added up."""
    seconds, began, last = 0.0, None, 0.0
    for event in EventReader(path).read():
        if isinstance(event, RunStarted | Resumed):
            seconds += last - began if began is not None else 0.0
            began = event.time
        elif isinstance(event, Queued | DeviceTaken):
            # Waiting is no work.
            began = event.time
        last = event.time
    return seconds + (last - began if began is not None else 0.0)


def read_first(path: Path) -> Event | None:
    """The first event of a log."""
    try:
        with path.open("rb") as file:
            return parse_event(file.readline(MAX_LINE))
    except OSError:
        return None


_Key = tuple[str, str, frozenset[str]]


def _key(event: Metrics | ImageSaved) -> _Key:
    return event.type, event.stage, frozenset(event.values if isinstance(event, Metrics) else ())


def _steps_said(path: Path) -> dict[_Key, int]:
    said: dict[_Key, int] = {}
    for event in EventReader(path).read():
        if isinstance(event, Metrics | ImageSaved):
            said[_key(event)] = max(event.step, said.get(_key(event), -1))
    return said


def _skip_line(file: BinaryIO) -> bool:
    """Read on to the end of an over-long line without keeping it; False where it has not ended yet."""
    while chunk := file.readline(MAX_LINE):
        if chunk.endswith(b"\n"):
            return True
    return False


def _drop_torn_line(path: Path, descriptor: int) -> None:
    """Cut what a crash left after the last newline, which no reader has taken for a line."""
    if torn := torn_tail(path):
        os.ftruncate(descriptor, path.stat().st_size - torn)


def torn_tail(path: Path) -> int:
    """Bytes after the last newline of a log, of the last MAX_LINE at most."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_LINE))
        tail = file.read()
    return len(tail) - (tail.rfind(b"\n") + 1)
