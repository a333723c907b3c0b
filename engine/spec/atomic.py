"""Writing to disk: complete or not there at all, and on the disk before it has its name."""

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engine.spec.failpoints import Moment, Write, reach

PARTIAL: Final = ".partial-"
"""How the names of files and folders begin that are not whole yet."""


@contextmanager
def replacing(path: Path, write: Write, *, durable: bool = True) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place when the block is left without an error.

    What is not `durable` a power failure may lose; a busy disk takes long over what is.
    """
    # Several threads of several processes may write one file at once, and each is known by its number.
    partial = path.with_name(f"{PARTIAL}{threading.get_native_id()}-{path.name}")
    try:
        partial.unlink(missing_ok=True)
        reach(f"{write}.{Moment.BEGUN}")
        yield partial
        reach(f"{write}.{Moment.WRITTEN}")
        if durable:
            sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    reach(f"{write}.{Moment.NAMED}")
    if durable:
        sync(path.parent)


def write_text(path: Path, text: str, write: Write, *, durable: bool = True) -> None:
    """Put a whole text in the place of `path`, in UTF-8 and readable by its owner alone."""
    with replacing(path, write, durable=durable) as partial:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())


@contextmanager
def publishing(folder: Path, write: Write, *, goes_on: bool = False) -> Iterator[Path]:
    """An empty folder beside `folder` to fill, which becomes it when the block is left without an error.

    Where it `goes_on`, the folder has what an earlier attempt has left in it, and is left in its turn. What is in the
    place of `folder` is removed.
    """
    partial = folder.with_name(f"{PARTIAL}{folder.name}")
    try:
        if not goes_on:
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, exist_ok=goes_on)
        reach(f"{write}.{Moment.BEGUN}")
        yield partial
        reach(f"{write}.{Moment.WRITTEN}")
        sync_tree(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        if not goes_on:
            shutil.rmtree(partial, ignore_errors=True)
    reach(f"{write}.{Moment.NAMED}")
    sync(folder.parent)


def remove_abandoned(folder: Path) -> None:
    """Remove what crashes left half-written below `folder`, but for folders that are gone on with."""
    for path in abandoned(folder):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def abandoned(folder: Path) -> list[Path]:
    """Files below `folder` whose writers are gone, and folders that nobody goes on with, in checkpoints."""
    found = sorted(folder.rglob(f"{PARTIAL}*"), reverse=True)
    return [path for path in found if (path.parent != folder if path.is_dir() else not _is_being_written(path))]


def _is_being_written(path: Path) -> bool:
    writer = path.name.removeprefix(PARTIAL).partition("-")[0]
    return Path(f"/proc/{writer}").exists()


def sync_tree(folder: Path) -> None:
    """Force a folder and the files right in it to disk."""
    # Side by side, as a disk commits several files in about the time of one.
    with ThreadPoolExecutor() as executor:
        list(executor.map(sync, folder.iterdir()))
    sync(folder)


def sync(path: Path) -> None:
    """Force one file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
