"""Small files written whole, and what a disk refuses in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.spec.atomic import write_text
from engine.spec.errors import StorageError
from engine.spec.failpoints import Write


@contextmanager
def storage_errors(path: Path | str) -> Iterator[None]:
    """Turns what the operating system refuses while `path` is being written into a StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError.of(path, error) from None


def write_whole(path: Path, text: str, write: Write, *, durable: bool = True) -> None:
    """Write a file whole or not at all, readable by its owner alone; StorageError where the disk refuses.

    What is `durable` is on the disk when this returns, for which a busy disk may take long.
    """
    with storage_errors(path):
        write_text(path, text, write, durable=durable)
