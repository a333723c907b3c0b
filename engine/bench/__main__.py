"""`python -m engine.bench`: every promise of speed, measured; the exit code is 1 where one is missed."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from engine.bench.data import gather_against_copy, packing_against_pillow
from engine.bench.memory import Resident, resident_by_patches
from engine.bench.records import delong_against_scikit_learn, event_against_write
from engine.bench.timing import Result
from engine.bench.training import step_against_bare_loop, step_against_study_loop
from engine.device import choose_device, device_name, set_up
from engine.spec.config import TrainingConfig
from engine.spec.version import VERSION

MODELS = ("baseline", "vae-100", "vae-2000", "gan-bce")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    set_up(device, TrainingConfig())
    with tempfile.TemporaryDirectory(prefix="histotui-bench-") as name:
        folder = Path(name)
        resident = resident_by_patches(folder)
        results = []
        for result in run_all(folder, device):
            results.append(result)
            if not arguments.json:
                print(row(result), flush=True)
    if arguments.json:
        print(
            json.dumps(
                {"machine": machine(device), "results": [asdict(r) for r in results], "resident": asdict(resident)}
            )
        )
    else:
        print(describe_resident(resident), *(f"{key}: {value}" for key, value in machine(device).items()), sep="\n")
    return 0 if all(result.is_met for result in results) else 1


def run_all(folder: Path, device: torch.device) -> Iterator[Result]:
    yield gather_against_copy(folder)
    yield packing_against_pillow(folder)
    for preset in MODELS:
        yield step_against_bare_loop(folder, preset, device)
    yield step_against_study_loop(folder, device)
    yield delong_against_scikit_learn()
    yield event_against_write(folder)


def row(result: Result) -> str:
    """One line: ratio with its quartiles, goal, and what it means."""
    goal = f"{result.goal.kind} {result.goal.value:g}" if result.goal else "reported"
    mark = "met   " if result.is_met else "MISSED"
    low, high = result.spread
    return f"{result.name:<18} {result.ratio:6.2f} ({low:.2f} to {high:.2f})  {goal:<13} {mark}  {result.meaning}"


def describe_resident(resident: Resident) -> str:
    return (
        f"resident memory    {resident.bytes_per_patch:6.1f} bytes per patch beside the memory map, "
        f"from {resident.few:,} to {resident.many:,} patches"
    )


def machine(device: torch.device) -> dict[str, str]:
    return {
        "device": f"{device} ({device_name(device)})",
        "load": f"{os.getloadavg()[0]:.2f} at the end",
        "histotui": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


if __name__ == "__main__":
    sys.exit(main())
