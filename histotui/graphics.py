"""How pictures are drawn in this terminal: decided once, before textual is imported."""

import fcntl
import importlib
import io
import os
import re
import select
import struct
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Final, Literal, TextIO, get_args

from engine.spec.errors import ConfigError

Kind = Literal["kitty", "sixel", "halfcell", "unicode", "off"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
AUTO: Final = "auto"
VARIABLE: Final = "HISTOTUI_IMAGES"
PATIENCE: Final = 2.0
"""Seconds that a terminal has to answer."""

_TMUX_PATIENCE = 0.5
_DEFAULT_CELL = (10, 20)
_GRAPHICS_QUERY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_CELL_QUERY = "\x1b[16t"
_ATTRIBUTES_QUERY = "\x1b[c"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([0-9;]*)c")
_GRAPHICS_OK = re.compile(rb"\x1b_G[^\x1b]*;OK\x1b\\")
_CELL = re.compile(rb"\x1b\[6;([1-9][0-9]{0,3});([1-9][0-9]{0,3})t")
_importing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Graphics:
    """The way to draw, why this one, and a cell's width and height in pixels."""

    kind: Kind
    reason: str
    cell: tuple[int, int] = _DEFAULT_CELL


@dataclass(frozen=True, slots=True)
class _Ends:
    """The two descriptors of a terminal, and how long it has to answer."""

    source: int
    sink: int
    patience: float

    @property
    def interactive(self) -> bool:
        return os.isatty(self.source) and os.isatty(self.sink)


def forced_kind(option: str | None, environment: Mapping[str, str], config: str | None) -> str:
    """What was asked for: the option over $HISTOTUI_IMAGES over the config file over `auto`."""
    return option or environment.get(VARIABLE) or config or AUTO


def available(kind: Kind) -> tuple[Kind, ...]:
    """The kinds that one can step through where this one was chosen; pixels only where the terminal has them."""
    plain: tuple[Kind, ...] = ("halfcell", "unicode", "off")
    return plain if kind in plain else (kind, *plain)


def choose_graphics(
    forced: str = AUTO,
    *,
    patience: float = PATIENCE,
    source: int = 0,
    sink: int = 1,
    environment: MutableMapping[str, str] = os.environ,
) -> Graphics:
    """How to draw here; asks the terminal where that is needed, and sets what textual and textual-image read."""
    if forced != AUTO and forced not in KINDS:
        raise ConfigError(f"images: {forced!r} is unknown; allowed are {', '.join((AUTO, *KINDS))}")
    chosen = _held_back(_choose(forced, _Ends(source, sink, patience), environment), environment)
    if chosen.kind == "kitty" and environment.get("COLORTERM") not in ("truecolor", "24bit"):
        # The colour of a cell carries the picture's number: 256 colours would lose it.
        environment["TEXTUAL_COLOR_SYSTEM"] = "truecolor"
    environment["TEXTUAL_CELL_WIDTH"], environment["TEXTUAL_CELL_HEIGHT"] = map(str, chosen.cell)
    return chosen


def for_tmux(sequence: str, environment: Mapping[str, str] = os.environ) -> str:
    """The sequence, wrapped where tmux would keep it from the terminal around it."""
    if not environment.get("TMUX"):
        return sequence
    return f"\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\"


def textual_image(name: str) -> ModuleType:
    """A module of textual-image, imported without its own questions to the terminal."""
    with _importing, _terminal_hidden():
        # This one remembers the size of a cell, so that nothing asks for it later.
        importlib.import_module("textual_image.widget")
        return importlib.import_module(f"textual_image.{name}")


class _NoTerminal:
    """A stream that is the given one in everything but being a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextmanager
def _terminal_hidden() -> Iterator[None]:
    stdout = sys.__stdout__
    vars(sys)["__stdout__"] = _NoTerminal(stdout or io.StringIO())
    try:
        yield
    finally:
        vars(sys)["__stdout__"] = stdout


def _choose(forced: str, ends: _Ends, environment: Mapping[str, str]) -> Graphics:
    cell = _cell_by_ioctl(ends.sink) if ends.interactive else None
    for kind in KINDS:
        if forced == kind:
            heard = _ask(ends, environment, cell) if _needs_cell(kind, ends, cell) else b""
            return Graphics(kind, "asked for", cell or _cell_in(heard) or _cell_of(environment))
    if not ends.interactive:
        return Graphics("unicode", "not on a terminal: it was not asked", _cell_of(environment))
    if environment.get("TERM") == "dumb":
        return Graphics("unicode", "TERM is dumb: the terminal was not asked", cell or _cell_of(environment))
    heard = _ask(ends, environment, cell)
    return Graphics(*_judged(heard, environment), cell or _cell_in(heard) or _cell_of(environment))


def _needs_cell(kind: Kind, ends: _Ends, cell: tuple[int, int] | None) -> bool:
    return kind in ("kitty", "sixel") and ends.interactive and cell is None


def _judged(heard: bytes, environment: Mapping[str, str]) -> tuple[Kind, str]:
    """Sixel before kitty's protocol: Konsole and WezTerm claim that one but lack the part that is used here."""
    attributes = _ATTRIBUTES.search(heard)
    if attributes and b"4" in attributes[1].split(b";"):
        return "sixel", "the terminal says that it draws sixels"
    if _GRAPHICS_OK.search(heard):
        return "kitty", "the terminal answers to kitty's graphics protocol"
    if not attributes:
        return "halfcell", "the terminal did not answer"
    if environment.get("TMUX"):
        return "halfcell", "tmux answers without sixels and passes no graphics on"
    return "halfcell", "the terminal answers, and has neither sixels nor kitty's graphics protocol"


def _held_back(chosen: Graphics, environment: Mapping[str, str]) -> Graphics:
    """Half cells where kitty's protocol would show nothing."""
    if chosen.kind == "kitty" and "NO_COLOR" in environment:
        return Graphics("halfcell", "NO_COLOR greys the colours that kitty's protocol needs", chosen.cell)
    return chosen


def _ask(ends: _Ends, environment: Mapping[str, str], cell: tuple[int, int] | None) -> bytes:
    """All that the terminal answers to one batch of questions; nothing of it stays to be read as keys."""
    questions = for_tmux(_GRAPHICS_QUERY, environment) + ("" if cell else _CELL_QUERY) + _ATTRIBUTES_QUERY
    try:
        with _unbuffered(ends.source):
            os.write(ends.sink, questions.encode())
            heard = _hear(ends.source, ends.patience, _ATTRIBUTES)
            if environment.get("TMUX") and not _GRAPHICS_OK.search(heard):
                # tmux answers for itself at once, the terminal around it a journey later.
                heard = _hear(ends.source, min(_TMUX_PATIENCE, ends.patience), _GRAPHICS_OK, heard)
            return heard
    except (OSError, termios.error):
        return b""


@contextmanager
def _unbuffered(source: int) -> Iterator[None]:
    """Bytes come as they are typed and aren't echoed; what is unread at the end is dropped."""
    mode = termios.tcgetattr(source)
    tty.setcbreak(source, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcflush(source, termios.TCIFLUSH)
        termios.tcsetattr(source, termios.TCSANOW, mode)


def _hear(source: int, seconds: float, last: re.Pattern[bytes], heard: bytes = b"") -> bytes:
    """What comes until the last reply expected is there, or the time is over."""
    deadline = time.monotonic() + seconds
    while not last.search(heard):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([source], [], [], left)[0]:
            break
        got = os.read(source, 4096)
        if not got:
            break
        heard += got
    return heard


def _cell_by_ioctl(sink: int) -> tuple[int, int] | None:
    try:
        size = fcntl.ioctl(sink, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None
    rows, columns, width, height = struct.unpack("HHHH", size)
    cell = (width // max(columns, 1), height // max(rows, 1))
    return cell if all(cell) else None


def _cell_in(heard: bytes) -> tuple[int, int] | None:
    found = _CELL.search(heard)
    return (int(found[2]), int(found[1])) if found else None


def _cell_of(environment: Mapping[str, str]) -> tuple[int, int]:
    width, height = (environment.get(f"TEXTUAL_CELL_{side}", "") for side in ("WIDTH", "HEIGHT"))
    if width.isdecimal() and height.isdecimal() and int(width) and int(height):
        return int(width), int(height)
    return _DEFAULT_CELL
