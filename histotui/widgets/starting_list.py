"""StartingList: what a new run can start from, with what the highlighted one is."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from histotui.starting_points import StartingPoint
from histotui.text import clean, clean_line


class Points(OptionList):
    """The list itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Use", id="start-from", tooltip="Start from it"),
        Binding("d", "use_as_data", "As data", id="use-as-data", tooltip="Train on the patches that this run has made"),
    ]

    def action_use_as_data(self) -> None:
        option = self.highlighted_option
        if option is not None and option.id is not None:
            self.post_message(StartingList.DataChosen(option.id))


class StartingList(Vertical):
    """Presets and earlier runs. A choice is said in a message; the list changes nothing."""

    DEFAULT_CSS = """
    StartingList {
        Points { height: 1fr; border: none; padding: 0; scrollbar-size-vertical: 1; background: transparent; }
        VerticalScroll {
            height: auto; max-height: 14; padding: 0 1; scrollbar-size-vertical: 1;
            border-top: solid $panel-lighten-2;
        }
        Static { color: $text-muted; height: auto; }
    }
    """

    class Chosen(Message):
        """Start from this point."""

        def __init__(self, point: StartingPoint) -> None:
            super().__init__()
            self.point = point

    class DataChosen(Message):
        """Train on the patches that this run has made."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, points: Iterable[StartingPoint], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._points = {point.key: point for point in points}

    def compose(self) -> ComposeResult:
        yield Points(compact=True, markup=False)
        with VerticalScroll(can_focus=False):
            yield Static()

    def on_mount(self) -> None:
        self._fill()

    def show(self, points: Sequence[StartingPoint]) -> None:
        """Have these points; the highlighted one stays."""
        self._points = {point.key: point for point in points}
        self._fill()

    def point(self, key: str) -> StartingPoint | None:
        """The point with this key."""
        return self._points.get(key)

    def highlight(self, key: str) -> None:
        """Go to a point, if it is there."""
        if key in self._points:
            points = self.query_one(Points)
            points.highlighted = points.get_option_index(key)

    @on(OptionList.OptionHighlighted)
    def _describe(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        point = self._points.get(event.option_id or "")
        self.query_one(Static).update(Content(clean(point.description)) if point else "")

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if (point := self._points.get(event.option_id or "")) is not None:
            self.post_message(self.Chosen(point))

    def _fill(self) -> None:
        points = self.query_one(Points)
        before = points.highlighted_option
        points.clear_options()
        points.add_options(_options(self._points.values()))
        self.highlight(before.id if before is not None and before.id in self._points else next(iter(self._points)))


def _options(points: Iterable[StartingPoint]) -> Iterable[Option]:
    group = ""
    for point in points:
        if point.group != group:
            group = point.group
            yield Option(Content.styled(group, "bold $primary"), disabled=True)
        broken = "" if point.config is not None else "✗ "
        yield Option(Content(f" {broken}{clean_line(point.title)}"), id=point.key)
