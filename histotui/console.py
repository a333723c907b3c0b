"""What goes to stdout and stderr: data and narration, cleaned, coloured only where colour is seen."""

import json
import os
import sys
import textwrap
from dataclasses import dataclass
from typing import Any, TextIO

from histotui.disk import storage_errors
from histotui.text import clean

_COLUMNS = 80


class ReaderGone(Exception):
    """Nobody reads stdout or stderr any more, as in `histotui ls | head -1`."""


@dataclass(frozen=True, slots=True)
class Paint:
    """Text in a terminal style, given as SGR parameters such as `1;32`."""

    text: str
    style: str


def out(*parts: str | Paint) -> None:
    """A line of data on stdout."""
    _write(sys.stdout, parts)


def out_part(text: str) -> None:
    """Text on stdout as it is, which may end in the middle of a line."""
    _send(sys.stdout, clean(text))


def say(text: str) -> None:
    """Narration on stderr, wrapped between words where a terminal shows it."""
    for paragraph in text.split("\n"):
        for line in _wrapped(sys.stderr, paragraph, "  "):
            _write(sys.stderr, (line,))


def out_prose(text: str, indent: int = 2) -> None:
    """Text on stdout, wrapped between words where a terminal shows it, further lines indented."""
    for line in _wrapped(sys.stdout, text, " " * indent):
        out(line)


def out_json(value: Any) -> None:
    """One JSON document on stdout, the same bytes on a terminal and in a pipe; a list has an item a line."""
    if isinstance(value, list):
        # Without indentation json's C encoder does the work, in a fifth of the time.
        text = ",\n".join(json.dumps(item, allow_nan=False) for item in value)
        text = f"[\n{text}\n]" if value else "[]"
    else:
        text = json.dumps(value, indent=2, allow_nan=False)
    _send(sys.stdout, f"{text}\n")


def drop(stream: TextIO) -> None:
    """Send what is left in a stream nowhere; the interpreter would complain as it flushes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal that understands escape sequences."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def has_colour(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def columns(stream: TextIO) -> int | None:
    """Columns of the terminal behind the stream; None for a pipe or file, where nothing is cut."""
    if not stream.isatty():
        return None
    # A terminal that does not know its size says 0.
    return os.get_terminal_size(stream.fileno()).columns or _COLUMNS


def _wrapped(stream: TextIO, text: str, indent: str) -> list[str]:
    room = columns(stream)
    if room is None or len(text) <= room:
        return [text]
    return textwrap.wrap(
        clean(text), room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _write(stream: TextIO, parts: tuple[str | Paint, ...]) -> None:
    coloured = has_colour(stream)
    _send(stream, "".join(_rendered(part, coloured) for part in parts) + "\n")


def _send(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        drop(stream)
        # Narration that has nowhere to go must not end what it is about.
        if stream is sys.stdout:
            with storage_errors("stdout"):
                raise error


def _rendered(part: str | Paint, coloured: bool) -> str:
    if isinstance(part, str):
        return clean(part)
    return f"\x1b[{part.style}m{clean(part.text)}\x1b[0m" if coloured else clean(part.text)
