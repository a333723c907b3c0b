"""What can go wrong, one type per domain, each with the exit code that scripts see."""

import errno
from pathlib import Path
from typing import Final, Self

DONE: Final = 0
INTERRUPTED: Final = 130


class HistotuiError(Exception):
    """A failure that the user can act on: its message names the thing and what to do."""

    exit_code = 1


class ConfigError(HistotuiError):
    """A setting that is unknown, of the wrong type or out of bounds."""

    exit_code = 2


class EnvironmentFault(HistotuiError):
    """Something outside the program is missing or in the way."""

    exit_code = 3


class DataError(EnvironmentFault):
    """Patches that are absent, broken or unfit for the run."""


class DeviceError(EnvironmentFault):
    """A device that is not there, or too small."""


class StorageError(EnvironmentFault):
    """A disk that is full, read-only or failing."""

    @classmethod
    def of(cls, place: Path | str, error: OSError) -> Self:
        """What the operating system refused at a place, and what to do."""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "free some space there" if full else "check that it can be written"
        return cls(f"{place}: {error.strerror or error}; {advice}")


class RunFolderError(EnvironmentFault):
    """A run folder that is missing, locked, damaged or from a newer version."""


class CheckpointError(EnvironmentFault):
    """A checkpoint that cannot be read."""


class Diverged(HistotuiError):
    """A loss or gradient that is no longer finite."""

    exit_code = 4


class Stopped(HistotuiError):
    """The run was asked to stop and left a checkpoint to resume from."""

    exit_code = 75
