"""Watcher: reads the run folders in a thread and gives frozen news of them."""

import subprocess
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from engine.spec.errors import HistotuiError
from engine.spec.event_log import EventReader
from engine.spec.events import Event, ImageSaved, Metrics, Progress
from engine.spec.run_folder import RunFolder
from histotui.curves import Curve, CurveBook
from histotui.index import RunIndex
from histotui.runs import Run
from histotui.store import RunStore
from histotui.summary import RunSummary

LISTING_SECONDS = 1.0
_EVENTS_KEPT = 2000
_FIRST_SECONDS = 0.5
"""Time for one look; what is not listed by then comes with the next."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A followed run, as its events tell it up to now."""

    run: Run = field(default_factory=Run)
    curves: tuple[Curve, ...] = ()
    images: tuple[ImageSaved, ...] = ()
    events: tuple[Event, ...] = ()
    """The latest ones, progress left out."""
    error: str = ""
    """Why its log cannot be read."""


@dataclass(frozen=True, slots=True)
class News:
    """What has changed since the last look; None and empty where nothing has."""

    listing: tuple[RunSummary, ...] | None = None
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    error: str = ""
    """Why the folder of runs cannot be read."""


class Watcher:
    """Looks at the store and at the logs of followed runs. `read` belongs to one thread at a time."""

    def __init__(self, store: RunStore, index: RunIndex | None = None) -> None:
        self._index = index or RunIndex(store)
        self._root = store.root
        self._followed: frozenset[str] = frozenset()
        self._followers: dict[str, _Follower] = {}
        self._listing: tuple[RunSummary, ...] | None = None
        self._listing_due = 0.0
        self._error = ""

    def follow(self, ids: Iterable[str]) -> None:
        """Whose events to read from now on; a run that is left out is forgotten."""
        self._followed = frozenset(ids)

    def look_again(self, ids: Iterable[str] = ()) -> None:
        """Let the next `read` list the runs whatever the time, and look at these whatever their turn."""
        self._index.look_again(ids)
        self._listing_due = 0.0

    def read(self) -> News:
        """What has changed since the last call."""
        snapshots = MappingProxyType(dict(self._read_followed()))
        listing, error = self._read_listing()
        return News(listing, snapshots, error)

    def _read_followed(self) -> Iterable[tuple[str, Snapshot]]:
        followed = self._followed
        for name in self._followers.keys() - followed:
            del self._followers[name]
        for name in followed:
            follower = self._followers.setdefault(name, _Follower(RunFolder(self._root / name)))
            if snapshot := follower.read():
                yield name, snapshot

    def _read_listing(self) -> tuple[tuple[RunSummary, ...] | None, str]:
        if time.monotonic() < self._listing_due:
            return None, ""
        self._listing_due = time.monotonic() + LISTING_SECONDS
        try:
            listing = self._index.summaries(within=_FIRST_SECONDS)
        except HistotuiError as error:
            changed, self._error = str(error) != self._error, str(error)
            return None, self._error if changed else ""
        self._error = ""
        if listing is self._listing:
            return None, ""
        self._listing = listing
        return listing, ""


class _Follower:
    """Reads one run's log as it grows."""

    def __init__(self, folder: RunFolder) -> None:
        self._reader = EventReader(folder.events)
        self._snapshot: Snapshot | None = None
        self._error = ""
        self._run, self._book = Run(), CurveBook()
        self._images: list[ImageSaved] = []
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)

    def read(self) -> Snapshot | None:
        """The run as it is now; None where nothing was said since the last call."""
        error, events = self._error, list[Event]()
        try:
            events = self._reader.read()
        except HistotuiError as fault:
            error = str(fault)
        except OSError as fault:
            error = f"events.jsonl cannot be read: {fault.strerror}"
        if self._snapshot is not None and not events and error == self._error:
            return None
        self._error = error
        for event in events:
            self._take(event)
        images, said = tuple(self._images), tuple(self._events)
        self._snapshot = Snapshot(self._run, self._book.snapshot(), images, said, error)
        return self._snapshot

    def _take(self, event: Event) -> None:
        self._run = self._run.apply(event)
        if isinstance(event, Metrics):
            self._book.add(event)
        if isinstance(event, ImageSaved):
            self._images.append(event)
        if not isinstance(event, Progress | Metrics):
            self._events.append(event)


class Engines:
    """The engines that this process has started, so that none is left a zombie."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def add(self, process: subprocess.Popen[bytes]) -> None:
        self._processes.append(process)

    def reap(self) -> None:
        """Let go of those that have ended."""
        self._processes = [process for process in self._processes if process.poll() is None]
