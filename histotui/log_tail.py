"""LogTail: a run's log for a screen: its last lines, and what is added."""

import os
from dataclasses import dataclass
from pathlib import Path

from histotui.text import clean

LAST = 1 << 18
"""Bytes before the end from which a log is shown, and the most that a line has."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Lines that a log has ended since the last look, and the one that it has begun and not ended yet."""

    lines: tuple[str, ...] = ()
    unfinished: str = ""


class LogTail:
    """Reads a growing log. Belongs to one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset: int | None = None
        self._inode = 0

    def read(self) -> Growth:
        """What is new, safe to show; the first call gives the last lines there are."""
        try:
            with self._path.open("rb") as file:
                return self._growth(file.fileno())
        except OSError:
            return Growth()

    def _growth(self, descriptor: int) -> Growth:
        status = os.fstat(descriptor)
        if self._offset is None or status.st_ino != self._inode or status.st_size < self._offset:
            self._offset, self._inode = max(0, status.st_size - LAST), status.st_ino
            cut = self._offset > 0
        else:
            cut = False
        data = os.pread(descriptor, LAST, self._offset)
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and len(data) == LAST:
            # Waiting for its end would show nothing ever again.
            whole = data
        self._offset += len(whole)
        lines, unfinished = _lines(whole), _lines(data[len(whole) :])
        # A bar of progress goes back to the start of its line again and again: what it says last is what it says.
        return Growth(tuple(lines[1:] if cut else lines), unfinished[-1] if unfinished else "")


def _lines(data: bytes) -> list[str]:
    return [clean(text) for text in data.decode(errors="replace").splitlines()]
