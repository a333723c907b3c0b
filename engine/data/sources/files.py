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
    state: tuple[int, int, int]
    """Size in bytes, time of change in ns, and mode."""

    @property
    def stamp(self) -> str:
        """Name and state."""
        return f"{self.id} {self.state}"


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


def is_plain_name(name: str) -> bool:
    """Whether a name out of a table stays in its folder when it is made a path."""
    return "/" not in name and "\0" not in name


def _image_file(name: str, status: os.stat_result) -> ImageFile:
    return ImageFile(name, (status.st_size, status.st_mtime_ns, stat.S_IMODE(status.st_mode)))
