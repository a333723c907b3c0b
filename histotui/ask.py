"""Asks the engine what needs torch, numpy or the data readers, in a process of its own."""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any

from engine.spec import errors
from engine.spec.errors import EnvironmentFault, HistotuiError
from histotui import console
from histotui.disk import storage_errors
from histotui.launcher import environment
from histotui.text import clean_line

ANSWER: tuple[str, ...] = (sys.executable, "-P", "-m", "engine.answer")

OnProgress = Callable[[str, int, int], None]
Tree = dict[str, Any]


class Asking:
    """A question on its way, which another thread may call off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.is_off = False

    def began(self, process: subprocess.Popen[bytes]) -> None:
        """This process answers it."""
        with self._lock:
            self._process = process
            if self.is_off:
                process.kill()

    def call_off(self) -> None:
        """End it: nobody waits for the answer any more."""
        with self._lock:
            self.is_off = True
            if self._process is not None:
                self._process.kill()


def ask(query: str, body: Tree, on_progress: OnProgress | None = None, asking: Asking | None = None) -> Tree:
    """The engine's answer; its error is raised here again under its own type. EnvironmentFault where called off."""
    with _narration() as narration, _start(query, body, narration) as process:
        if asking is not None:
            asking.began(process)
        last = None
        try:
            last = _last_word(process.stdout, on_progress or show_progress)
        finally:
            if last is None:
                process.kill()
        process.wait()
        return _result(query, last, process.returncode, narration)


def show_progress(what: str, done: int, total: int) -> None:
    """How far the engine is, on one line of a terminal that the next one replaces."""
    if console.is_terminal(sys.stderr):
        share = f"{what}: {done:,} of {total:,}" if total else what
        sys.stderr.write(f"\r\x1b[K{clean_line(share)}")
        sys.stderr.flush()


def hide_progress(what: str, done: int, total: int) -> None:
    """For `--quiet`."""


def _narration() -> IO[bytes]:
    with storage_errors("temporary files"):
        return tempfile.TemporaryFile()


def _start(query: str, body: Tree, narration: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [*ANSWER, query, json.dumps(body)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=narration,
            env=environment(),
        )
    except OSError as error:
        raise EnvironmentFault(f"the engine cannot be started: {error}") from None


def _last_word(lines: IO[bytes] | None, on_progress: OnProgress) -> Tree:
    last: Tree = {}
    for line in lines or ():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and isinstance(progress := said.get("progress"), dict):
            on_progress(str(progress.get("what")), int(progress.get("done", 0)), int(progress.get("total", 0)))
        elif isinstance(said, dict):
            last = said
    if on_progress is show_progress and console.is_terminal(sys.stderr):
        sys.stderr.write("\r\x1b[K")
    return last


def _result(query: str, last: Tree, code: int, narration: IO[bytes]) -> Tree:
    if isinstance(result := last.get("result"), dict):
        return result
    if isinstance(error := last.get("error"), dict):
        raise _same_error(error)
    narration.seek(0)
    tail = narration.read().decode(errors="replace").strip().splitlines()[-5:]
    raise EnvironmentFault("\n".join([f"the engine gave no answer to {query!r} (exit code {code})", *tail]))


def _same_error(error: Tree) -> HistotuiError:
    kind = getattr(errors, str(error.get("type")), EnvironmentFault)
    if not (isinstance(kind, type) and issubclass(kind, HistotuiError)):
        kind = EnvironmentFault
    return kind(str(error.get("message")))
