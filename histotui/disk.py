"""Small files written whole, and what a disk refuses in words."""

import errno
import os
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


def write_whole(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a file whole or not at all, readable by its owner alone; StorageError where the disk refuses.

    What is `durable` is on the disk when this returns, for which a busy disk may take long.
    """
    content = text.encode()
    # Two programs may write at once, and one that was killed leaves its file behind.
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    with storage_errors(path):
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
