"""Runs the command line in this process on the fake engine, and writes run folders by hand."""

import contextlib
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fake_engine
import pytest

from engine.spec.config import RunConfig
from engine.spec.event_log import EventWriter
from engine.spec.events import Event
from engine.spec.presets import PRESETS
from engine.spec.resolve import dump
from engine.spec.run_folder import RunFolder
from histotui import ask, cli, launcher

FAKE = (sys.executable, str(Path(fake_engine.__file__)))

Tree = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Bench:
    """A folder for runs, and the command line on it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self._patch = monkeypatch
        monkeypatch.setenv("HISTOTUI_RUNS", str(self.runs))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        monkeypatch.setattr(launcher, "ENGINE", FAKE)
        monkeypatch.setattr(ask, "ANSWER", (*FAKE, "answer"))
        monkeypatch.chdir(folder)

    def engine(self, mode: str) -> None:
        self._patch.setenv("FAKE_ENGINE", mode)

    def answers(self, mode: str) -> None:
        self._patch.setenv("FAKE_ANSWER", mode)

    def __call__(self, *arguments: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(list(arguments))
        return Said(code, out.getvalue(), err.getvalue())

    def only_run(self) -> RunFolder:
        (path,) = (path for path in self.runs.iterdir() if not path.name.startswith("."))
        return RunFolder(path)

    def write(
        self,
        run_id: str,
        events: Sequence[Event] = (),
        *,
        scores: Sequence[Mapping[str, object]] = (),
        config: RunConfig = PRESETS["vae-500"].config,
        name: str = "",
    ) -> RunFolder:
        """A run folder as an engine that has ended would have left it."""
        folder = RunFolder(self.runs / run_id)
        folder.path.mkdir(parents=True)
        folder.config.write_text(json.dumps(dump(config)))
        folder.meta.write_text(json.dumps({"name": name, "tags": [], "notes": ""}))
        with EventWriter(folder.events) as writer:
            for event in events:
                writer.write(event)
        if scores:
            folder.scores.write_text(json.dumps({"scores": list(scores), "notes": []}))
        return folder


@contextlib.contextmanager
def signalled(number: signal.Signals, runs: Path, times: int = 1) -> Iterator[None]:
    """Sends this process a signal as soon as a run under way says how far it is."""

    def send() -> None:
        until(lambda: any(b'"metrics"' in path.read_bytes() for path in runs.glob("*/events.jsonl")))
        for _ in range(times):
            os.kill(os.getpid(), number)
            time.sleep(0.4)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition; AssertionError when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
