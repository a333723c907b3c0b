"""A run's log, on stdout."""

import codecs
import time
from pathlib import Path

from engine.spec.errors import RunFolderError
from engine.spec.run_folder import RunFolder
from histotui import console
from histotui.launcher import ask_where
from histotui.runs import LIVE
from histotui.stopping import live_identity
from histotui.summary import summarize

_POLL = 0.3
_CHUNK = 1 << 16
_PATIENCE = 5.0


def print_log(folder: RunFolder, follow: bool) -> bool:
    """Print the log, and with `follow` what is added to it until the run ends; False where there is none."""
    printer = _Printer(folder.log)
    while True:
        # Asked before the log is read, so that its last lines are printed too.
        over = not follow or summarize(folder).state not in LIVE
        printer.print_new()
        if over:
            printer.end()
            return folder.log.exists()
        time.sleep(_POLL)


def print_stack(folder: RunFolder) -> None:
    """Print where each thread of a run's engine is, which adds it to its log; RunFolderError where none is at work."""
    identity, printer = live_identity(folder), _Printer(folder.log, from_the_end=True)
    if not ask_where(identity):
        raise RunFolderError(f"{folder.id} has ended; `histotui logs {folder.id}` says how")
    give_up = time.monotonic() + _PATIENCE
    while not printer.print_new() and time.monotonic() < give_up:
        time.sleep(_POLL)
    # The threads come one after the other.
    time.sleep(_POLL)
    printer.print_new()
    printer.end()


class _Printer:
    """Prints a growing file as far as it goes, a line that has not ended yet too: what it grows by follows later."""

    def __init__(self, path: Path, *, from_the_end: bool = False) -> None:
        self._path = path
        self._offset = path.stat().st_size if from_the_end and path.exists() else 0
        # A letter of several bytes may be half written.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line_is_open = False

    def print_new(self) -> bool:
        """Whether there was anything new."""
        before = self._offset
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                while data := file.readline(_CHUNK):
                    self._offset += len(data)
                    self._print(self._decoder.decode(data))
        except FileNotFoundError:
            pass
        return self._offset > before

    def end(self) -> None:
        """End the last line, where the file does not."""
        self._print(self._decoder.decode(b"", final=True))
        if self._line_is_open:
            console.out()

    def _print(self, text: str) -> None:
        if text:
            console.out_part(text)
            self._line_is_open = not text.endswith("\n")
