"""A run's events on lines that fit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from stage import text_of
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Log

from engine.spec.events import CheckpointSaved, Event, RunFinished, StageStarted, Warned
from histotui.text import width
from histotui.widgets.events_pane import EventsPane, event_lines

MOMENT = 1_800_000_000.0
CLOCK = time.strftime("%H:%M:%S", time.localtime(MOMENT))
LONG = (
    "patches were divided by a hash of their content: patches of one slide may be in training and in test, "
    "which makes results look better than they are"
)


def warned(message: str = LONG, stage: str = "prepare") -> Warned:
    return Warned(time=MOMENT, stage=stage, message=message)


def test_an_event_that_fits_is_a_line() -> None:
    saved = CheckpointSaved(time=MOMENT, stage="generator", step=500, path="checkpoints/generator/step-00000500")
    assert list(event_lines(saved, 120)) == [
        f"{CLOCK}  generator    checkpoint      step 500, path checkpoints/generator/step-00000500"
    ]
    assert list(event_lines(RunFinished(time=MOMENT, seconds=2.5), 80)) == [
        f"{CLOCK}               run_finished    seconds 2.500"
    ]


def test_what_does_not_fit_goes_on_below_itself() -> None:
    assert list(event_lines(warned(), 79)) == [
        f"{CLOCK}  prepare      warning         patches were divided by a hash of their",
        f"{' ' * 39}content: patches of one slide may be in",
        f"{' ' * 39}training and in test, which makes",
        f"{' ' * 39}results look better than they are",
    ]


def test_in_few_columns_it_stands_under_the_others() -> None:
    first, second, *_ = event_lines(warned(), 50)
    assert first == f"{CLOCK}  prepare      warning"
    assert second == "  patches were divided by a hash of their content:"


def test_a_long_stage_is_cut_in_its_column_and_whole_beside_it() -> None:
    event = StageStarted(time=MOMENT, stage="a-stage-with-a-very-long-name")
    assert list(event_lines(event, 100)) == [
        f"{CLOCK}  a-stage-wit… stage_started   stage a-stage-with-a-very-long-name"
    ]


def test_no_line_is_longer_than_there_are_columns() -> None:
    for columns in range(42, 130):
        for event in (warned(), warned("x" * 300, "病" * 40), warned("病理" * 90), warned("")):
            assert all(width(line) <= columns for line in event_lines(event, columns)), columns


def test_nothing_acts_on_the_terminal() -> None:
    (line,) = event_lines(warned("a\x1b[2J\nb", "s\x1b"), 120)
    assert line == f"{CLOCK}  s\\x1b        warning         a\\x1b[2J\\nb"


class Alone(App[None]):
    """The pane, and nothing beside it."""

    def compose(self) -> ComposeResult:
        yield EventsPane()


def play(script: Callable[["Pilot[None]", EventsPane], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Alone().run_test(size=(80, 24)) as pilot:
            await script(pilot, pilot.app.query_one(EventsPane))

    asyncio.run(run())


def words(pane: EventsPane) -> str:
    return " ".join(text_of(pane).split())


def test_every_word_can_be_read_in_80_columns_and_after_the_window_has_changed() -> None:
    async def script(pilot: "Pilot[None]", pane: EventsPane) -> None:
        events: Sequence[Event] = (warned(), RunFinished(time=MOMENT, seconds=2.5))
        pane.show(events[:1])
        pane.show(events)
        await pilot.pause()
        assert LONG in words(pane) and len(pane.query_one(Log).lines) == 5
        await pilot.resize_terminal(200, 24)
        await pilot.pause()
        assert LONG in words(pane) and len(pane.query_one(Log).lines) == 2
        assert text_of(pane).count("run_finished") == 1

    play(script)


def test_the_newest_stays_in_sight_and_so_does_what_was_scrolled_to() -> None:
    async def script(pilot: "Pilot[None]", pane: EventsPane) -> None:
        log = pane.query_one(Log)
        pane.show([warned(f"number {number} {LONG}") for number in range(50)])
        await pilot.pause()
        assert "number 49" in words(pane)
        await pilot.resize_terminal(160, 24)
        await pilot.pause()
        assert "number 49" in words(pane)
        log.scroll_to(y=0, animate=False)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "number 0 " in words(pane)

    play(script)
