"""A run's log, on stdout."""

import codecs
import time
from pathlib import Path

from engine.spec.run_folder import RunFolder
from histotui import console
from histotui.runs import LIVE
from histotui.summary import summarize

_POLL = 0.3
_CHUNK = 1 << 16


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


class _Printer:
    """Prints a growing file as far as it goes, a line that has not ended yet too: what it grows by follows later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        # A letter of several bytes may be half written.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line_is_open = False

    def print_new(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                while data := file.readline(_CHUNK):
                    self._offset += len(data)
                    self._print(self._decoder.decode(data))
        except FileNotFoundError:
            pass

    def end(self) -> None:
        """End the last line, where the file does not."""
        self._print(self._decoder.decode(b"", final=True))
        if self._line_is_open:
            console.out()

    def _print(self, text: str) -> None:
        if text:
            console.out_part(text)
            self._line_is_open = not text.endswith("\n")
