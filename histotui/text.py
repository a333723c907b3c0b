"""The one place that makes text from files, processes and people safe to print on a terminal."""

import re
import unicodedata

# C0 without newline and tab, DEL, C1, marks that reorder or break lines, the byte order mark,
# lone surrogates (undecodable file names) and invisible tags.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINE_BREAK = re.compile("[\t\n]")
_UNSAFE_OR_BREAK = re.compile(f"{_UNSAFE.pattern}|{_LINE_BREAK.pattern}")
# More marks on one letter than any language writes climb over the lines around it.
_MARK = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILED_MARKS = re.compile(f"({_MARK}{{4}}){_MARK}+")


def clean(text: str) -> str:
    """The text with everything that a terminal could act on shown as an escape; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _PILED_MARKS.sub(r"\1", _UNSAFE.sub(_escape, text.replace("\r\n", "\n")))


def clean_line(text: str) -> str:
    """`clean` for what must stay on one line, such as a table's cell."""
    return _LINE_BREAK.sub(_escape, clean(text))


def is_clean(text: str) -> bool:
    """Whether the text has nothing that a terminal could act on."""
    return (text.isascii() and text.isprintable()) or not _UNSAFE_OR_BREAK.search(text)


def without_unsafe(text: str) -> str:
    """The text without whatever a terminal could act on, line breaks and tabs too."""
    return _UNSAFE_OR_BREAK.sub("", text)


def width(text: str) -> int:
    """Terminal columns that the text takes."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def fit(text: str, columns: int) -> str:
    """The text, cut to so many columns with an ellipsis."""
    if width(text) <= columns:
        return text
    kept, used = "", 0
    for character in text:
        used += _character_width(character)
        if used > columns - 1:
            break
        kept += character
    return f"{kept}…"


def wrapped(text: str, columns: int) -> list[str]:
    """Lines of at most so many terminal columns, broken between words, and within one that is longer than a line."""
    lines, line = list[str](), ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if width(joined) <= columns:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = _pieces(word, columns)
        lines += full
    return [*lines, line]


def _pieces(word: str, columns: int) -> list[str]:
    pieces, used = [""], 0
    for character in word:
        used += _character_width(character)
        if used > columns and pieces[-1]:
            pieces.append("")
            used = _character_width(character)
        pieces[-1] += character
    return pieces


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape", errors="surrogatepass").decode("ascii")
