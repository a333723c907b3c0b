"""Follows a run by its folder until it ends."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Self

from engine.spec.errors import DONE, INTERRUPTED, ConfigError, Diverged, EnvironmentFault, HistotuiError, Stopped
from engine.spec.event_log import EventReader
from engine.spec.events import Event, RunFailed, RunFinished, RunStopped
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui.launcher import ask_to_stop
from histotui.runs import LIVE, Run
from histotui.summary import summarize
from histotui.views import View

_POLL = 0.1
_LIFE_EVERY = 1.0
_LOG_LINES = 15

# An engine that does not get its run's lock, for one, has no log of events to say so in.
_TELLING_CODES = frozenset({ConfigError.exit_code, EnvironmentFault.exit_code, Diverged.exit_code})


class RunError(HistotuiError):
    """A followed run that did not finish, with the exit code that it ended with."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(slots=True)
class Interrupts:
    """Counts the requests to end: the first asks the engine to stop, the second kills it and its workers."""

    count: int = 0
    _passed_on: int = 0

    @contextlib.contextmanager
    def caught(self) -> Iterator[Self]:
        """Within this, Ctrl-C and SIGTERM are for the engine."""
        old = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def pass_on(self, folder: RunFolder, process: subprocess.Popen[bytes]) -> str:
        """Tell the engine what was asked since the last call; what was done, for people."""
        if self.count == self._passed_on or process.poll() is not None:
            return ""
        if self.count > 1:
            self._passed_on = self.count
            os.killpg(process.pid, signal.SIGKILL)
            return "killed"
        identity = ProcessIdentity.read(folder.process)
        if identity is None or identity.pid != process.pid:
            # An engine that has not said who it is does not listen yet, and a signal would end it without a word.
            return ""
        self._passed_on = 1
        ask_to_stop(folder, identity)
        return "stopping with a checkpoint; Ctrl-C again kills it"

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


@dataclass(slots=True)
class History:
    """What a run has said, and the reader that hears what comes next."""

    reader: EventReader
    run: Run = field(default_factory=Run)

    @classmethod
    def before_engine(cls, folder: RunFolder) -> Self:
        """To be read before an engine is started: how an earlier one ended says nothing about the next."""
        reader = EventReader(folder.events)
        return cls(reader, replace(Run().apply_all(reader.read()), outcome=None))


@dataclass(slots=True)
class Follower:
    """Reads what a run says and shows it, until its last word or the end of its process."""

    folder: RunFolder
    view: View
    history: History
    process: subprocess.Popen[bytes] | None = None
    """The engine, where this process started it."""
    interrupts: Interrupts = field(default_factory=Interrupts)
    _next_look: float = 0.0

    def follow(self) -> Run:
        """The run as it ended."""
        with self.view:
            while True:
                # Asked before the log is read, so that the last words of an engine that has just ended are heard.
                over = self._is_over()
                self._show(self.history.reader.read())
                if over:
                    return self.history.run
                self._pass_on_interrupts()
                time.sleep(_POLL)

    def _show(self, events: list[Event]) -> None:
        for event in events:
            self.history.run = self.history.run.apply(event)
            self.view.show(event, self.history.run)
        self.view.tick(self.history.run)

    def _is_over(self) -> bool:
        if self.process is not None:
            return self.process.poll() is not None
        if isinstance(self.history.run.outcome, RunFinished):
            return True
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _LIFE_EVERY
        return summarize(self.folder).state not in LIVE

    def _pass_on_interrupts(self) -> None:
        if self.process is not None and (done := self.interrupts.pass_on(self.folder, self.process)):
            self.view.note(done)


def raise_unless_finished(folder: RunFolder, run: Run, killed: bool = False, engine_code: int | None = None) -> None:
    """Turn the end of a run into the error that gives the exit code: the engine's own where the run says nothing."""
    match run.outcome:
        case RunFinished():
            return
        case RunStopped() as stopped:
            raise Stopped(f"{_place(run, stopped.stage)}\n`histotui resume {folder.id}` goes on from there")
        case RunFailed() as failed:
            code = failed.exit_code if failed.exit_code != DONE else HistotuiError.exit_code
            raise RunError(f"{failed.message}\nThe log is {folder.log}", code)
    if killed:
        raise RunError(f"killed\n`histotui resume {folder.id}` goes on from its last checkpoint", INTERRUPTED)
    tail = "\n".join(f"  {line}" for line in last_lines(folder))
    raise RunError(
        f"{folder.id} is lost: its engine ended without a word. The last lines of {folder.log}:\n{tail}",
        engine_code if engine_code in _TELLING_CODES else HistotuiError.exit_code,
    )


def _place(run: Run, stage: str) -> str:
    if stage not in run.stages:
        return "before its first stage"
    step = run.stages[stage].step
    return f"at {stage}, step {step:,}" if step else f"at {stage}"


def last_lines(folder: RunFolder, lines: int = _LOG_LINES, size: int = 16_384) -> list[str]:
    """The end of the engine's log."""
    try:
        with folder.log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
