"""`python -m histotui.bench.writer FOLDER...`: a live run in each folder, ten events a second, until stdin ends."""

import math
import select
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from engine.spec.event_log import EventWriter
from engine.spec.events import Event, Metrics, Progress, RunStarted, StageStarted
from engine.spec.process import ProcessIdentity, RunLock
from engine.spec.run_folder import RunFolder
from histotui.bench.run_folders import config_text, write_name

EVERY = 0.1
_LOGGED = 2000
_TOTAL = 1_000_000


def main() -> None:
    """Say "ready" once every run lives, then write."""
    folders = [RunFolder(Path(name)) for name in sys.argv[1:]]
    with ExitStack() as stack:
        writers = [stack.enter_context(_begin(folder, stack)) for folder in folders]
        print("ready", flush=True)
        step, due = _LOGGED, time.monotonic()
        while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
            step, due = step + 1, due + EVERY
            for writer in writers:
                writer.write(_said(step, time.time()))


def _begin(folder: RunFolder, stack: ExitStack) -> EventWriter:
    folder.path.mkdir(parents=True)
    write_name(folder, f"live {folder.id[-1]}")
    folder.config.write_text(config_text(), encoding="utf-8")
    stack.enter_context(RunLock(folder.lock))
    ProcessIdentity.current().write(folder.process)
    writer = EventWriter(folder.events)
    for event in _history(time.time() - _LOGGED * EVERY):
        writer.write(event)
    return writer


def _history(began: float) -> Iterator[Event]:
    yield RunStarted(time=began, device="cuda:0")
    yield StageStarted(time=began, stage="generator")
    for step in range(_LOGGED):
        yield _said(step, began + step * EVERY)


def _said(step: int, at: float) -> Event:
    """Metrics and progress in turns."""
    if step % 2:
        return Progress(time=at, stage="generator", step=50 * step, total=_TOTAL, rate=9000.0, seconds_left=600.0)
    values = {
        "recon": 400 * math.exp(-step / 900) + 8 * math.sin(step),
        "kl": 30 + 4 * math.sin(step / 7),
        "grad_norm": 1 + 0.5 * math.cos(step * 1.7),
    }
    return Metrics(time=at, stage="generator", step=50 * step, epoch=step // 200, values=values)


if __name__ == "__main__":
    main()
