"""What goes to stdout and stderr: data and narration, cleaned, coloured only where colour is seen."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Any, TextIO

from histotui.text import clean


@dataclass(frozen=True, slots=True)
class Paint:
    """Text in a terminal style, given as SGR parameters such as `1;32`."""

    text: str
    style: str


def out(*parts: str | Paint) -> None:
    """A line of data on stdout."""
    _write(sys.stdout, parts)


def say(*parts: str | Paint) -> None:
    """A line of narration on stderr."""
    _write(sys.stderr, parts)


def out_json(value: Any) -> None:
    """One JSON document on stdout, the same bytes on a terminal and in a pipe."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal that understands escape sequences."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def has_colour(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def columns(stream: TextIO) -> int | None:
    """Columns of the terminal behind the stream; None for a pipe or file, where nothing is cut."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _write(stream: TextIO, parts: tuple[str | Paint, ...]) -> None:
    coloured = has_colour(stream)
    stream.write("".join(_rendered(part, coloured) for part in parts) + "\n")
    stream.flush()


def _rendered(part: str | Paint, coloured: bool) -> str:
    if isinstance(part, str):
        return clean(part)
    return f"\x1b[{part.style}m{clean(part.text)}\x1b[0m" if coloured else clean(part.text)
