"""Plays the application in this process: a screen of a size, keys, and waiting for what they bring about."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from textual.pilot import Pilot
from textual.widget import Widget
from workbench import Bench

from histotui.app import HistoTUI
from histotui.graphics import Graphics
from histotui.preferences import Memory, Settings
from histotui.store import RunStore

Play = Callable[["Pilot[None]"], Awaitable[None]]


def play(bench: Bench, script: Play, size: tuple[int, int] = (80, 24), settings: Settings | None = None) -> HistoTUI:
    """Run the script on the application over the bench's runs."""
    app = HistoTUI(
        RunStore(bench.runs),
        Graphics("halfcell", "a test"),
        settings or Settings(bell=False),
        Memory(bench.folder / "state.json"),
    )

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.listing is not None)
            await pilot.pause(0.2)
            await script(pilot)

    asyncio.run(run())
    return app


async def until(pilot: "Pilot[None]", condition: Callable[[], Any], seconds: float = 40.0) -> None:
    """Let the application go on until a condition holds; AssertionError where it does not."""
    for _ in range(int(seconds / 0.05)):
        await pilot.pause(0.05)
        if condition():
            return
    raise AssertionError(f"waited in vain\n{text_of(pilot.app.screen)}")


def text_of(widget: Widget) -> str:
    """What the screen shows of a widget, as lines of text."""
    screen = widget.screen
    lines = [strip.text for strip in screen._compositor.render_strips()]
    if widget is screen:
        return "\n".join(lines)
    region = widget.region
    return "\n".join(lines[y][region.x : region.right] for y in range(region.y, min(region.bottom, len(lines))))


def notices(app: HistoTUI) -> str:
    """What the application has told, newest last."""
    return "\n".join(notice.message for notice in app._notifications)
