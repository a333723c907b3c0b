"""Backdrop: what is seen of a screen below a dialogue: all of it tinted, but for kitty's pictures."""

from collections.abc import Iterable, Iterator

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.renderables.background_screen import BackgroundScreen

from histotui.drawing import PLACEHOLDER


class Backdrop(BackgroundScreen):
    """A screen below another one."""

    @classmethod
    def process_segments(cls, segments: Iterable[Segment], color: Color) -> Iterator[Segment]:
        """The segments in a tint of this colour."""
        given = list(segments)
        for before, after in zip(given, super().process_segments(given, color), strict=True):
            yield _in_colour_of(before, after) if PLACEHOLDER in before.text else after


def _in_colour_of(before: Segment, after: Segment) -> Segment:
    # The colour is the picture's number: another one would name no picture.
    colour = before.style.color if before.style else None
    return Segment(after.text, (after.style or Style()) + Style(color=colour), after.control)
