"""A terminal for a program to run in: takes what it paints, answers its questions, presses its keys."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

ROWS, COLUMNS = 48, 160
_ATTRIBUTES_QUERY, _ATTRIBUTES = b"\x1b[c", b"\x1b[?62;22c"
_SEGMENT = re.compile(rb"\x1b\[([0-9;]*)m([^\x1b]*)")
_BACKGROUND = re.compile(rb"48;2;\d+;\d+;\d+")


class Terminal:
    """Runs a command on a pty; `heard` is what it wrote since the last key."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.heard = b""
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            command, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def press(self, keys: bytes) -> float:
        """When the keys were pressed."""
        self.heard = b""
        at = time.perf_counter()
        os.write(self._master, keys)
        return at

    def wait(self, seen: Callable[[bytes], object], seconds: float = 20.0) -> float:
        """When the program has painted what is waited for; TimeoutError where it does not."""
        deadline, at = time.perf_counter() + seconds, time.perf_counter()
        while not seen(self.heard):
            if not self._hear(deadline):
                raise TimeoutError(f"not painted in {seconds:g} s: {self.heard[-2000:]!r}")
            at = time.perf_counter()
        return at

    def rest(self, seconds: float) -> None:
        """Take what is painted in so many seconds."""
        deadline = time.perf_counter() + seconds
        while self._hear(deadline):
            self.heard = self.heard[-65536:]

    def cpu_seconds(self) -> float:
        """Processor time of the program up to now."""
        words = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def _hear(self, deadline: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, deadline - time.perf_counter()))[0]:
            return False
        try:
            chunk = os.read(self._master, 65536)
        except OSError as error:
            raise TimeoutError(f"the program has ended: {self.heard[-2000:]!r}") from error
        if _ATTRIBUTES_QUERY in chunk:
            os.write(self._master, _ATTRIBUTES)
        self.heard += chunk
        return True


def backgrounds(painted: bytes, text: bytes) -> list[bytes]:
    """The background colours behind each time that a text was painted."""
    segments = _SEGMENT.findall(painted)
    return [found[0] for style, words in segments if text in words and (found := _BACKGROUND.search(style))]
