"""Stands in for the engine: writes the events of a run that FAKE_ENGINE names, and answers queries without torch."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from engine.spec.errors import Stopped
from engine.spec.event_log import EventWriter, read_first
from engine.spec.events import (
    ImageSaved,
    Metrics,
    Progress,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    Scored,
    StageFinished,
    StageStarted,
    Warned,
)
from engine.spec.process import ProcessIdentity, RunLock
from engine.spec.run_folder import RunFolder

ENDS_AT_ONCE = {"die-first": 9, "locked": 3}
FAILURES = {
    "fail": ("RuntimeError", 1),
    "diverge": ("Diverged", 4),
    "nodata": ("DataError", 3),
    "badconfig": ("ConfigError", 2),
}


def score(**changes: object) -> dict[str, object]:
    """A score as scores.json has it."""
    point = {"threshold": 0.4, "accuracy": 0.5, "sensitivity": 0.5, "specificity": 0.5, "confusion": [[5, 5], [5, 5]]}
    return {
        "trained_on": "synthetic",
        "tested_on": "tissue",
        "role": "answer",
        "data": "built-in tissue",
        "n_train": 1800,
        "n_train_tumour": 900,
        "n_test": 600,
        "n_test_tumour": 300,
        "loss": 0.6931,
        "accuracy": 0.7125,
        "auc": 0.7503,
        "auc_low": 0.7111,
        "auc_high": 0.7899,
        "interval": "DeLong, 95 %",
        "ece": 0.0512,
        "sensitivity": 0.6,
        "specificity": 0.825,
        "confusion": [[247, 53], [120, 180]],
        "at_validation_threshold": point,
        "selected_on": "held-out synthetic",
        "selected_epoch": 7,
        "roc": {"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]},
        "bootstrap_low": None,
        "bootstrap_high": None,
        "source_run": None,
        **changes,
    }


def main(arguments: list[str]) -> int:
    if arguments[0] == "answer":
        return answer(arguments[1], json.loads(arguments[2]))
    folder = RunFolder(Path(arguments[0]))
    mode = os.environ.get("FAKE_ENGINE", "finish")
    print(f"engine log: {mode}", flush=True)
    if mode in ENDS_AT_ONCE:
        return ENDS_AT_ONCE[mode]
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    lock = RunLock(folder.lock)
    lock.acquire()
    ProcessIdentity.current().write(folder.process)
    with EventWriter(folder.events) as events:
        return work(folder, mode, events, asked)


def work(folder: RunFolder, mode: str, events: EventWriter, asked: list[int]) -> int:
    first = read_first(folder.events) is None
    events.write(RunStarted(device="cpu (fake)") if first else Resumed(device="cpu (fake)"))
    events.write(StageStarted(stage="prepare"))
    events.write(Warned(stage="prepare", message="patches of one slide may fall on both sides"))
    events.write(StageFinished(stage="prepare", seconds=0.5))
    events.write(StageStarted(stage="classifier"))
    events.write(Progress(stage="classifier", step=50, total=100, epoch=1, epochs=2, rate=123.4, seconds_left=61.0))
    events.write(Metrics(stage="classifier", step=50, epoch=1, values={"cross_entropy": 0.6543}))
    if mode == "die":
        print("Killed by it", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if mode in FAILURES:
        error, code = FAILURES[mode]
        message = "something \x1b]52;c;aGk=\x07 went wrong"
        events.write(RunFailed(error=error, message=message, exit_code=code, stage="classifier"))
        return code
    if mode in ("slow", "stubborn", "saving"):
        # A test that fails must not leave it behind for good.
        deadline = time.monotonic() + 60
        while (not asked or mode == "stubborn") and time.monotonic() < deadline:
            time.sleep(0.02)
        if mode == "saving":
            time.sleep(1)
            if len(asked) > 1:
                os._exit(128 + signal.SIGTERM)
        events.write(RunStopped(stage="classifier"))
        return Stopped.exit_code
    return finish(folder, events)


def finish(folder: RunFolder, events: EventWriter) -> int:
    samples = folder.samples / "classifier"
    samples.mkdir(parents=True)
    (samples / "step-000050.png").write_bytes(b"")
    events.write(ImageSaved(stage="classifier", step=50, path="samples/classifier/step-000050.png"))
    events.write(StageFinished(stage="classifier", seconds=1.5))
    sheet = {"scores": [score(), score(role="reference", trained_on="tissue", auc=0.9123)], "notes": ["small test set"]}
    folder.scores.write_text(json.dumps(sheet))
    events.write(
        Scored(
            trained_on="synthetic",
            tested_on="tissue",
            role="answer",
            n_test=600,
            accuracy=0.7125,
            auc=0.7503,
            auc_low=0.7111,
            auc_high=0.7899,
        )
    )
    events.write(RunFinished(seconds=2.5))
    return 0


def answer(query: str, body: dict[str, object]) -> int:
    mode = os.environ.get("FAKE_ANSWER", "fits")
    print(json.dumps({"progress": {"what": "memory", "done": 1, "total": 2}}), flush=True)
    if mode == "silent":
        print("Traceback: no libcuda", file=sys.stderr)
        return 1
    if mode == "error":
        print(json.dumps({"error": {"type": "DataError", "message": "no patches there", "exit_code": 3}}))
        return 3
    result = {
        "device": "cpu",
        "device_name": "fake",
        "parameters": 1234567,
        "peak_bytes": 2_000_000_000,
        "available_bytes": 8_000_000_000 if mode == "fits" else 1_000_000_000,
        "binds": "activations",
        "fits": mode == "fits",
        "advice": "--set classifier.batch_size=16 would fit",
        "disk_bytes": 1000,
        "disk_free_bytes": 10_000,
        "data": {"name": "built-in tissue", "patches": 10_000},
        "warnings": ["the patches are odd"],
        "fingerprint": os.environ.get("FAKE_FINGERPRINT", ""),
        "query": query,
        "asked": body,
    }
    print(json.dumps({"result": result}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
