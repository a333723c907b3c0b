"""EventsPane: what happened in a run, progress and metrics left out; what does not fit on a line goes on below."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import fields

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Label, Log

from engine.spec.events import Event
from histotui.formats import number
from histotui.text import clean_line, fit, width, wrapped

_STAGE, _TYPE = 12, 15
_BEFORE = len("00:00:00  ") + _STAGE + 1 + _TYPE + 1
"""Columns before what an event says."""
_LEAST = 24
"""Columns for what an event says, below which it stands under the others."""
_INDENT = "  "


class EventsPane(Vertical):
    """The run's events as they come."""

    DEFAULT_CSS = """
    EventsPane Log { height: 1fr; scrollbar-size-horizontal: 0; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._events: Sequence[Event] = ()
        self._columns = 0

    def compose(self) -> ComposeResult:
        yield Label(f"{'time':<10}{'stage':<{_STAGE + 1}}{'event':<{_TYPE + 1}}what", classes="hint")
        yield Log()

    def show(self, events: Sequence[Event]) -> None:
        """Show the events; those shown already stay."""
        last = self._events[-1] if self._events else None
        shown = next((place + 1 for place in range(len(events) - 1, -1, -1) if events[place] is last), 0)
        if events[shown:]:
            self._events = events
            self._write(events[shown:])

    def on_resize(self) -> None:
        log = self.query_one(Log)
        columns = log.scrollable_content_region.width
        if columns == self._columns:
            return
        self._columns = columns
        share = log.scroll_offset.y / log.max_scroll_y if log.max_scroll_y else 1.0
        log.clear()
        self._write(self._events)
        log.scroll_to(y=round(share * log.max_scroll_y), animate=False)

    def _write(self, events: Sequence[Event]) -> None:
        # A pane that has never been seen has no columns; it is filled when it gets some.
        if self._columns:
            self.query_one(Log).write_lines(line for event in events for line in event_lines(event, self._columns))


def event_lines(event: Event, columns: int) -> Iterator[str]:
    """One event on a line, or on as many as what it says needs."""
    at = time.strftime("%H:%M:%S", time.localtime(event.time))
    stage = clean_line(getattr(event, "stage", ""))
    head = f"{at}  {_cell(stage, _STAGE)} {_cell(event.type, _TYPE)} "
    said = clean_line(", ".join(_parts(event, stage)))
    room = columns - _BEFORE
    if room >= _LEAST:
        first, *others = wrapped(said, room)
        yield head + first
        yield from (" " * _BEFORE + line for line in others)
    else:
        yield head.rstrip()
        yield from (_INDENT + line for line in wrapped(said, max(1, columns - len(_INDENT))) if said)


def _cell(text: str, columns: int) -> str:
    shown = fit(text, columns)
    return shown + " " * (columns - width(shown))


def _parts(event: Event, stage: str) -> Iterator[str]:
    if width(stage) > _STAGE:
        yield f"stage {stage}"
    for part in fields(event):
        value = getattr(event, part.name)
        if part.name not in ("time", "stage") and value not in ("", None):
            yield _shown(part.name, value)


def _shown(name: str, value: object) -> str:
    # A message and a caption need no name.
    said = number(value) if isinstance(value, float) else str(value)
    return said if name in ("message", "caption") else f"{name} {said}"
