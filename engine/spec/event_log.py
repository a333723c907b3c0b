"""events.jsonl: appended to one whole line at a time, and read while it grows, whatever a crash has left of it."""

import dataclasses
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from engine.spec.errors import RunFolderError
from engine.spec.events import EVENT_TYPES, SCHEMA, DeviceTaken, Event, ImageSaved, Metrics, Queued, Resumed, RunStarted
from engine.spec.failpoints import Act, reach
from engine.spec.typed import conforms

MAX_LINE = 1 << 20
SYNC_SECONDS = 2.0
"""A power failure loses what was said in about so many seconds; a killed process loses nothing."""


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
