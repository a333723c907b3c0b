"""Panes: widgets side by side, or one at a time where there is no room for all."""

from collections.abc import Mapping
from typing import Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Tab, Tabs

WIDE: Final = 120
"""Columns of the terminal from which all panes stand side by side."""


class PaneTabs(Tabs, can_focus=False):
    """The names of the panes, for the mouse; a key goes from one to the next."""


class Panes(Horizontal):
    """Widgets side by side, or one of them under tabs. It knows them by their ids."""

    DEFAULT_CSS = """
    Panes {
        Tabs { dock: top; height: 1; }
        Tabs Underline { display: none; }
        Tab.-active { text-style: bold reverse; }
    }
    """

    def __init__(self, titles: Mapping[str, str]) -> None:
        """`titles` by the ids of the widgets, from left to right."""
        super().__init__()
        self._titles, self._current = titles, next(iter(titles))

    def compose(self) -> ComposeResult:
        yield PaneTabs(*(Tab(title, id=f"tab-{pane}") for pane, title in self._titles.items()))

    def show(self, pane: str) -> None:
        """Bring a pane into view and put the cursor into it."""
        self._current = pane
        self.fit()
        self.query_one(PaneTabs).active = f"tab-{pane}"
        # Widget.focus waits for its turn, and keys that are typed fast would still go to the pane before.
        self.screen.set_focus(_first_focusable(self.query_one(f"#{pane}")))

    def show_next(self) -> None:
        """Go to the pane on the right, and from the last to the first."""
        panes = list(self._titles)
        here = next((pane for pane in panes if self.query_one(f"#{pane}").has_focus_within), self._current)
        self.show(panes[(panes.index(here) + 1) % len(panes)])

    def fit(self) -> None:
        """Show every pane, or one where there is no room for more. Classes would restyle every field each time."""
        narrow = self.app.size.width < WIDE
        self.query_one(PaneTabs).display = narrow
        for pane in self._titles:
            self.query_one(f"#{pane}").display = not narrow or pane == self._current

    @on(Tabs.TabActivated)
    def _tab_chosen(self, event: Tabs.TabActivated) -> None:
        event.stop()
        pane = (event.tab.id or "").removeprefix("tab-")
        # Several may be on their way; only the last is where the tabs are.
        if event.tab.id == event.tabs.active and pane != self._current:
            self.show(pane)


def _first_focusable(widget: Widget) -> Widget:
    return widget if widget.can_focus else next(child for child in widget.query(Widget) if child.can_focus)
