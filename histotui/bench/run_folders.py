"""Run folders as engines leave them, many at a time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.spec.event_log import EventWriter
from engine.spec.events import Event, Metrics, Progress, RunFinished, RunStarted, StageStarted
from engine.spec.presets import PRESETS
from engine.spec.process import ProcessIdentity
from engine.spec.resolve import dump
from engine.spec.run_folder import RunFolder

PRESET = "vae-500"
_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_LOGGED = 200
_SCORE = {
    "trained_on": "synthetic", "tested_on": "real", "role": "answer", "n_test": 57458, "loss": 0.6, "accuracy": 0.7,
    "auc": 0.71, "auc_low": 0.70, "auc_high": 0.72, "ece": 0.1, "confusion": [[20000, 9000], [8000, 20458]],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Files:
    """What every run of a folder has the same."""

    config: bytes
    process: bytes
    events: bytes
    scores: bytes


def write_finished(root: Path, count: int) -> None:
    """So many finished runs, the first the oldest."""
    root.mkdir(parents=True, exist_ok=True)
    files = _files(root)
    for number in range(count):
        folder = RunFolder(root / run_id(number))
        folder.path.mkdir()
        folder.config.write_bytes(files.config)
        folder.process.write_bytes(files.process)
        folder.events.write_bytes(files.events)
        folder.scores.write_bytes(files.scores)
        write_name(folder, f"run {number}")


def write_name(folder: RunFolder, name: str) -> None:
    folder.meta.write_text(json.dumps({"name": name, "tags": ["bench"], "notes": ""}), encoding="utf-8")


def config_text() -> str:
    return json.dumps(dump(PRESETS[PRESET].config), indent=2)


def run_id(number: int) -> str:
    """Ids a minute apart."""
    stamp = (_FIRST + timedelta(minutes=number)).strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{PRESET}-{number % 65536:04x}"


def _files(root: Path) -> _Files:
    identity, log = root / ".process.json", root / ".events.jsonl"
    ProcessIdentity("elsewhere", "", 1, 1).write(identity)
    with EventWriter(log) as writer:
        for event in _story():
            writer.write(event)
    scores = json.dumps({"scores": [_SCORE, {**_SCORE, "role": "reference"}], "notes": []}).encode()
    return _Files(config_text().encode(), identity.read_bytes(), log.read_bytes(), scores)


def _story() -> Iterator[Event]:
    yield RunStarted(device="cuda:0")
    yield StageStarted(stage="generator")
    for step in range(0, 50 * _LOGGED, 50):
        yield Progress(stage="generator", step=step, total=50 * _LOGGED, rate=9000.0, seconds_left=60.0)
        yield Metrics(stage="generator", step=step, epoch=1, values={"recon": 400.0 / (step + 1), "kl": 30.0})
    yield RunFinished(seconds=600.0)
