"""What a disk refuses, in words."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.spec.errors import StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def storage_errors(path: Path | str) -> Iterator[None]:
    """Turns what the operating system refuses while `path` is being written into a StorageError."""
    try:
        yield
    except OSError as error:
        advice = "free some space there" if error.errno in _FULL else "check that it can be written"
        raise StorageError(f"{path}: {error.strerror or error}; {advice}") from None
