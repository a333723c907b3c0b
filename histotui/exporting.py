"""Writes a comparison to a folder: its table in every format, the paired tests, and its figures."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from engine.spec.atomic import replacing
from engine.spec.errors import EnvironmentFault, RunFolderError
from engine.spec.failpoints import Write
from engine.spec.run_folder import RunFolder
from histotui.ask import ask, hide_progress
from histotui.comparison import read_rows, short_labels
from histotui.disk import storage_errors
from histotui.launcher import environment
from histotui.paired import paired_rows
from histotui.tables import as_text
from histotui.text import clean, clean_line

COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "histotui")
TABLES: Final[Mapping[str, str]] = {"csv": "table.csv", "md": "table.md", "latex": "table.tex", "json": "table.json"}
"""The file of each of `compare`'s formats."""
PAIRED: Final = "paired.csv"
"""The tests, which the other formats have in the same file."""


def default_folder() -> Path:
    """A new folder under the working one, named after the time."""
    return Path(f"histotui-export-{time.strftime('%Y%m%d-%H%M%S')}")


def export(folders: Sequence[RunFolder], target: Path) -> Path:
    """`compare --export`, in a process of its own: pandas stays out of this one. Takes seconds: call it in a thread."""
    target = _made(target)
    runs = [*(folder.id for folder in folders), "--runs", str(folders[0].path.parent.absolute())]
    command = [*COMMAND, "compare", *runs, "--export", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), stdin=subprocess.DEVNULL)
    except OSError as error:
        raise EnvironmentFault(f"histotui cannot be started: {error}") from None
    if done.returncode:
        said = clean_line(done.stderr.strip().rpartition("\n")[2]).removeprefix("error: ")
        raise RunFolderError(said or f"compare ended with {done.returncode}")
    return target


def write_export(folders: Sequence[RunFolder], target: Path, columns: str | None = None) -> Path:
    """Tables, with all columns or those named, tests and figures of these runs in `target`, given back in full."""
    target = _made(target)
    runs, rows = read_rows(folders, columns)
    tests = paired_rows(runs)
    for format, name in TABLES.items():
        _write(target / name, as_text(rows, None if format == "csv" else tests, format))
    if tests:
        _write(target / PAIRED, as_text(rows, tests, "csv"))
    paths = [str(folder.path.absolute()) for folder in folders]
    ask("figures", {"runs": paths, "labels": list(short_labels(runs)), "folder": str(target)}, hide_progress)
    return target


def _made(target: Path) -> Path:
    target = target.expanduser().absolute()
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    return target


def _write(path: Path, text: str) -> None:
    with storage_errors(path), replacing(path, Write.EXPORT) as partial:
        partial.write_text(text if path.suffix == ".json" else clean(text), encoding="utf-8")
