"""How the application looks: its themes, the glyphs and colours of states, and text made safe to show."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.segment import Segment
from rich.text import Text
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

from histotui.runs import State
from histotui.text import clean_line, is_clean, without_unsafe

THEMES = (
    Theme(
        "histotui-dark",
        primary="#7aa2c8",
        secondary="#b48ead",
        accent="#d08fb6",
        success="#8fbf7f",
        warning="#e0b45c",
        error="#e0706c",
        background="#16181d",
        surface="#1d2026",
        panel="#282c34",
    ),
    Theme(
        "histotui-light",
        primary="#2f5f8f",
        secondary="#7b4f7a",
        accent="#9c3f78",
        success="#2f7d32",
        warning="#8a5a00",
        error="#b3261e",
        background="#fbfaf8",
        surface="#f2f0ec",
        panel="#e4e1db",
        dark=False,
    ),
    # Okabe & Ito 2008: told apart with every common kind of colour blindness.
    Theme(
        "histotui-colour-blind",
        primary="#56b4e9",
        secondary="#cc79a7",
        accent="#f0e442",
        success="#56b4e9",
        warning="#e69f00",
        error="#d55e00",
        background="#121212",
        surface="#1b1b1b",
        panel="#2a2a2a",
    ),
)

GLYPHS: Mapping[State, str] = MappingProxyType(
    {
        "queued": "◌",
        "running": "●",
        "stalled": "◍",
        "finished": "✓",
        "failed": "✗",
        "stopped": "‖",
        "lost": "?",
        "unreadable": "!",
    }
)
_STYLES: Mapping[State, str] = MappingProxyType(
    {
        "queued": "dim",
        "running": "bold cyan",
        "stalled": "yellow",
        "finished": "green",
        "failed": "bold red",
        "stopped": "yellow",
        "lost": "red",
        "unreadable": "red",
    }
)


def state_text(state: State) -> Text:
    """A state as glyph and word."""
    return Text(f"{GLYPHS[state]} {state}", style=_STYLES[state], no_wrap=True)


def line(text: str, style: str = "") -> Text:
    """Text of any origin on one line, with nothing in it that a terminal or Textual would act on."""
    return Text(clean_line(text), style=style, no_wrap=True)


class Sanitizer(LineFilter):
    """The last gate before the terminal: no control character of any widget's text passes."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(segment.control or is_clean(segment.text) for segment in segments):
            return segments
        return [
            segment if segment.control else Segment(without_unsafe(segment.text), segment.style) for segment in segments
        ]


def bar(share: float, width: int) -> str:
    """A share of 1 as a bar of so many cells."""
    full = round(min(1.0, max(0.0, share)) * width)
    return "━" * full + "─" * (width - full)


def joined(parts: Sequence[str], between: str = "  ") -> str:
    """The parts that are not empty."""
    return between.join(filter(None, parts))
