"""RunIndex: the summaries of every run, by looking only at what may have changed."""

import contextlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from engine.spec.errors import StorageError
from engine.spec.run_folder import RUN_ID, RunFolder
from histotui.index_file import IndexFile, Row, index_path, saved_list, saved_object
from histotui.runs import LIVE
from histotui.store import RunStore
from histotui.summary import RunSummary, summarize, without_curves

# What a summary is made from, process.json among it because a run that is taken up again writes it first.
_STAMPED = ("config.json", "events.jsonl", "meta.json", "scores.json", "process.json")
_MADE_OF = ("config.json", "events.jsonl")
_MISSING = "-"

# Seconds. Two changes so close together may leave a file the same time and size.
_YOUNG = 2.0
# Seconds in which every settled run is looked at once more, and how many of them at least in each call.
_ROUND = 15.0
_FEWEST = 300


class RunIndex:
    """Summaries of the runs in a store. It can be thrown away: what it keeps on disk only saves time."""

    def __init__(self, store: RunStore, file: Path | None = None) -> None:
        self._root = store.root
        self._file = IndexFile(file or index_path(store.root))
        self._lock = threading.Lock()
        self._known: dict[str, Row] | None = None
        """Rows from the disk that have not been compared with their runs; None before it was read."""
        self._rows: dict[str, Row] = {}
        self._names: frozenset[str] = frozenset()
        self._names_stamp: tuple[int, int] | None = None
        self._due: deque[str] = deque()
        self._restless: set[str] = set()
        """Runs that live or were written just now, and folders that are not runs yet: looked at in every call."""
        self._round: deque[str] = deque()
        self._unsaved: set[str] = set()
        self._last_call = -math.inf
        self._asked: deque[str] = deque()
        self._listing: tuple[RunSummary, ...] = ()

    def summaries(self, within: float = math.inf) -> tuple[RunSummary, ...]:
        """Every run, newest first, scores without their curves; the same tuple as before where nothing has changed.

        After `within` seconds of looking at runs the rest is left to the next call, the newest coming first. Live runs
        are looked at in every call, the others in turns of 15 seconds.
        """
        with self._lock:
            if self._known is None:
                self._known = self._file.read(self._root)
            changed = self._take_names()
            changed |= self._look_at_due(within)
            if changed:
                rows = sorted(self._rows.values(), key=lambda row: (row.summary.created, row.summary.id), reverse=True)
                self._listing = tuple(row.summary for row in rows)
            return self._listing

    def look_again(self, ids: Iterable[str]) -> None:
        """Let the next call look at these runs whatever their turn, because something was just done to them."""
        self._asked.extend(ids)

    def _take_names(self) -> bool:
        names = self._listed_names()
        if names is None:
            return False
        gone, new = self._names - names, names - self._names
        self._names = names
        for name in gone:
            self._forget(name)
        self._due.extend(sorted(new, reverse=True))
        return bool(gone)

    def _listed_names(self) -> frozenset[str] | None:
        """The folders in the root; None where they are the same as before."""
        try:
            status = self._root.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._names_stamp:
                return None
            self._names_stamp = None if _is_young(status.st_mtime) else stamp
            with os.scandir(self._root) as entries:
                return frozenset(
                    entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry)
                )
        except FileNotFoundError:
            self._names_stamp = None
            return frozenset()
        except OSError as error:
            raise StorageError(f"{self._root}: {error.strerror}") from None

    def _look_at_due(self, within: float) -> bool:
        began, changed = time.monotonic(), False
        self._due = deque(dict.fromkeys([*self._asked_for(), *self._restless, *self._due, *self._turn(began)]))
        while self._due:
            changed |= self._look_at(self._due.popleft())
            if time.monotonic() - began > within:
                break
        self._save()
        return changed

    def _save(self) -> None:
        if self._unsaved:
            new = {name: self._rows[name] for name in self._unsaved if name in self._rows}
            self._file.save(new, {name: row for name, row in self._rows.items() if _is_worth_keeping(row)})
            self._unsaved.clear()

    def _asked_for(self) -> Iterator[str]:
        with contextlib.suppress(IndexError):
            while True:
                name = self._asked.popleft()
                if name in self._names:
                    yield name

    def _turn(self, now: float) -> Iterator[str]:
        """The settled runs whose turn it is."""
        share = min(1.0, (now - self._last_call) / _ROUND)
        self._last_call = now
        for _ in range(min(len(self._rows), max(_FEWEST, math.ceil(share * len(self._rows))))):
            if not self._round:
                self._round.extend(self._rows)
            yield self._round.popleft()

    def _look_at(self, name: str) -> bool:
        """Bring a run's row up to date; whether its summary has changed."""
        now, old = time.time(), self._rows.get(name)
        stamp, written = _stamp(f"{self._root}/{name}", name)
        if not stamp:
            self._forget(name)
            self._restless |= {name} & self._names
            return old is not None
        if old is not None and old.settled and old.stamp == stamp:
            return False
        row = self._kept(name, stamp) or self._made(name, stamp, written, now)
        same = old is not None and old.summary == row.summary
        # The very same object lets a reader see at a glance that nothing has changed.
        self._rows[name] = replace(row, summary=old.summary) if old is not None and same else row
        (self._restless.discard if row.settled else self._restless.add)(name)
        return not same

    def _kept(self, name: str, stamp: str) -> Row | None:
        row = self._known.pop(name, None) if self._known else None
        return row if row is not None and row.stamp == stamp else None

    def _made(self, name: str, stamp: str, written: float, now: float) -> Row:
        summary = summarize(RunFolder(self._root / name), now)
        scores = without_curves(summary.scores)
        if summary.state in LIVE or _is_young(written):
            return Row(replace(summary, scores=tuple(scores)), stamp, settled=False)
        summary = replace(summary, config=saved_object(summary.config), scores=saved_list(scores))
        row = Row(summary, stamp, settled=True)
        if _is_worth_keeping(row):
            self._unsaved.add(name)
        return row

    def _forget(self, name: str) -> None:
        self._rows.pop(name, None)
        self._restless.discard(name)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return not entry.name.startswith(".") and entry.is_dir()
    except OSError:
        return False


def _is_worth_keeping(row: Row) -> bool:
    # Why a run cannot be read may change without any of its files changing.
    return row.settled and row.summary.state != "unreadable"


def _stamp(folder: str, name: str) -> tuple[str, float]:
    """Times and sizes of a run's files as text, and when the last was written; empty where there is no run."""
    written, parts = 0.0, []
    # The folder's own time stands for the run's where its name does not say it.
    for file in _STAMPED if RUN_ID.fullmatch(name) else (*_STAMPED, "."):
        try:
            # Path.stat takes three times as long.
            status = os.stat(f"{folder}/{file}")  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            parts.append(_MISSING)
        except OSError as error:
            parts.append(str(error.errno))
        else:
            written = max(written, status.st_mtime)
            parts.append(f"{status.st_mtime_ns}.{status.st_size}")
    return ("" if parts[: len(_MADE_OF)] == [_MISSING] * len(_MADE_OF) else " ".join(parts)), written


def _is_young(written: float) -> bool:
    return abs(time.time() - written) < _YOUNG
