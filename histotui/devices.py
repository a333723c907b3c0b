"""What the machine's devices do now: GPUs through NVML where there are any, else processor and memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pynvml


@dataclass(frozen=True, slots=True)
class DeviceLoad:
    """One device at a moment; memory in bytes, `busy` as a share of 1 where it is known."""

    name: str
    busy: float | None
    used: int
    total: int
    others: int = 0
    """Processes of other people on it."""


class DeviceMeter:
    """Reads the devices again and again; belongs to one thread at a time."""

    def __init__(self) -> None:
        self._ticks = _processor_ticks()
        self._has_nvml = _start_nvml()

    def read(self) -> tuple[DeviceLoad, ...]:
        """Every GPU, or the processor where there is none."""
        return (tuple(_gpus()) if self._has_nvml else ()) or (self._processor(),)

    def _processor(self) -> DeviceLoad:
        before, self._ticks = self._ticks, _processor_ticks()
        busy, total = (now - then for now, then in zip(self._ticks, before, strict=True))
        used, memory = _memory()
        return DeviceLoad("cpu", busy / total if total else None, used, memory)


def _start_nvml() -> bool:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    return bool(_count())


def _gpus() -> Iterator[DeviceLoad]:
    for number in range(_count()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        except pynvml.NVMLError:
            # One that has dropped out, or that says nothing without rights.
            continue
        yield DeviceLoad(f"cuda:{number}", _busy(handle), int(memory.used), int(memory.total), _others(handle))


def _count() -> int:
    try:
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


def _busy(handle: object) -> float | None:
    try:
        return int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
    except pynvml.NVMLError:
        # Parts of a divided GPU do not say.
        return None


def _others(handle: object) -> int:
    try:
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        return 0
    return sum(not _is_mine(process.pid) for process in processes)


def _is_mine(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}").stat().st_uid == os.getuid()
    except OSError:
        return False


def _processor_ticks() -> tuple[int, int]:
    """Ticks since the boot that all processors were busy, and all ticks."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0, 0
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def _memory() -> tuple[int, int]:
    """Bytes of main memory that are taken, and all bytes."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0, 0
    sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    return sizes["MemTotal"] - sizes.get("MemAvailable", 0), sizes["MemTotal"]
