"""Neighbours: who else is at work on a device, which a run should know before it is started there."""

import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pynvml
import torch

from engine.device import device_key
from engine.device_queue import DeviceQueue


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A process on a device; `memory` in bytes, None where the driver does not tell."""

    pid: int
    user: str
    memory: int | None

    @property
    def words(self) -> str:
        held = "" if self.memory is None else f", {self.memory / 1e9:.1f} GB"
        return f"process {self.pid} of {self.user}{held}"


def neighbour_cautions(devices: list[torch.device], queue: DeviceQueue) -> list[str]:
    """What to say of others on these devices, any of which a run may get."""
    said = [
        f"{device}: {', '.join(each.words for each in found)}" for device in devices if (found := list(_on(device)))
    ]
    busy = [device for device in devices if device.type != "cpu" and queue.is_taken(device_key(device))]
    if busy and len(busy) == len(devices):
        said.append(f"Another run is at work on {', '.join(map(str, busy))}: this one will wait for it.")
    return said


def _on(device: torch.device) -> Iterator[Neighbour]:
    """Processes on a device that are no engine of this user's."""
    if device.type != "cuda":
        return
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(device_key(device))
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        return
    for process in processes:
        user = _user_of(process.pid)
        if user is not None and not _is_own_engine(process.pid):
            yield Neighbour(int(process.pid), user, process.usedGpuMemory)


def _user_of(pid: int) -> str | None:
    """None where it has ended in the meantime."""
    try:
        number = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _is_own_engine(pid: int) -> bool:
    """Such as holds its device in the queue, or answers a question as this process does."""
    try:
        is_own = Path(f"/proc/{pid}").stat().st_uid == os.getuid()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return is_own and any(part in command for part in (b"-m\0engine\0", b"-m\0engine.answer\0"))
