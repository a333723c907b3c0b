"""The application while eight runs log ten events a second: how soon it answers, and what it takes."""

import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from histotui.bench.measures import Measure, median_of
from histotui.bench.run_folders import run_id
from histotui.bench.starting import PROGRAM
from histotui.bench.terminal import Terminal, backgrounds

LIVE = 8
_PRESSES = 40
_SECONDS = 15.0
_SETTLED = 3.0
_DOWN, _UP, _LEFT = b"\x1b[B", b"\x1b[A", b"\x1b[D"
_STEP = re.compile(rb"step ([\d,]+)")


def answering(root: Path, environment: Mapping[str, str]) -> Iterator[Measure]:
    """Keys and processor time on the home screen, then on the screen of one run."""
    with eight_live_runs(root, environment), Terminal([*PROGRAM, "--runs", str(root)], environment) as terminal:
        terminal.wait(lambda heard: b"live 0" in heard)
        terminal.rest(_SETTLED)
        yield median_of("key, home", list(_moves(terminal)), "ms", "down or up to the highlighted row's paint", 50)
        yield _cpu(terminal, "home")
        terminal.press(b"\r")
        terminal.wait(lambda heard: b"Curves" in heard and b"recon" in heard)
        terminal.press(b"g")
        terminal.rest(_SETTLED)
        yield median_of("key, run", list(_readings(terminal)), "ms", "left to the values at the cursor's step", 50)
        yield _cpu(terminal, "run")


@contextmanager
def eight_live_runs(root: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Runs that live and log, newer than all others, `live 0` the newest."""
    folders = [str(root / f"{run_id(900_000 - number)[:-4]}000{number}") for number in range(LIVE)]
    command = [sys.executable, "-P", "-m", "histotui.bench.writer", *folders]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        yield


def _moves(terminal: Terminal) -> Iterator[float]:
    """Milliseconds of each move of the highlight."""
    terminal.press(_DOWN)
    terminal.rest(1.0)
    highlight = backgrounds(terminal.heard, b"live 1")[0]
    waits, place = random.Random(0), 1
    for number in range(_PRESSES):
        down = number // (LIVE - 2) % 2 == 0
        place += 1 if down else -1
        name = b"live %d" % place
        terminal.rest(waits.uniform(0.2, 0.45))
        pressed = terminal.press(_DOWN if down else _UP)
        painted = terminal.wait(lambda heard, name=name: highlight in backgrounds(heard, name))  # type: ignore[misc]
        yield 1000 * (painted - pressed)


def _readings(terminal: Terminal) -> Iterator[float]:
    """Milliseconds of each move of the chart's cursor."""
    terminal.press(_LEFT)
    terminal.rest(1.0)
    waits, before = random.Random(0), _STEP.findall(terminal.heard)[-1]
    for _ in range(_PRESSES):
        terminal.rest(waits.uniform(0.2, 0.45))
        pressed = terminal.press(_LEFT)
        painted = terminal.wait(lambda heard, before=before: set(_STEP.findall(heard)) - {before})  # type: ignore[misc]
        before = _STEP.findall(terminal.heard)[-1]
        yield 1000 * (painted - pressed)


def _cpu(terminal: Terminal, screen: str) -> Measure:
    began = terminal.cpu_seconds()
    terminal.rest(_SECONDS)
    share = (terminal.cpu_seconds() - began) / _SECONDS
    return Measure(f"processor, {screen}", 100 * share, "%", f"of a core over {_SECONDS:g} s without a key", 15)
