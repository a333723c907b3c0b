"""The time of day as a process tells it: what happens after its start is timed by a clock that nobody sets."""

import time
from typing import Final

_UNSET: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where there is such a clock."""


def since_boot() -> int:
    """Nanoseconds since the machine was started; the same count in every process."""
    return time.clock_gettime_ns(_UNSET)


_BOOTED: Final = time.time() - since_boot() / 1e9


def now() -> float:
    """Wall-clock seconds by the clock as it stood when the process began, or that from which it was forked.

    The clock of a machine is set while runs go on, by hand or from the network. Between two of these times lies what
    really passed; after the clock was set they are off by as much as it was.
    """
    return _BOOTED + since_boot() / 1e9
