"""Out of memory: what counts as it, and a failure that says what was needed and what to change."""

from typing import Final

import torch

from engine.device import compute_dtype, device_name, free_memory
from engine.preflight import Footprint, advice, footprints
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, DeviceError

_LATER: Final = "Resume the run when other processes leave it more"
_SAID: Final = ("DefaultCPUAllocator", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What PyTorch says of host memory, of a context and of a library's workspace, in plain RuntimeErrors."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, on whatever device and whoever asked for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)
    )


def explained(config: RunConfig, device: torch.device, stage: str, error: Exception) -> DeviceError:
    """The failure of a stage in the preflight's figures, with settings that would fit; the batch stays as it is."""
    said = str(error).partition("\n")[0]
    try:
        remedy = _remedy(config, device, stage)
    # Where a device has nothing left, it does not even say how much that is.
    except RuntimeError:
        remedy = _LATER
    return DeviceError(f"{device} ({device_name(device)}) ran out of memory in stage {stage}: {said}. {remedy}")


def _remedy(config: RunConfig, device: torch.device, stage: str) -> str:
    if stage == "synthesis":
        return f"Start the run anew with --set synthesis.batch_size={max(1, config.synthesis.batch_size // 2)}"
    dtype = compute_dtype(device, config.training)
    trained = {each.stage: each for each in _known(config, dtype)}.get("classifier" if stage == "reference" else stage)
    if trained is None:
        return _LATER
    had = free_memory(device) + _own_memory(device)
    figures = (
        f"By the preflight a step takes {trained.peak / 1e9:.1f} GB, most of it {trained.binds}, "
        f"and {had / 1e9:.1f} GB could be had"
    )
    if trained.peak <= had:
        return f"{figures}. {_LATER}"
    return f"{figures}. In a new run {advice(config, trained, had, dtype)}"


def _known(config: RunConfig, dtype: torch.dtype) -> list[Footprint]:
    try:
        return footprints(config, dtype)
    except ConfigError:
        return []


def _own_memory(device: torch.device) -> int:
    """Bytes that this process holds on the device."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - procfs
        return int(file.read().split()[1]) * 4096
