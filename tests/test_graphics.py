"""How pictures are drawn: the choice, against terminals that a thread plays on a pty."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.spec.errors import ConfigError
from histotui import graphics
from histotui.graphics import Graphics, available, choose_graphics, for_tmux, forced_kind

Pause = float
Part = bytes | Pause

SIXEL = b"\x1b[?62;4;22c"
PLAIN = b"\x1b[?62;22c"
KITTY = b"\x1b_Gi=31;OK\x1b\\"
NO_KITTY = b"\x1b_Gi=31;ENOTSUP\x1b\\"
CELL = b"\x1b[6;18;9t"
SIZE = (9, 18)
ENVIRONMENT = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
IN_TMUX = ENVIRONMENT | {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-0/default,1,0"}


class Terminal:
    """The far end of a pty: hears the questions and answers from a script of bytes and pauses."""

    def __init__(self, *script: Part) -> None:
        self.script = script
        self.far, self.near = pty.openpty()
        self.heard = b""
        self._over = threading.Event()
        self._played = threading.Thread(target=self._play, daemon=True)

    def choose(
        self, forced: str = "auto", environment: dict[str, str] | None = None, patience: float = 2.0
    ) -> Graphics:
        self._played.start()
        variables = dict(ENVIRONMENT) if environment is None else environment
        return choose_graphics(forced, patience=patience, source=self.near, sink=self.near, environment=variables)

    def left(self) -> bytes:
        """What an application that starts now would read as keys."""
        self._over.set()
        if self._played.ident:
            self._played.join()
        mode = termios.tcgetattr(self.near)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(self.near, termios.TCSANOW, mode)
        return os.read(self.near, 4096) if select.select([self.near], [], [], 0.02)[0] else b""

    def type(self, keys: bytes) -> None:
        os.write(self.far, keys)

    def set_pixels(self, rows: int, columns: int, width: int, height: int) -> None:
        fcntl.ioctl(self.near, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))

    def close(self) -> None:
        os.close(self.near)
        os.close(self.far)

    def _play(self) -> None:
        while b"\x1b[c" not in self.heard:
            over = self._over.is_set()
            if select.select([self.far], [], [], 0.01)[0]:
                self.heard += os.read(self.far, 4096)
            elif over:
                break
        for part in self.script if b"\x1b[c" in self.heard else ():
            if isinstance(part, bytes):
                os.write(self.far, part)
            else:
                threading.Event().wait(part)


@pytest.fixture
def plays() -> Iterator[type[Terminal]]:
    made: list[Terminal] = []

    class Kept(Terminal):
        def __init__(self, *script: Part) -> None:
            super().__init__(*script)
            made.append(self)

    yield Kept
    for terminal in made:
        terminal.left()
        terminal.close()


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ((SIXEL,), "sixel"),
        ((0.15, SIXEL), "sixel"),
        ((0.3, SIXEL), "sixel"),
        ((KITTY, PLAIN), "kitty"),
        ((0.15, KITTY, PLAIN), "kitty"),
        ((0.3, KITTY, PLAIN), "kitty"),
        # Konsole and WezTerm.
        ((KITTY, SIXEL), "sixel"),
        ((NO_KITTY, PLAIN), "halfcell"),
        ((PLAIN,), "halfcell"),
        # 4 as a part of another number is no sixel.
        ((b"\x1b[?64;14;40c",), "halfcell"),
    ],
    ids=str,
)
def test_a_terminal_that_answers(plays: type[Terminal], script: tuple[Part, ...], kind: str) -> None:
    terminal = plays(CELL, *script)
    chosen = terminal.choose()
    assert (chosen.kind, chosen.cell) == (kind, SIZE)
    assert terminal.left() == b""


def test_replies_come_in_pieces(plays: type[Terminal]) -> None:
    terminal = plays(KITTY[:5], 0.02, KITTY[5:] + CELL[:3], 0.02, CELL[3:] + PLAIN[:4], 0.02, PLAIN[4:])
    assert terminal.choose() == Graphics("kitty", "the terminal answers to kitty's graphics protocol", SIZE)
    assert terminal.left() == b""


def test_all_is_asked_in_one_go_with_the_attributes_last(plays: type[Terminal]) -> None:
    terminal = plays(PLAIN)
    terminal.choose()
    assert terminal.heard == b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"


def test_a_terminal_that_never_answers(plays: type[Terminal]) -> None:
    terminal = plays()
    assert terminal.choose(patience=0.05) == Graphics("halfcell", "the terminal did not answer", (10, 20))
    assert terminal.left() == b""


def test_a_terminal_that_breaks_off(plays: type[Terminal]) -> None:
    terminal = plays(b"\x1b[?62;4")
    assert terminal.choose(patience=0.05).kind == "halfcell"
    assert terminal.left() == b""


def test_a_key_typed_before(plays: type[Terminal]) -> None:
    terminal = plays(CELL, 0.1, SIXEL)
    terminal.type(b"q\x1b[A")
    assert terminal.choose().kind == "sixel"
    assert terminal.left() == b""


def test_a_reply_behind_the_last_is_dropped(plays: type[Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    def hear_no_more(source: int, *_: object) -> bytes:
        assert select.select([source], [], [], 2)[0]
        return PLAIN

    monkeypatch.setattr(graphics, "_hear", hear_no_more)
    terminal = plays(KITTY)
    assert terminal.choose().kind == "halfcell"
    assert terminal.left() == b""


def test_a_key_typed_after_is_left_to_the_application(plays: type[Terminal]) -> None:
    terminal = plays(SIXEL)
    terminal.choose()
    terminal.type(b"q")
    assert terminal.left() == b"q"


def test_the_terminal_is_as_it_was(plays: type[Terminal]) -> None:
    terminal = plays(PLAIN)
    before = termios.tcgetattr(terminal.near)
    terminal.choose()
    assert termios.tcgetattr(terminal.near) == before


def test_pixels_from_the_system_are_not_asked_for(plays: type[Terminal]) -> None:
    terminal = plays(b"\x1b[6;99;99t", PLAIN)
    terminal.set_pixels(24, 80, 640, 384)
    assert terminal.choose().cell == (8, 16)
    assert b"16t" not in terminal.heard


class TestTmux:
    """tmux answers for itself at once; the terminal around it later, or never."""

    @pytest.mark.parametrize("late", [0.0, 0.05, 0.3])
    def test_kitty_around_it(self, plays: type[Terminal], late: float) -> None:
        terminal = plays(CELL, PLAIN, late, KITTY)
        chosen = terminal.choose(environment=dict(IN_TMUX))
        assert (chosen.kind, chosen.cell) == ("kitty", SIZE)
        assert terminal.left() == b""
        assert terminal.heard.startswith(b"\x1bPtmux;\x1b\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\x1b\\\x1b\\")

    def test_passthrough_off(self, plays: type[Terminal]) -> None:
        terminal = plays(CELL, PLAIN)
        chosen = terminal.choose(environment=dict(IN_TMUX), patience=0.1)
        assert chosen == Graphics("halfcell", "tmux answers without sixels and passes no graphics on", SIZE)
        assert terminal.left() == b""

    def test_sixels_of_its_own(self, plays: type[Terminal]) -> None:
        terminal = plays(CELL, SIXEL, 0.05, KITTY)
        assert terminal.choose(environment=dict(IN_TMUX)).kind == "sixel"
        assert terminal.left() == b""

    def test_sequences_are_wrapped(self) -> None:
        assert for_tmux("\x1b_Ga\x1b\\", IN_TMUX) == "\x1bPtmux;\x1b\x1b_Ga\x1b\x1b\\\x1b\\"
        assert for_tmux("\x1b_Ga\x1b\\", ENVIRONMENT) == "\x1b_Ga\x1b\\"


class TestNoTerminal:
    def test_neither_end(self) -> None:
        read, write = os.pipe()
        chosen = choose_graphics(source=read, sink=write, environment={})
        os.close(write)
        assert chosen == Graphics("unicode", "not on a terminal: it was not asked", (10, 20))
        assert os.read(read, 100) == b""
        os.close(read)

    def test_input_from_nowhere(self, plays: type[Terminal]) -> None:
        terminal = plays()
        with Path(os.devnull).open() as nowhere:
            chosen = choose_graphics(source=nowhere.fileno(), sink=terminal.near, environment={})
        assert chosen.kind == "unicode"
        assert not select.select([terminal.far], [], [], 0)[0]

    def test_output_to_a_pipe(self, plays: type[Terminal]) -> None:
        terminal = plays()
        read, write = os.pipe()
        assert choose_graphics(source=terminal.near, sink=write, environment={}).kind == "unicode"
        os.close(write)
        assert os.read(read, 100) == b""
        os.close(read)

    def test_a_dumb_one_is_not_asked(self, plays: type[Terminal]) -> None:
        terminal = plays(SIXEL)
        assert terminal.choose(environment={"TERM": "dumb"}).kind == "unicode"
        assert terminal.left() == b""
        assert terminal.heard == b""

    def test_a_closed_descriptor(self) -> None:
        assert choose_graphics(source=9_999, sink=9_999, environment={}).kind == "unicode"


class TestForced:
    @pytest.mark.parametrize("kind", ["halfcell", "unicode", "off"])
    def test_nothing_is_asked(self, plays: type[Terminal], kind: str) -> None:
        terminal = plays(SIXEL)
        assert terminal.choose(kind) == Graphics(kind, "asked for", (10, 20))  # type: ignore[arg-type]
        assert terminal.left() == b""
        assert terminal.heard == b""

    @pytest.mark.parametrize("kind", ["kitty", "sixel"])
    def test_pixels_need_the_size_of_a_cell(self, plays: type[Terminal], kind: str) -> None:
        terminal = plays(CELL, PLAIN)
        assert terminal.choose(kind) == Graphics(kind, "asked for", SIZE)  # type: ignore[arg-type]
        assert terminal.left() == b""

    def test_unknown(self) -> None:
        with pytest.raises(
            ConfigError, match="'sixle' is unknown; allowed are auto, kitty, sixel, halfcell, unicode, off"
        ):
            choose_graphics("sixle", environment={})

    @pytest.mark.parametrize(
        ("option", "variable", "config", "forced"),
        [
            ("off", "sixel", "kitty", "off"),
            (None, "sixel", "kitty", "sixel"),
            (None, "", "kitty", "kitty"),
            (None, None, None, "auto"),
            ("auto", "sixel", "kitty", "auto"),
        ],
    )
    def test_who_is_heard(self, option: str | None, variable: str | None, config: str | None, forced: str) -> None:
        environment = {} if variable is None else {"HISTOTUI_IMAGES": variable}
        assert forced_kind(option, environment, config) == forced


class TestColours:
    @pytest.mark.parametrize("forced", ["auto", "kitty"])
    def test_kitty_without_colours_shows_nothing(self, plays: type[Terminal], forced: str) -> None:
        chosen = plays(CELL, KITTY, PLAIN).choose(forced, ENVIRONMENT | {"NO_COLOR": "1"})
        assert chosen == Graphics("halfcell", "NO_COLOR greys the colours that kitty's protocol needs", SIZE)

    def test_sixels_do_not_mind(self, plays: type[Terminal]) -> None:
        assert plays(CELL, SIXEL).choose(environment=ENVIRONMENT | {"NO_COLOR": "1"}).kind == "sixel"

    def test_kitty_over_ssh_is_given_all_colours(self, plays: type[Terminal]) -> None:
        environment = {"TERM": "xterm-kitty"}
        plays(CELL, KITTY, PLAIN).choose(environment=environment)
        assert environment["TEXTUAL_COLOR_SYSTEM"] == "truecolor"

    @pytest.mark.parametrize(("script", "colours"), [((KITTY, PLAIN), "truecolor"), ((SIXEL,), "")])
    def test_others_keep_theirs(self, plays: type[Terminal], script: tuple[bytes, ...], colours: str) -> None:
        environment = {"TERM": "xterm", "COLORTERM": colours}
        plays(CELL, *script).choose(environment=environment)
        assert "TEXTUAL_COLOR_SYSTEM" not in environment


def test_the_size_of_a_cell_is_handed_on(plays: type[Terminal]) -> None:
    environment = dict(ENVIRONMENT)
    plays(CELL, PLAIN).choose(environment=environment)
    assert (environment["TEXTUAL_CELL_WIDTH"], environment["TEXTUAL_CELL_HEIGHT"]) == ("9", "18")


@pytest.mark.parametrize(("width", "cell"), [("7", (7, 14)), ("0", (10, 20)), ("x", (10, 20))])
def test_the_size_of_a_cell_from_outside(width: str, cell: tuple[int, int]) -> None:
    environment = {"TEXTUAL_CELL_WIDTH": width, "TEXTUAL_CELL_HEIGHT": "14"}
    assert choose_graphics("off", environment=environment, source=9_999, sink=9_999).cell == cell


def test_pixels_can_be_stepped_to_only_where_they_are() -> None:
    assert available("kitty") == ("kitty", "halfcell", "unicode", "off")
    assert available("unicode") == ("halfcell", "unicode", "off")


def test_the_library_asks_nothing(plays: type[Terminal]) -> None:
    """Imported on a terminal that answers nothing, with the size of a cell that was handed on."""
    terminal = plays()
    program = (
        "from histotui.graphics import choose_graphics, textual_image; import os, sys; choose_graphics('unicode');"
        "assert 'textual' not in sys.modules and 'rich' not in sys.modules;"
        "before = sys.__stdout__; textual_image('renderable.tgp'); assert sys.__stdout__ is before;"
        "from textual_image._terminal import get_cell_size; os.write(1, repr(tuple(get_cell_size())).encode())"
    )
    environment = os.environ | {"TEXTUAL_CELL_WIDTH": "9", "TEXTUAL_CELL_HEIGHT": "18"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    subprocess.run(
        [sys.executable, "-c", program], stdin=terminal.near, stdout=terminal.near, env=environment, check=True
    )
    assert os.read(terminal.far, 4096) == b"(9, 18)"
