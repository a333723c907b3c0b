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
        printed = _print_from(folder.log, printed, whole_lines=not over)
        if over:
            return printed > 0 or folder.log.exists()
        time.sleep(_POLL)


def _print_from(path: Path, offset: int, whole_lines: bool) -> int:
    """Print lines from an offset on, without one that is still being written; where the next ones will begin."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while line := file.readline(_CHUNK):
                if whole_lines and not line.endswith(b"\n") and len(line) < _CHUNK:
                    break
                console.out(line.decode(errors="replace").removesuffix("\n"))
                offset = file.tell()
    except FileNotFoundError:
        pass
    return offset
