"""EventsPane: what happened in a run, a line each, progress and metrics left out."""

import time
from collections.abc import Sequence
from dataclasses import fields

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Label, Log

from engine.spec.events import Event
from histotui.formats import number
from histotui.text import clean_line


class EventsPane(Vertical):
    """The run's events as they come."""

    DEFAULT_CSS = """
    EventsPane Log { height: 1fr; scrollbar-size-horizontal: 0; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._last: Event | None = None

    def compose(self) -> ComposeResult:
        yield Label("time      stage        event           what", classes="hint")
        yield Log()

    def show(self, events: Sequence[Event]) -> None:
        """Show the events; those shown already stay."""
        shown = next((place + 1 for place in range(len(events) - 1, -1, -1) if events[place] is self._last), 0)
        if events[shown:]:
            self.query_one(Log).write_lines(map(event_line, events[shown:]))
            self._last = events[-1]


def event_line(event: Event) -> str:
    """One event on a line."""
    at = time.strftime("%H:%M:%S", time.localtime(event.time))
    parts = [
        _shown(part.name, value)
        for part in fields(event)
        if part.name not in ("time", "stage") and (value := getattr(event, part.name)) not in ("", None)
    ]
    stage = getattr(event, "stage", "")
    return clean_line(f"{at}  {stage:<12} {event.type:<15} {', '.join(parts)}")


def _shown(name: str, value: object) -> str:
    # A message and a caption need no name.
    said = number(value) if isinstance(value, float) else str(value)
    return said if name in ("message", "caption") else f"{name} {said}"
