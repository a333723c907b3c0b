"""Keys that arrive together, as over a slow connection or from a paste, go where they were meant to."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest
from textual import work
from textual._xterm_parser import XTermParser
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key, Paste
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input

from histotui.keys import OrderedKeys, after_escape


class Question(ModalScreen[str]):
    """Asks for a line."""

    def compose(self) -> ComposeResult:
        yield Input(id="answer")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)


class Fields(OrderedKeys):
    """Three fields with keys to go between them, and questions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next"),
        Binding("up", "app.focus_previous", "Previous"),
        Binding("ctrl+t", "ask", "Ask", priority=True),
        Binding("f2", "ask", "Ask"),
        Binding("f3", "leave_out", "Leave out"),
        Binding("f4", "open", "Open"),
    ]
    answers: ClassVar[list[str | None]] = []

    def compose(self) -> ComposeResult:
        for name in "abc":
            yield Input(id=name, select_on_focus=False)

    @work
    async def action_ask(self) -> None:
        self.answers.append(await self.push_screen_wait(Question()))

    def action_open(self) -> None:
        self.push_screen(Question())

    async def action_leave_out(self) -> None:
        assert self.focused is not None
        self.focused.remove()

    @property
    def values(self) -> list[str]:
        return [field.value for field in self.screen.query(Input)]


def burst(app: OrderedKeys, *keys: str) -> None:
    """All keys at once, as the driver hands them over."""
    for key in keys:
        app.post_message(Key(key, key if len(key) == 1 else None))


def play(script: Callable[[Fields, "Pilot[None]"], Awaitable[None]]) -> None:
    async def run() -> None:
        app = Fields()
        app.answers.clear()
        async with app.run_test() as pilot:
            await script(app, pilot)

    asyncio.run(run())


async def until(app: Fields, values: list[str]) -> None:
    for _ in range(100):
        if app.values == values:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(app.values)


def test_a_burst_goes_into_each_field_that_it_moves_to() -> None:
    async def script(app: Fields, pilot: "Pilot[None]") -> None:
        burst(app, "1", "2", "down", "3", "backspace", "4", "down", "5", "up", "up", "6")
        await until(app, ["126", "4", "5"])

    play(script)


def test_screens_come_and_go_within_a_burst() -> None:
    async def script(app: Fields, pilot: "Pilot[None]") -> None:
        burst(app, *(key for letter in "abcd" for key in ("f4", letter, "enter", letter)), "down", "z")
        await until(app, ["abcd", "z", ""])

    play(script)


@pytest.mark.parametrize("ask", ["ctrl+t", "f2"])
def test_what_follows_a_key_that_opens_a_question_answers_it(ask: str) -> None:
    async def script(app: Fields, pilot: "Pilot[None]") -> None:
        burst(app, "1", ask, "y", "e", "s", "enter", "2")
        await until(app, ["12", "", ""])
        assert app.answers == ["yes"]

    play(script)


def test_a_paste_waits_its_turn() -> None:
    async def script(app: Fields, pilot: "Pilot[None]") -> None:
        burst(app, "1", "down")
        app.post_message(Paste("23"))
        burst(app, "4")
        await until(app, ["1", "234", ""])

    play(script)


def test_keys_go_on_where_the_widget_that_had_them_is_taken_out() -> None:
    async def script(app: Fields, pilot: "Pilot[None]") -> None:
        burst(app, "1", "f3", "2", "down", "3")
        await until(app, ["3", "2"])

    play(script)


def test_escape_and_a_letter_that_came_as_one_are_two_keys_outside_of_fields() -> None:
    pressed = []

    class Listening(OrderedKeys):
        def compose(self) -> ComposeResult:
            yield Input()

        def on_key(self, event: Key) -> None:
            pressed.append(event.key)

    async def run() -> None:
        app = Listening()
        async with app.run_test():
            app.post_message(Key("alt+left", None))
            app.post_message(Key("alt+c", "c"))
            burst(app, "f9")
            await come("f9")
            app.set_focus(None)
            app.post_message(Key("alt+q", "q"))
            burst(app, "x")
            await come("x")
            assert app.query_one(Input).value == "c"

    async def come(key: str) -> None:
        for _ in range(100):
            if key in pressed:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(pressed)

    asyncio.run(run())
    assert pressed == ["alt+left", "f9", "escape", "q", "x"]


@pytest.mark.parametrize("letter", "acdeghijklmnopqrstuvwxyzACDQR")
def test_what_a_terminal_sends_for_both_is_two_keys(letter: str) -> None:
    parser = XTermParser()
    (event,) = (event for event in (*parser.feed(f"\x1b{letter}"), *parser.feed("")) if isinstance(event, Key))
    after = after_escape(event)
    assert after is not None and (after.key, after.character) == (letter, letter)


def test_alt_that_a_terminal_tells_apart_is_one_key() -> None:
    assert after_escape(Key("alt+q", None)) is None
    assert after_escape(Key("q", "q")) is None
    assert after_escape(Key("alt+q", "q")) is not None
