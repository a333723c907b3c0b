"""What the engine's log says to people: a line for each thing that matters, safe to show."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.narration import narrate
from engine.spec.event_log import EventReader, EventWriter
from engine.spec.events import (
    Event,
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
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder
from histotui.launcher import environment
from histotui.text import is_clean

SMALL = {
    "data": {"crop": 16, "tissue": {"train": 120, "test": 60, "slides": 4}},
    "classifier": {"epochs": 2, "batch_size": 8, "channels": 2},
    "training": {"threads": 1, "checkpoint_seconds": 0},
}
STAMP = "2026-11-23 15:45:01Z  "
MOMENT = 1795448701.4


pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / "one")
    folder.path.mkdir(parents=True)
    folder.config.write_text(json.dumps(dump(apply(PRESETS["baseline"].config, [SMALL]))))
    return folder


def scored() -> Scored:
    return Scored(
        time=MOMENT, trained_on="synthetic", tested_on="real", role="answer", n_test=600, accuracy=0.71254, auc=0.75,
        auc_low=0.7, auc_high=0.8,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (RunStarted(time=MOMENT, version="9", device="cpu (x)"), "started on cpu (x), histotui 9"),
        (Resumed(time=MOMENT, version="9", device="cpu (x)"), "resumed on cpu (x), histotui 9"),
        (StageStarted(time=MOMENT, stage="generator"), "generator: started"),
        (StageFinished(time=MOMENT, stage="generator", seconds=3725.04), "generator: finished in 3725.0 s"),
        (Warned(time=MOMENT, stage="prepare", message="few slides"), "prepare: warning: few slides"),
        (Warned(time=MOMENT, stage="p", message="a\x1b[2J\nb\u202e"), "p: warning: a\\x1b[2J\\nb\\u202e"),
        (
            scored(),
            "answer: trained on synthetic, tested on 600 real patches: AUC 0.7500 (0.7000 to 0.8000), accuracy 0.7125",
        ),
        (RunFinished(time=MOMENT, seconds=12.34), "finished in 12.3 s"),
        (RunStopped(time=MOMENT, stage="generator"), "stopped in stage generator; it can be resumed"),
        (RunStopped(time=MOMENT, stage=""), "stopped before its first stage; it can be resumed"),
        (
            RunFailed(time=MOMENT, error="Diverged", message="kl", exit_code=4, stage="generator"),
            "failed in stage generator, exit code 4",
        ),
    ],
)
def test_an_event_is_a_line(event: Event, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    narrate(event)
    assert capfd.readouterr() == ("", f"{STAMP}{said}\n")


@pytest.mark.parametrize(
    "event",
    [
        Metrics(stage="generator", step=1, epoch=1, values={"kl": 1.0}),
        Progress(stage="generator", step=1, total=2),
        # What the engine writes before it fails has an error beside it, and no device yet.
        RunStarted(version="9"),
    ],
)
def test_other_events_are_not(event: Event, capfd: pytest.CaptureFixture[str]) -> None:
    narrate(event)
    assert capfd.readouterr() == ("", "")


def test_a_listener_hears_what_is_written(tmp_path: Path) -> None:
    heard: list[Event] = []
    metrics = [Metrics(time=MOMENT, stage="generator", step=step, epoch=1, values={"kl": 1.0}) for step in (1, 2)]
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.write(metrics[0])
    with EventWriter(path, heard.append) as events:
        for event in metrics:
            events.write(event)
    assert heard == metrics[1:]


def test_the_log_of_a_run_from_its_start_to_its_score(run: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([str(run.path)]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  \S", line) and is_clean(line) for line in lines)
    said = [re.sub(r"\d+\.\d+", "#", line[len(STAMP) :]) for line in lines]
    assert said[0].startswith("started on cpu")
    assert [line for line in said[1:] if "warning" not in line] == [
        "prepare: started", "prepare: finished in # s", "classifier: started", "classifier: finished in # s",
        "evaluation: started", "answer: trained on tissue, tested on 60 tissue patches: AUC # (# to #), accuracy #",
        "evaluation: finished in # s", "finished in # s",
    ]  # fmt: skip
    warnings = [event.message for event in EventReader(run.events).read() if isinstance(event, Warned)]
    assert [line for line in said if "warning" in line] == [f"prepare: warning: {message}" for message in warnings]


def test_a_run_that_goes_on_says_from_where(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("engine.fitting.Fit._log_metrics", stop)
        assert main([str(run.path)]) == 75
    assert capfd.readouterr().err.endswith("Z  stopped in stage classifier; it can be resumed\n")
    assert main([str(run.path)]) == 0
    said = [line[len(STAMP) :] for line in capfd.readouterr().err.splitlines()]
    assert said[0].startswith("resumed on cpu")
    assert re.fullmatch("classifier: goes on from its checkpoint of step 1 of [0-9]+", said[2]), said


def test_an_error_of_many_lines_stays_one_and_cannot_act_on_a_terminal(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("first\nsecond \x1b]0;title\x07")

    monkeypatch.setattr("engine.stages.classifier.training_set", fail)
    assert main([str(run.path)]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert all(map(is_clean, lines))
    assert lines[-3:-1] == ["RuntimeError: first", "second \\x1b]0;title\\x07"]
    assert lines[-1].endswith("Z  failed in stage classifier, exit code 1")


def test_a_log_that_cannot_be_written_to_does_not_end_the_run(run: RunFolder) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-P", "-m", "engine", str(run.path)]
        assert subprocess.run(command, stderr=full, env=environment(), check=False).returncode == 0
    assert isinstance(EventReader(run.events).read()[-1], RunFinished)
