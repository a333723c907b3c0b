"""DeviceQueue: one run per device, and the others wait for it in the order in which they came, with nobody watching.

A device is held by an flock, and so is each ticket of who waits: the kernel lets go of both however a process ends, so
nothing that was killed is ever waited for. Runs of one user are in one queue; what others have on a device is seen in
its free memory alone.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from engine.spec.clock import since_boot
from engine.spec.process import is_locked

ONE_AT_A_TIME: Final = "HISTOTUI_ONE_AT_A_TIME"
"""Where it is set, runs on the processor wait for each other too."""
_POLL: Final = 0.25
_TICKET: Final = "ticket-"

Told = Callable[[str, int], None]
"""Hears which device is waited for, and how many runs are before this one."""


class DeviceQueue:
    """The devices of this machine and those who wait for them, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the device back."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def is_taken(self, device: str) -> bool:
        """Whether a run holds this device now."""
        return is_locked(self._folder / f"{device}.lock")

    def take(self, devices: Sequence[str], told: Told, stop: Callable[[], None]) -> str:
        """The first of these devices that is free, once all who came before and could use it have had theirs.

        `stop` may raise while it waits.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._ticket(devices) as ticket:
            while True:
                before = self._before(ticket, devices)
                wanted = frozenset().union(*before)
                if taken := next((name for name in devices if name not in wanted and self._lock(name)), None):
                    return taken
                told(devices[0], len(before))
                time.sleep(_POLL)
                stop()

    @contextlib.contextmanager
    def _ticket(self, devices: Sequence[str]) -> Iterator[Path]:
        """A place in the queue, held as long as this process stands in it."""
        path = self._folder / f"{_TICKET}{since_boot():020d}-{os.getpid()}"
        partial = path.with_name(f".{path.name}")
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, "\n".join(devices).encode())
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Others see it only now that it is held.
            partial.rename(path)
            yield path
        finally:
            path.unlink(missing_ok=True)
            partial.unlink(missing_ok=True)
            os.close(descriptor)

    def _before(self, ticket: Path, devices: Sequence[str]) -> list[frozenset[str]]:
        """What each could take who came before and could take one of these devices."""
        earlier = (path for path in self._folder.glob(f"{_TICKET}*") if path.name < ticket.name)
        return [wanted for wanted in map(_wanted, earlier) if not wanted.isdisjoint(devices)]

    def _lock(self, device: str) -> bool:
        descriptor = os.open(self._folder / f"{device}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._held = descriptor
        return True


def _wanted(ticket: Path) -> frozenset[str]:
    """What the holder of a ticket could take; nothing where nobody holds it any more, and then it is removed."""
    try:
        devices = frozenset(ticket.read_text(encoding="utf-8").split("\n"))
    except FileNotFoundError:
        return frozenset()
    if is_locked(ticket):
        return devices
    ticket.unlink(missing_ok=True)
    return frozenset()
