"""Who else is on a GPU is told before a run is started there: with a driver's library that is faked."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from engine import neighbours, preflight
from engine.device_queue import DeviceQueue
from engine.neighbours import neighbour_cautions
from engine.spec.config import RunConfig

GPU = torch.device("cuda", 0)


@dataclass(frozen=True)
class Process:
    """As NVML tells of one."""

    pid: int
    usedGpuMemory: int | None  # noqa: N815 - NVML's own


@pytest.fixture
def on_it(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    found: list[Process] = []
    library = neighbours.pynvml
    monkeypatch.setattr(library, "nvmlInit", lambda: None)
    monkeypatch.setattr(library, "nvmlDeviceGetHandleByUUID", lambda uuid: uuid)
    monkeypatch.setattr(library, "nvmlDeviceGetComputeRunningProcesses", lambda handle: found)
    monkeypatch.setattr(neighbours, "device_key", lambda device: f"GPU-{device.index}")
    return found


@pytest.fixture
def engine() -> Iterator[int]:
    """A process whose command is that of this user's engines."""
    with subprocess.Popen([sys.executable, "-c", "input()", "-m", "engine", "run"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def test_others_are_named_with_what_they_hold(on_it: list[Process], tmp_path: Path) -> None:
    on_it += [Process(os.getpid(), 12_000_000_000), Process(1, None), Process(999_999_999, 5)]
    (said,) = neighbour_cautions([GPU], DeviceQueue(tmp_path))
    assert said.startswith(f"cuda:0: process {os.getpid()} of ") and ", 12.0 GB, process 1 of root" in said
    assert "999999999" not in said


def test_ones_own_engines_are_no_neighbours_but_waited_for(on_it: list[Process], engine: int, tmp_path: Path) -> None:
    on_it.append(Process(engine, 1))
    queue = DeviceQueue(tmp_path)
    assert neighbour_cautions([GPU], queue) == []
    with DeviceQueue(tmp_path) as held:
        held.take(["GPU-0"], lambda *_: None, lambda: None)
        assert neighbour_cautions([GPU], queue) == ["Another run is at work on cuda:0: this one will wait for it."]
        assert neighbour_cautions([GPU, torch.device("cuda", 1)], queue) == []
    assert neighbour_cautions([GPU], queue) == []


def test_no_driver_and_a_processor_say_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent() -> None:
        raise neighbours.pynvml.NVMLError(1)

    monkeypatch.setattr(neighbours.pynvml, "nvmlInit", absent)
    assert neighbour_cautions([GPU, torch.device("cpu")], DeviceQueue(tmp_path)) == []


def test_the_preflight_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "neighbour_cautions", lambda devices, queue: [f"somebody is on {devices[0]}"])
    monkeypatch.setattr(preflight.logout, "cautions", lambda: ["logging out ends it"])
    assert preflight._around(RunConfig()) == ["somebody is on cpu", "logging out ends it"]
