"""Help: the keys that work where one is, made from the bindings themselves."""

from collections.abc import Iterable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Label, Static

from histotui.preferences import config_path
from histotui.screens.base import BenchModal


class HelpScreen(BenchModal[None]):
    """Every key of the screen below, and the name by which config.toml can give it another."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,f1", "dismiss", "Leave")]

    def __init__(self, bindings: Iterable[ActiveBinding]) -> None:
        super().__init__()
        self._active = list(bindings)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title, dialog.border_subtitle = "Keys", "↑ ↓ scroll, esc leaves"
            yield Static(self._keys(own=True))
            yield Label("\nMoving about", classes="hint")
            yield Static(self._keys(own=False))
            yield Static(
                f'\nOther keys: a table [keys] in {config_path()}, such as\n  stop = "f4"\n'
                "with the names on the right. Shift and drag selects text.",
                classes="hint",
                markup=False,
            )

    def _keys(self, own: bool) -> Table:
        """The application's own keys, which have names, or those of the parts that it is made of."""
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        seen: set[str] = set()
        for active in self._active:
            binding = active.binding
            if binding.system or not binding.description or binding.action in seen or own != bool(binding.id):
                continue
            seen.add(binding.action)
            key = Text(self.app.get_key_display(binding), style="bold")
            meaning = Text(binding.tooltip or binding.description)
            table.add_row(key, meaning, Text(binding.id or "", style="dim"))
        return table
