"""Stands in for the engine: a run that waits in its middle for the file `go` beside the runs; refuses to compare."""

import json
import sys
import time
from pathlib import Path

import fake_engine

from engine.spec.event_log import EventWriter
from engine.spec.events import Metrics, Progress, RunStarted, StageStarted
from engine.spec.process import ProcessIdentity, RunLock
from engine.spec.run_folder import RunFolder

HALF, TOTAL = 20, 40
HOSTILE = (
    "\x1b]52;c;aGlzdG8=\x07\x1b]0;title\x1b\\\x1b[6n\x1bc\x9b31m\x90q\x9c\x00\x07\x08\x7f\u202egnp\u2066\u2028"
    "[/b][@click=app.bell]x[/][red]"
)
_GIVEN_UP = 180.0
"""Seconds after which it ends, so that a test that fails doesn't leave it behind for good."""


def main(arguments: list[str]) -> int:
    if arguments[:2] == ["answer", "comparison"]:
        print(json.dumps({"error": {"type": "DataError", "message": f"refused{HOSTILE}", "exit_code": 3}}))
        return 3
    if arguments[0] == "answer":
        return fake_engine.main(arguments)
    folder = RunFolder(Path(arguments[0]))
    lock = RunLock(folder.lock)
    lock.acquire()
    ProcessIdentity.current().write(folder.process)
    with EventWriter(folder.events) as events:
        events.write(RunStarted(device="cpu (paced)"))
        events.write(StageStarted(stage="classifier"))
        _log(events, range(1, HALF + 1))
        deadline = time.monotonic() + _GIVEN_UP
        while not go_file(folder.path.parent).exists():
            if time.monotonic() > deadline:
                return 1
            time.sleep(0.02)
        _log(events, range(HALF + 1, TOTAL + 1))
        return fake_engine.finish(folder, events)


def go_file(runs: Path) -> Path:
    """The file whose being there lets every run of this folder go on."""
    return runs.with_name("go")


def _log(events: EventWriter, steps: range) -> None:
    for step in steps:
        events.write(Progress(stage="classifier", step=step, total=TOTAL))
        events.write(Metrics(stage="classifier", step=step, epoch=1, values={"bce": 1 / step}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
