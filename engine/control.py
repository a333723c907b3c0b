"""StopFlag: how a running engine hears that it should stop, and where it listens."""

import faulthandler
import os
import signal
import sys
from types import FrameType

from engine.spec.errors import INTERRUPTED, Stopped


class StopFlag:
    """Set by signals, read by every loop. A handler that did the saving itself would meet half-updated weights."""

    def __init__(self) -> None:
        self.requested = False
        self.checkpoint_requested = False

    def listen(self) -> None:
        """SIGTERM and SIGINT ask for a stop, the second time at once; SIGUSR1 for a checkpoint; SIGHUP is ignored.

        SIGUSR2 asks where every thread is, which stands on stderr even where Python itself hangs.
        """
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGUSR1, self._ask_checkpoint)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        faulthandler.register(signal.SIGUSR2, file=sys.__stderr__ or 2, all_threads=True)

    def raise_if_requested(self) -> None:
        if self.requested:
            raise Stopped("asked to stop")

    def take_checkpoint_request(self) -> bool:
        """Whether a checkpoint was asked for since the last call."""
        asked, self.checkpoint_requested = self.checkpoint_requested, False
        return asked

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.requested:
            os._exit(INTERRUPTED if number == signal.SIGINT else 128 + number)
        self.requested = True

    def _ask_checkpoint(self, _: int, __: FrameType | None) -> None:
        self.checkpoint_requested = True
