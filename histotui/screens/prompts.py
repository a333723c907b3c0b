"""Small dialogues: a line of text, yes or no, one of several."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from engine.spec.errors import HistotuiError
from histotui.look import line
from histotui.screens.base import BenchModal
from histotui.text import clean

Check = Callable[[str], object]
"""Raises HistotuiError where the text is not allowed."""


class TextPrompt(BenchModal[str | None]):
    """Asks for one line of text; None where it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Leave")]

    def __init__(self, title: str, value: str = "", hint: str = "", check: Check | None = None) -> None:
        super().__init__()
        self._title, self._value, self._hint, self._check = title, value, hint, check

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(_wrapped(self._title, "bold"))
            yield Input(self._value)
            yield Label(_wrapped(self._hint), classes="hint", id="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            if self._check is not None:
                self._check(event.value)
        except HistotuiError as error:
            self.query_one("#hint", Label).update(_wrapped(str(error), "red"))
        else:
            self.dismiss(event.value)


class Confirm(BenchModal[bool]):
    """Asks yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str, details: str = "") -> None:
        super().__init__()
        self._question, self._details = question, details

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(_wrapped(self._question, "bold"))
            if self._details:
                yield Label(_wrapped(self._details))
            yield OptionList(Option("Yes  (y)", id="yes"), Option("No   (n)", id="no"), compact=True)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id == "yes")


class Choice(BenchModal[str | None]):
    """Asks for one of several things, given as id and text; None where it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Leave")]

    def __init__(self, title: str, options: Sequence[tuple[str, str]], empty: str = "nothing to choose from") -> None:
        super().__init__()
        self._title, self._options, self._empty = title, options, empty

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(_wrapped(self._title, "bold"))
            if self._options:
                yield OptionList(*(Option(line(text), id=key) for key, text in self._options), compact=True)
            else:
                yield Label(_wrapped(self._empty), classes="hint")
            yield Label("enter chooses, escape leaves", classes="hint")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)


def _wrapped(text: str, style: str = "") -> Text:
    """Text of any origin on as many lines as it needs."""
    return Text(clean(text), style=style)
