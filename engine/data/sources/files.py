"""Image files of a folder, with what tells whether one has changed."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from engine.spec.errors import DataError


class ImageFile(NamedTuple):
    """A file: its path relative to the source, and a stamp that changes with it: size, time in ns, and mode."""

    id: str
    stamp: str


def files_in(root: Path, folder: Path, suffixes: Iterable[str]) -> list[ImageFile]:
    """The regular files of a folder with one of these suffixes, sorted by name; hidden ones are left out."""
    endings = tuple(suffixes)
    prefix = folder.relative_to(root).as_posix()
    try:
        with os.scandir(folder) as entries:
            return sorted(
                ImageFile(f"{prefix}/{entry.name}", _stamp(entry.stat()))
                for entry in entries
                if entry.name.lower().endswith(endings) and not entry.name.startswith(".") and entry.is_file()
            )
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None


def is_plain_name(name: str) -> bool:
    """Whether a name out of a table stays in its folder when it is made a path."""
    return "/" not in name and "\0" not in name


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_mode}"
