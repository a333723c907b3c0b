"""Which process a run belongs to, and whether it still lives: by lock first, then by boot, pid and start time."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from engine.spec.atomic import write_text
from engine.spec.errors import RunFolderError
from engine.spec.failpoints import Write
from engine.spec.json_file import read_json

_LOCK_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """What tells one process from every other, across hosts, reboots and reused pids."""

    host: str
    boot_id: str
    pid: int
    start_time: int

    @classmethod
    def current(cls) -> Self:
        return cls(socket.gethostname(), _boot_id(), os.getpid(), _start_time(os.getpid()) or 0)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The identity saved in a process.json; None where there is none that can be understood."""
        try:
            saved = read_json(path)
            return cls(str(saved["host"]), str(saved["boot_id"]), int(saved["pid"]), int(saved["start_time"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None

    def write(self, path: Path) -> None:
        write_text(path, json.dumps(asdict(self), indent=2) + "\n", Write.PROCESS)

    def is_here(self) -> bool:
        """Whether it ran on this host since its last boot, so that looking for it means something."""
        return self.host == socket.gethostname() and self.boot_id == _boot_id()

    def is_alive(self) -> bool:
        return self.is_here() and _start_time(self.pid) == self.start_time


class RunLock:
    """An flock on run.lock that the kernel releases when the engine ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock, or RunFolderError when another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # A reader that asks whether the run lives holds a shared lock for an instant.
        for _ in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.05)
            else:
                self._descriptor = descriptor
                return
        os.close(descriptor)
        raise RunFolderError(f"{self._path.parent}: another process is working on this run; `histotui follow` shows it")

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file or folder that nobody else takes; without one on a file system that has no locks."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a live process holds the lock. False on a file system that has no locks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _start_time(pid: int) -> int | None:
    """Clock ticks after boot at which a live, non-zombie process started; None where there is no such process."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The command name stands in parentheses and may itself hold any character.
    after_name = status.rpartition(")")[2].split()
    state, start = after_name[0], int(after_name[19])
    return None if state in "ZX" else start
