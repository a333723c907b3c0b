"""A run's log, on stdout."""

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
    printed = 0
    while True:
        # Asked before the log is read, so that its last lines are printed too.
        over = not follow or summarize(folder).state not in LIVE
        printed = _print_from(folder.log, printed)
        if over:
            return printed > 0 or folder.log.exists()
        time.sleep(_POLL)


def _print_from(path: Path, offset: int) -> int:
    """Print whole lines from an offset on; where the next ones will begin."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while line := file.readline(_CHUNK):
                console.out(line.decode(errors="replace").removesuffix("\n"))
            return file.tell()
    except FileNotFoundError:
        return offset
