"""Writes a comparison to a folder: its table in every format, and its figures."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from engine.spec.errors import EnvironmentFault, RunFolderError
from engine.spec.run_folder import RunFolder
from histotui.ask import ask, hide_progress
from histotui.disk import storage_errors
from histotui.launcher import environment
from histotui.text import clean_line

COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "histotui")
TABLES: Final[Mapping[str, str]] = {"csv": "table.csv", "md": "table.md", "latex": "table.tex", "json": "table.json"}
"""The file of each of `compare`'s formats."""


def default_folder() -> Path:
    """A new folder under the working one, named after the time."""
    return Path(f"histotui-export-{time.strftime('%Y%m%d-%H%M%S')}")


def export(folders: Sequence[RunFolder], labels: Sequence[str], target: Path) -> Path:
    """Tables and figures of these runs in `target`, which is given back in full. Takes seconds: call it in a thread."""
    target = target.expanduser().absolute()
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    for format, name in TABLES.items():
        with storage_errors(target / name):
            (target / name).write_text(_compared(folders, format), encoding="utf-8")
    paths = [str(folder.path.absolute()) for folder in folders]
    ask("figures", {"runs": paths, "labels": list(labels), "folder": str(target)}, hide_progress)
    return target


def _compared(folders: Sequence[RunFolder], format: str) -> str:
    """What `compare` prints: pandas stays out of this process."""
    runs = [*(folder.id for folder in folders), "--runs", str(folders[0].path.parent.absolute())]
    command = [*COMMAND, "compare", *runs, "--format", format]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), stdin=subprocess.DEVNULL)
    except OSError as error:
        raise EnvironmentFault(f"histotui cannot be started: {error}") from None
    if done.returncode:
        raise RunFolderError(
            clean_line(done.stderr.strip().rpartition("\n")[2]) or f"compare ended with {done.returncode}"
        )
    return done.stdout
