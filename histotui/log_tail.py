"""LogTail: a run's log for a screen: its last lines, and what is added."""

import os
from pathlib import Path

from histotui.text import clean

LAST = 1 << 18
"""Bytes before the end from which a log is shown."""


class LogTail:
    """Reads a growing log. Belongs to one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset: int | None = None
        self._inode = 0

    def read(self) -> list[str]:
        """New whole lines, safe to show; the first call gives the last ones there are."""
        try:
            with self._path.open("rb") as file:
                return self._new_lines(file.fileno())
        except OSError:
            return []

    def _new_lines(self, descriptor: int) -> list[str]:
        status = os.fstat(descriptor)
        if self._offset is None or status.st_ino != self._inode or status.st_size < self._offset:
            self._offset, self._inode = max(0, status.st_size - LAST), status.st_ino
            cut = self._offset > 0
        else:
            cut = False
        data = os.pread(descriptor, LAST, self._offset)
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = whole.decode(errors="replace").splitlines()
        return [clean(text) for text in (lines[1:] if cut else lines)]
