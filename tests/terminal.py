"""A terminal for tests: runs a program on a pty, shows what it draws, answers it as xterm does, and types."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyte

PATIENCE = 60.0
"""Seconds that anything may take on a busy machine before a test fails."""

ENTER, ESCAPE, UP, DOWN = "\r", "\x1b", "\x1b[A", "\x1b[B"
ATTRIBUTES_QUERY, ATTRIBUTES = b"\x1b[c", b"\x1b[?64;1;2;22c"
FRAMES_QUERY, FRAMES = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
FRAME_BEGINS, FRAME_ENDS = b"\x1b[?2026h", b"\x1b[?2026l"
ANSWERS = {ATTRIBUTES_QUERY: ATTRIBUTES, FRAMES_QUERY: FRAMES}
# xterm without kitty's keyboard and graphics, without reports of window sizes in pixels.
_BEYOND_PYTE = re.compile(rb"\x1b_[^\x1b]*\x1b\\|\x1b\[[<>=?][0-9;]*[upq]|\x1b\[\?[0-9;]*\$p|\x1bP[^\x1b]*\x1b\\")


class Terminal:
    """A program on a pty of its own, which a thread reads until the end.

    It shows whole frames: the top of a new screen above the end of the one before would be seen as both.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], size: tuple[int, int] = (80, 24)
    ) -> None:
        columns, rows = size
        self._far, self._near = pty.openpty()
        fcntl.ioctl(self._near, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._mode = termios.tcgetattr(self._near)
        self.written, self._unshown = b"", b""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._over, self._lock = threading.Event(), threading.Lock()
        self.process = subprocess.Popen(command, env=dict(environment), preexec_fn=partial(os.login_tty, self._near))
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()
        self._over.set()
        self._reading.join()
        os.close(self._far)
        os.close(self._near)

    @property
    def text(self) -> str:
        """What is on the screen, as lines of text."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def is_restored(self) -> bool:
        """Whether lines are read and echoed as they were before the program began."""
        return termios.tcgetattr(self._near) == self._mode

    @property
    def after_the_last_screen(self) -> bytes:
        """What was written since the program last drew on the screen that it has for itself."""
        return self.written.rpartition(b"\x1b[?1049l")[2]

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._far, keys.encode())

    def sees(self, *words: str) -> str:
        """Wait until all of this is on the screen at once; AssertionError, with the screen, where it does not come."""
        return self.until(lambda: all(word in self.text for word in words), f"{words} on the screen")

    def until(self, condition: Callable[[], Any], what: str) -> str:
        """Wait for a condition; the screen then."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{self.text}"
            assert self.process.poll() is None or not self._ended_long_ago(), f"it ended before {what}\n{self.text}"
            time.sleep(0.03)
        return self.text

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the program's end; its exit code, below 0 where a signal ended it."""
        code = self.process.wait(PATIENCE)
        self._over.set()
        self._reading.join()
        return code

    def kill(self) -> None:
        """End the program without a word to it."""
        self.process.kill()
        self.process.wait()

    def _ended_long_ago(self) -> bool:
        # What it wrote last may still be on its way to the screen.
        time.sleep(0.3)
        return True

    def _read(self) -> None:
        while True:
            if select.select([self._far], [], [], 0.02)[0]:
                self._take(os.read(self._far, 65536))
            elif self._over.is_set():
                return

    def _take(self, got: bytes) -> None:
        with self._lock:
            self.written += got
            self._show(got)
        # A question may come in two parts, of which the first was read before.
        for query, answer in ANSWERS.items():
            if query in self.written[-len(got) - len(query) + 1 :]:
                os.write(self._far, answer)

    def _show(self, got: bytes) -> None:
        self._unshown += got
        begins, length = self._unshown.rfind(FRAME_BEGINS), len(self._unshown)
        # A read may end within the mark.
        within = next((n for n in range(len(FRAME_BEGINS), 0, -1) if self._unshown.endswith(FRAME_BEGINS[:n])), 0)
        whole = begins if begins > self._unshown.rfind(FRAME_ENDS) else length - within
        self._stream.feed(_BEYOND_PYTE.sub(b"", self._unshown[:whole]))
        self._unshown = self._unshown[whole:]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A user's variables, with every folder that histotui writes to under this one."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "USER", "LANG", "VIRTUAL_ENV") if name in os.environ}
    folders = {
        "HISTOTUI_RUNS": str(folder / "runs"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
    root = Path(__file__).resolve().parents[1]
    return {**kept, **folders, **colours, "PYTHONPATH": f"{root}", **more}


def histotui(*arguments: str, engine: Path | None = None) -> list[str]:
    """The command that runs histotui, with a script in the engine's place where one is given."""
    if engine is None:
        return [sys.executable, "-m", "histotui", *arguments]
    fake = (sys.executable, str(engine))
    program = f"""import sys
from histotui import ask, cli, launcher
launcher.ENGINE, ask.ANSWER = {fake!r}, {(*fake, "answer")!r}
sys.exit(cli.main())"""
    return [sys.executable, "-c", program, *arguments]
