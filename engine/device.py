"""Devices: which there are, which a run gets, and how arithmetic is set up on it."""

import os
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

import pynvml
import torch

from engine.progress import Report
from engine.spec.config import TrainingConfig
from engine.spec.errors import DeviceError

# The driver's library numbers devices so, and CUDA otherwise puts the fastest first.
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")

_BFLOAT16: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""What Linux calls the instructions for it, on x86 and on ARM."""


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda` or `cuda:N`; DeviceError where there is no such one."""
    return possible_devices(name)[0]


def possible_devices(name: str) -> list[torch.device]:
    """The devices that `auto`, `cpu`, `cuda` or `cuda:N` may mean, the first the likeliest; DeviceError for none."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not count):
        return [torch.device("cpu")]
    if name == "auto":
        return [torch.device("cuda", index) for index in range(count)]
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        found = ", ".join(f"cuda:{number}" for number in range(count)) or "no CUDA device"
        raise DeviceError(f"device {name}: not there; this machine has cpu and {found}")
    return [torch.device("cuda", index)]


def device_key(device: torch.device) -> str:
    """What tells a device from all others of the machine, whatever this process may see of them; no file has it twice.

    It is asked of the driver's library: PyTorch would allocate on the device to answer.
    """
    if device.type != "cuda":
        return device.type
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    name = visible.split(",")[device.index].strip() if visible else str(device.index)
    try:
        pynvml.nvmlInit()
        if name.isdecimal():
            return str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(int(name))))
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        # CUDA takes the beginning of a name too; parts of a divided GPU are known by none of these.
        return next((uuid for uuid in map(str, map(pynvml.nvmlDeviceGetUUID, handles)) if uuid.startswith(name)), name)
    except pynvml.NVMLError:
        return f"cuda-{name}"


def device_name(device: torch.device) -> str:
    """What people call it: the card's name, or the processor with its thread count."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {cores()} threads"


def set_up(device: torch.device, config: TrainingConfig) -> None:
    """Threads, determinism and matrix arithmetic for this process."""
    torch.set_num_threads(config.threads or cores())
    if config.deterministic:
        # cuBLAS reads it when it first runs.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # It fills every new tensor with NaN, to show reads of what was never written, at the cost of a pass over it.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not config.deterministic
    torch.set_float32_matmul_precision("high")
    if device.type == "cuda":
        torch.cuda.set_device(device)
        # Its generators, which the first weights are drawn from, are there only from now on.
        torch.cuda.init()  # type: ignore[no-untyped-call]


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_dtype(device: torch.device, config: TrainingConfig) -> torch.dtype:
    """The dtype of the forward pass."""
    if config.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32


def forward_precision(device: torch.device, config: TrainingConfig) -> Callable[[], AbstractContextManager[object]]:
    """Makes the context in which the forward pass has its dtype."""
    dtype = compute_dtype(device, config)
    return nullcontext if dtype == torch.float32 else partial(torch.autocast, device.type, dtype)


def free_memory(device: torch.device) -> int:
    """Bytes that a run could take on this device now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - procfs, read line by line
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    raise DeviceError("/proc/meminfo has no MemAvailable: the free memory is not known")


def total_memory(device: torch.device) -> int:
    """All bytes of a CUDA device."""
    return torch.cuda.mem_get_info(device)[1]


def describe_devices(_: dict[str, Any], __: Report) -> dict[str, Any]:
    """Every device and what it offers, for `histotui doctor`."""
    cpu = torch.device("cpu")
    has_bfloat16 = not _BFLOAT16.isdisjoint((_cpuinfo("flags") or _cpuinfo("Features")).split())
    devices = [{"device": "cpu", "name": device_name(cpu), "free_bytes": free_memory(cpu), "bfloat16": has_bfloat16}]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.device("cuda", index)
        devices.append(
            {
                "device": str(device),
                "name": device_name(device),
                "free_bytes": free_memory(device),
                "bfloat16": torch.cuda.is_bf16_supported(),
            }
        )
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "chosen": str(choose_device("auto")),
        "devices": devices,
    }


def _processor() -> str:
    return _cpuinfo("model name") or platform.machine()


def _cpuinfo(name: str) -> str:
    """What Linux says of the first processor; empty where it says nothing."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - procfs, read line by line
            return next((line.partition(":")[2].strip() for line in file if line.partition(":")[0].strip() == name), "")
    except OSError:
        return ""
