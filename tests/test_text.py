"""Nothing that a terminal could act on survives `clean`."""

import unicodedata

import pytest

from histotui.text import clean, clean_line, fit, width, wrapped

ATTACKS = [
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;aGVsbG8=\x07",
    "\x1bPq#0;2;0;0;0\x1b\\",
    "\x1b_Gf=100;AAAA\x1b\\",
    "\x1bc",
    "\x9b31m",
    "\x9d52;c;x\x9c",
    "a\rb",
    "a\x08b",
    "\x07",
    "\x00",
    "\x7f",
    "abc\u202egnp.exe",
    "\u2066x\u2069",
    "a\u2028b\u2029c",
    "\u200e\u200f\u061c",
    "\udc80\udcff",
    "\U000e0041\U000e007f",
    *map(chr, range(32)),
    *map(chr, range(0x7F, 0xA0)),
]


def is_harmless(text: str) -> bool:
    return all(
        character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp", "Cf")
        for character in text
    )


@pytest.mark.parametrize("attack", ATTACKS, ids=ascii)
def test_attacks_become_visible(attack: str) -> None:
    assert is_harmless(clean(attack))
    assert is_harmless(clean_line(attack))
    assert not set(clean_line(attack)) & {"\n", "\t"}


def test_what_is_escaped_can_be_read() -> None:
    assert clean("\x1b[31m red") == "\\x1b[31m red"
    assert clean("a\u202eb") == "a\\u202eb"
    assert clean_line("a\nb") == "a\\nb"


@pytest.mark.parametrize("text", ["", "plain", "two\nlines\tof text", "naïve σ 病理 é", "95 % [0.4, 0.5]"])
def test_ordinary_text_stays(text: str) -> None:
    assert clean(text) == text


def test_windows_lines_become_lines() -> None:
    assert clean("a\r\nb") == "a\nb"


def test_marks_that_climb_over_other_lines_are_cut() -> None:
    assert len(clean("e" + "\u0301" * 500)) == 5


def test_width_counts_columns() -> None:
    assert [width(text) for text in ("abc", "病理", "e\u0301")] == [3, 4, 1]


def test_fit_cuts_to_columns() -> None:
    assert [fit("abcdef", 6), fit("abcdef", 4), fit("病理病理", 5)] == ["abcdef", "abc…", "病理…"]


def test_wrapped_breaks_between_words_and_within_one_that_is_too_long() -> None:
    assert wrapped("", 5) == [""]
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("one two three", 4) == ["one", "two", "thre", "e"]
    assert wrapped("a /very/long/path b", 6) == ["a", "/very/", "long/p", "ath b"]
    assert wrapped("病理 病理病理", 5) == ["病理", "病理", "病理"]
    assert wrapped("病病", 1) == ["病", "病"]


@pytest.mark.parametrize("columns", [1, 3, 8, 20])
def test_wrapped_loses_nothing(columns: int) -> None:
    text = "the patches of 病理 were  left out: abcdefghijklmnop e\u0301e\u0301"
    assert "".join(wrapped(text, columns)).replace(" ", "") == text.replace(" ", "")
