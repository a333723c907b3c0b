"""Forecast: what a new run will need, asked of the engine again whenever the run is another."""

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from textual import on, work
from textual.message import Message
from textual.timer import Timer

from engine.spec.config import RunConfig
from engine.spec.errors import HistotuiError
from engine.spec.resolve import Tree, dump
from histotui.ask import Asking, ask, hide_progress
from histotui.settings import with_absolute_paths
from histotui.store import RunStore
from histotui.widgets.consequences import Consequences

DEBOUNCE: Final = 0.6
"""Seconds of rest after which the engine is asked."""
FRESH: Final = 20.0
"""Seconds for which a launch trusts an answer: another's run may have taken the memory since."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine says of a config: what it needs, or why it cannot begin."""

    config: RunConfig
    needs: Tree | None = None
    error: str = ""
    asked_at: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        """Whether a launch may trust it."""
        return time.monotonic() - self.asked_at < FRESH


class Forecast(Consequences):
    """Consequences that ask the engine themselves, once a config has had rest, and show the last one's answer only."""

    class Answered(Message):
        """The engine has said what the run needs."""

        def __init__(self, asking: Asking, answer: Answer) -> None:
            super().__init__()
            self.asking, self.answer = asking, answer

    def __init__(self, store: RunStore, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._store = store
        self._last: Answer | None = None
        self._asking: Asking | None = None
        self._timer: Timer | None = None

    def on_unmount(self) -> None:
        self._call_off()

    def consider(self, config: RunConfig | None) -> None:
        """Say what this config needs, once that is known; None where the settings are not valid."""
        self._call_off()
        if config is None:
            self.show_asking()
            self.show_status("✗ some settings are not valid; they are marked")
        elif (answer := self._known(config)) is not None:
            self._show(answer)
        else:
            self.show_asking()
            self._timer = self.set_timer(DEBOUNCE, partial(self._ask, config))

    async def answer_to(self, config: RunConfig) -> Answer:
        """What the engine says of a config that is about to be launched: asked at once, unless it has just said so."""
        answer = self._known(config)
        if answer is None or not answer.is_fresh:
            self._call_off()
            asking = self._asking = Asking()
            self.show_status("launching: asking the engine whether it fits…")
            answer = await asyncio.to_thread(self._inquire, config, asking)
            if asking.is_off:
                return Answer(config, error="the settings have changed while the engine was asked; launch them again")
            self._show(answer)
        return answer

    @on(Answered)
    def _answered(self, event: Answered) -> None:
        event.stop()
        # Another question has been asked since; its answer is the one to wait for.
        if event.asking is self._asking:
            self._asking = None
            self._show(event.answer)

    def _known(self, config: RunConfig) -> Answer | None:
        return self._last if self._last is not None and self._last.config == config else None

    def _show(self, answer: Answer) -> None:
        # What was in its way may be out of it when the engine is asked again.
        self._last = None if answer.needs is None else answer
        if answer.needs is None:
            self.show_error(answer.error)
        else:
            self.show_answer(answer.needs)

    def _ask(self, config: RunConfig) -> None:
        self._asking = Asking()
        self._wait_for_answer(config, self._asking)

    @work(thread=True, group="preflight")
    def _wait_for_answer(self, config: RunConfig, asking: Asking) -> None:
        answer = self._inquire(config, asking)
        if not asking.is_off:
            self.post_message(self.Answered(asking, answer))

    def _inquire(self, config: RunConfig, asking: Asking) -> Answer:
        try:
            question = {
                "config": dump(with_absolute_paths(config, self._store)),
                "runs": str(self._store.root.absolute()),
            }
            return Answer(config, ask("preflight", question, hide_progress, asking))
        except HistotuiError as error:
            return Answer(config, error=str(error))

    def _call_off(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        if self._asking is not None:
            self._asking.call_off()
        self._timer = self._asking = None
