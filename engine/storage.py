"""Disks: what they refuse, in an error that says so, and whether they have room."""

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from engine.spec.atomic import PARTIAL
from engine.spec.errors import StorageError

_RESERVED: Final = 1 << 16


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turns what the operating system refuses while writing under `folder` into a StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError.of(error.filename or folder, error) from None


class Reserve:
    """Room on a disk that fills up, for the last words of who works there: why it has ended."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{PARTIAL}{threading.get_native_id()}-reserve"

    def __enter__(self) -> Self:
        # Where there is no room for this, whatever is written next will say so.
        with contextlib.suppress(OSError), self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVED)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_space(folder: Path, needed: int, advice: str) -> None:
    """StorageError where the disk of `folder` has fewer free bytes than needed; `advice` is the other way out."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{folder}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; free some space or {advice}"
        )
