"""The file in which an index of runs outlives the program: one line for each run, and a checksum before each."""

import contextlib
import hashlib
import json
import os
import socket
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.spec.run_folder import RunFolder
from engine.spec.version import VERSION
from histotui.saved import SavedList, SavedObject, text_of
from histotui.summary import RunSummary

# What a line begins with, in this order; the config and the scores follow as text of their own.
_FIELDS = (
    "name", "preset", "state", "stage", "created", "seconds", "device", "tags", "error", "exit_code", "notes",
    "fingerprint",
)  # fmt: skip

# Lines out of date that do not yet make the file be written anew.
_SLACK = 1000

# A line of another version has another checksum and is not read.
_SEED = zlib.crc32(repr((1, VERSION, _FIELDS)).encode())


@dataclass(frozen=True, slots=True)
class Row:
    """A run's summary, and the stamp of its files when it was made. `settled`: it stays true while they keep it."""

    summary: RunSummary
    stamp: str
    settled: bool


class IndexFile:
    """Rows on disk. Whatever is wrong with the file or its folder, there are only fewer rows to read."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lines = 0

    def read(self, root: Path) -> dict[str, Row]:
        """The rows by the ids of their runs, the latest of each."""
        rows: dict[str, Row] = {}
        lines = self._read_lines()
        for line in lines:
            if line[:8] == _checksum(line[9:]):
                name, row = _row(line[9:], root)
                rows[name] = row
        self._lines = len(lines)
        return rows

    def save(self, new: Mapping[str, Row], everything: Mapping[str, Row]) -> None:
        """Append the new rows, or write the file anew where most of it is out of date."""
        if self._path is None or not new:
            return
        # A disk that refuses costs time at the next start and nothing else.
        with contextlib.suppress(OSError):
            if self._lines and self._lines + len(new) <= 2 * len(everything) + _SLACK:
                self._append(self._path, new)
            else:
                self._rewrite(self._path, everything)

    def _read_lines(self) -> list[bytes]:
        try:
            return [line for line in self._path.read_bytes().split(b"\n") if line] if self._path else []
        except OSError:
            return []

    def _append(self, path: Path, rows: Mapping[str, Row]) -> None:
        # The line before may have lost its end to a crash.
        text = b"\n" + b"".join(_lines(rows))
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            file.write(text)
        self._lines += len(rows)

    def _rewrite(self, path: Path, rows: Mapping[str, Row]) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(_lines(rows))
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._lines = len(rows)


def index_path(root: Path) -> Path | None:
    """Where the index of the runs in a folder lies; None where this user has no place for it."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        cache = home if home.is_absolute() else Path.home() / ".cache"
        # What is known of a run's process holds on one host alone.
        whose = f"{root.resolve()}\n{socket.gethostname()}"
    except (OSError, RuntimeError):
        return None
    return cache / "histotui" / "index" / hashlib.sha256(os.fsencode(whose)).hexdigest()[:20]


def _lines(rows: Mapping[str, Row]) -> Iterable[bytes]:
    for row in rows.values():
        text = _text(row)
        yield b"%s\t%s\n" % (_checksum(text), text)


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text, _SEED)


def _text(row: Row) -> bytes:
    run = row.summary
    head = [run.id, row.stamp, *(getattr(run, name) for name in _FIELDS)]
    return b"\t".join((text_of(head), saved_object(run.config).text, saved_list(run.scores).text))


def _row(text: bytes, root: Path) -> tuple[str, Row]:
    head, config, scores = text.split(b"\t")
    name, stamp, *values = json.loads(head)
    known = dict(zip(_FIELDS, values, strict=True))
    known["tags"] = tuple(known["tags"])
    summary = RunSummary(RunFolder(root / name), config=SavedObject(config), scores=SavedList(scores), **known)
    return name, Row(summary, stamp, settled=True)


def saved_object(tree: Mapping[str, object]) -> SavedObject:
    """The tree as text."""
    return tree if isinstance(tree, SavedObject) else SavedObject(text_of(tree))


def saved_list(trees: Iterable[object]) -> SavedList:
    """The trees as text."""
    return trees if isinstance(trees, SavedList) else SavedList(text_of(list(trees)))
