"""Small dialogues: everything that they say is on the screen, however long it is."""

from pathlib import Path

import pytest
from stage import play, text_of
from textual.pilot import Pilot
from textual.screen import ModalScreen
from workbench import Bench

from engine.spec.errors import ConfigError
from histotui.screens.prompts import Choice, Confirm, TextPrompt

LONG = " ".join(f"word{number:02d}" for number in range(30))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def words(pilot: "Pilot[None]") -> str:
    """What the screen says, without its frames and line breaks."""
    return " ".join(text_of(pilot.app.screen).replace("│", " ").split())


@pytest.mark.parametrize(
    "dialogue",
    [
        Confirm(LONG),
        Confirm("Start it?", LONG),
        Confirm("Start it?", "[bold]" + LONG),
        TextPrompt(LONG),
        TextPrompt("Name", hint=LONG),
        Choice(LONG, []),
        Choice("Which?", [], LONG),
    ],
)
def test_a_long_text_wraps(bench: Bench, dialogue: "ModalScreen[object]") -> None:
    async def script(pilot: "Pilot[None]") -> None:
        await pilot.app.push_screen(dialogue)
        await pilot.pause()
        assert LONG in words(pilot)

    play(bench, script)


def test_why_a_text_is_not_allowed_wraps(bench: Bench) -> None:
    def check(_: str) -> None:
        raise ConfigError(LONG)

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.app.push_screen(TextPrompt("Name", hint="anything", check=check))
        await pilot.press("x", "enter")
        await pilot.pause()
        assert LONG in words(pilot)

    play(bench, script)


def test_the_answer_keys_are_seen_below_a_long_question(bench: Bench) -> None:
    answers: list[bool | None] = []

    async def script(pilot: "Pilot[None]") -> None:
        await pilot.app.push_screen(Confirm(LONG, LONG), answers.append)
        await pilot.pause()
        assert "Yes (y) No (n)" in words(pilot)
        await pilot.press("y")

    play(bench, script)
    assert answers == [True]
