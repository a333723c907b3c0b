"""The last gate before the terminal, and what else the look of the application promises."""

import pytest
from rich.segment import ControlType, Segment
from textual.color import Color

from histotui.grids import outlined
from histotui.look import GLYPHS, Sanitizer, bar, line, state_text

HOSTILE = ["\x1b]52;c;aGk=\x07", "\x9b2J", "a\x00b", "\x7f", "\u202egpj.exe", "one\u2028two", "a\tb", "\r\n"]


def passed(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in Sanitizer().apply(segments, Color(0, 0, 0)))


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_control_character_passes_the_gate(text: str) -> None:
    kept = passed([Segment("before "), Segment(text), Segment(" after")])
    assert kept.startswith("before ") and kept.endswith(" after")
    assert all(character.isprintable() for character in kept)


def test_what_textual_itself_sends_passes() -> None:
    control = Segment("\x1b[2J", None, [(ControlType.CLEAR,)])
    assert passed([control, Segment("über ━ ⣿ 漢")]) == "\x1b[2Jüber ━ ⣿ 漢"


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_line_shows_what_it_cannot_send(text: str) -> None:
    assert line(text).plain.isprintable()


def test_markup_in_data_is_text() -> None:
    assert line("[@click=app.bell]x[/] [/b]").plain == "[@click=app.bell]x[/] [/b]"


def test_states_are_told_apart_without_colour() -> None:
    texts = [state_text(state).plain for state in GLYPHS]
    assert len(set(texts)) == len(set(GLYPHS.values())) == len(GLYPHS)


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.0, "────"), (0.5, "━━──"), (1.0, "━━━━"), (7.0, "━━━━"), (-1.0, "────")]
)
def test_bars(share: float, drawn: str) -> None:
    assert bar(share, 4) == drawn


def test_the_centre_of_every_patch_is_outlined() -> None:
    from PIL import Image

    side, gap = 64, 2
    grid = Image.new("RGB", (8 * (side + gap) - gap, 2 * (side + gap) - gap))
    drawn = outlined(grid)
    for left, top in ((0, 0), (7 * (side + gap), side + gap)):
        corners = [drawn.getpixel((left + x, top + y)) for x in (16, 47) for y in (16, 47)]
        assert set(corners) == {(255, 230, 0)}
        assert drawn.getpixel((left + 15, top + 16)) == drawn.getpixel((left + 17, top + 17)) == (0, 0, 0)


def test_patches_smaller_than_the_centre_stay_as_they_are() -> None:
    from PIL import Image

    grid = Image.new("RGB", (8 * 18 - 2, 16))
    assert outlined(grid).tobytes() == grid.tobytes()
