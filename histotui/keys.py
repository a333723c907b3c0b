"""OrderedKeys: keys take effect one after another, however fast they come."""

import asyncio
import time
from collections import deque
from typing import Any, Final

from textual import events
from textual.app import App
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

LOOK: Final = 0.1
"""Seconds between looks at whether what a key went to is still there."""
LONGEST: Final = 5.0
"""Seconds after which the next key is handed out whatever became of the one before."""


class Followed(Message):
    """Goes the way of a key, behind it: where this arrives, all that the key brings about has happened."""


def after_escape(event: events.Key | events.Paste) -> events.Key | None:
    """The second of two keys that came as one; None where it was one.

    A terminal sends alt and a letter as it sends escape and the letter, so that Textual reads alt where the two came
    within a tenth of a second or in one packet. Where the terminal tells them apart, the event has no character; nor
    has it after b and f, which cannot be told from ctrl and an arrow.
    """
    if not isinstance(event, events.Key) or not event.key.startswith("alt+") or not event.character:
        return None
    return events.Key(event.character, event.character)


class OrderedKeys(App[None]):
    """An application that hands out a key when the one before has taken effect.

    Textual puts every key into the queue of the widget that has the focus at that moment. Keys that arrive together, as
    from a paste or a slow connection, would all go to the widget that the first of them leaves.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._held: deque[events.Key | events.Paste] = deque()
        self._follower: Followed | None = None

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
        elif self._follower is not None:
            self._held.append(event)
        else:
            await self._hand_out(event)

    async def _hand_out(self, event: events.Key | events.Paste) -> None:
        if not isinstance(self.focused, Input) and (letter := after_escape(event)) is not None:
            self._held.appendleft(letter)
            event = events.Key("escape", "\x1b")
        follower = self._follower = Followed()
        target = self.focused or self.screen
        await super().on_event(event)
        if target.post_message(follower):
            self._look_after(follower, target, time.monotonic() + LONGEST)
        else:
            self._release(follower)

    def _look_after(self, follower: Followed, target: Widget, until: float) -> None:
        """Go on without the key's effect where what it went to has been taken out, its queue with it."""
        is_there = target.is_running and target.is_attached and target.screen in self.screen_stack
        if not is_there or time.monotonic() > until:
            self._release(follower)
        elif follower is self._follower:
            self.set_timer(LOOK, lambda: self._look_after(follower, target, until))

    def on_followed(self, follower: Followed) -> None:
        # A worker that the key has started gets its first turn before this, and may have opened a screen.
        asyncio.get_running_loop().call_soon(self._settle, follower)

    def _settle(self, follower: Followed) -> None:
        """Wait for the screen, which has no focus until it has begun."""
        self.screen.call_later(self._release, follower)

    def _release(self, follower: Followed) -> None:
        self.call_later(self._next, follower)

    async def _next(self, follower: Followed) -> None:
        if follower is not self._follower:
            return
        self._follower = None
        if self._held:
            await self._hand_out(self._held.popleft())
