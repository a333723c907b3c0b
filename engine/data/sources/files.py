"""Image files of a folder, with what tells whether one has changed."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.spec.errors import DataError


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file by its path relative to the source, in bytes that any file system's names survive."""

    id: str
    stamp: tuple[str, int, int, int]
    """Name, size in bytes, time of change in ns, and mode."""


def files_in(root: Path, folder: Path, suffixes: Iterable[str]) -> list[ImageFile]:
    """The regular files of a folder with one of these suffixes, sorted by name; hidden ones are left out."""
    endings = tuple(suffixes)
    prefix = folder.relative_to(root).as_posix()
    try:
        with os.scandir(folder) as entries:
            found = [
                _image_file(f"{prefix}/{entry.name}", entry.stat())
                for entry in entries
                if entry.name.lower().endswith(endings) and not entry.name.startswith(".") and entry.is_file()
            ]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None
    return sorted(found, key=lambda image: image.id)


def _image_file(name: str, status: os.stat_result) -> ImageFile:
    return ImageFile(name, (name, status.st_size, status.st_mtime_ns, stat.S_IMODE(status.st_mode)))
