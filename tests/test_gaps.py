"""How far a run is, and how far its answer is from real patches."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.spec.events import Progress
from engine.spec.process import ProcessIdentity
from engine.spec.run_folder import RunFolder
from histotui.gaps import gap_to_baseline, gap_to_reference
from histotui.summary import RunSummary, fraction_done, latest_progress, summarize


def run(run_id: str, *scores: dict[str, Any], fingerprint: str = "f", created: float = 0.0) -> RunSummary:
    folder = RunFolder(Path(run_id))
    return RunSummary(folder, "", "", "finished", "", created, None, "", {}, scores, fingerprint=fingerprint)


def answer(auc: float, trained_on: str = "synthetic", n_test: int = 100) -> dict[str, Any]:
    return {"role": "answer", "trained_on": trained_on, "auc": auc, "n_test": n_test}


REFERENCE = {"role": "reference", "trained_on": "real", "auc": 0.75}
OLD = run("old", answer(0.5, "real"), created=1.0)
NEW = run("new", answer(0.875, "real"), created=2.0)


def test_the_gap_within_a_run() -> None:
    assert gap_to_reference(run("r", answer(0.5), REFERENCE)) == -0.25
    assert gap_to_reference(run("r", answer(0.5))) is None
    assert gap_to_reference(run("r", REFERENCE)) is None
    assert gap_to_reference(run("r")) is None


@pytest.mark.parametrize(
    ("found", "others", "gap"),
    [
        (run("r", answer(0.5), REFERENCE), [NEW], -0.25),
        (run("r", answer(0.5)), [OLD, NEW], -0.375),
        (run("r", answer(0.5)), [NEW, OLD], -0.375),
        (run("r", answer(0.5)), [], None),
        (run("r", answer(0.5)), [replace(NEW, state="failed"), OLD], 0.0),
        (run("r", answer(0.5)), [run("s", answer(0.9))], None),
        (run("r", answer(0.5), fingerprint="g"), [NEW], None),
        (run("r", answer(0.5), fingerprint=""), [replace(NEW, fingerprint="")], None),
        (run("r", answer(0.5, n_test=50)), [NEW], None),
        (run("r", answer(0.5)), [run("t", answer(0.625, "tissue"))], -0.125),
        (run("r", answer(0.5, "both")), [NEW], -0.375),
        (OLD, [OLD, NEW], None),
        (run("r"), [NEW], None),
    ],
)
def test_the_gap_across_runs(found: RunSummary, others: list[RunSummary], gap: float | None) -> None:
    assert gap_to_baseline(found, others) == gap


def on(found: RunSummary, crop: int = 64, source: str = "/data/pcam", **classifier: Any) -> RunSummary:
    """The run with a config of its own."""
    recipe = {"train_on": "synthetic", "synthetic_proportion": 0.5, "epochs": 20, **classifier}
    return replace(found, config={"data": {"source": source, "crop": crop}, "classifier": recipe})


BASELINE = on(NEW, train_on="real")


@pytest.mark.parametrize(
    ("found", "others", "gap"),
    [
        (on(run("r", answer(0.5))), [BASELINE], -0.375),
        (on(run("r", answer(0.5, "both")), train_on="both", synthetic_proportion=0.9), [BASELINE], -0.375),
        # The fingerprint is that of whole patches, of which another crop shows something else.
        (on(run("r", answer(0.5)), crop=96), [BASELINE], None),
        (on(run("r", answer(0.5)), epochs=21), [BASELINE], None),
        (on(run("r", answer(0.5)), channels=32), [BASELINE], None),
        (on(run("r", answer(0.5))), [on(OLD, train_on="real"), on(NEW, train_on="real", epochs=1)], 0.0),
    ],
)
def test_a_baseline_is_the_same_classifier_on_the_same_patches(
    found: RunSummary, others: list[RunSummary], gap: float | None
) -> None:
    assert gap_to_baseline(found, others) == gap


LENDER = "20261102-000000-vae-500-bbbb"


@pytest.mark.parametrize(
    ("source", "n_test", "gap"),
    [
        (f"runs/{LENDER}", 100, -0.375),
        (f"/elsewhere/{LENDER}/", 100, -0.375),
        (f"runs/{LENDER}", 50, None),
        ("runs/20261102-000000-vae-500-cccc", 100, None),
    ],
)
def test_a_run_on_the_synthetic_set_of_another_is_measured_from_the_real_patches_behind_that(
    source: str, n_test: int, gap: float | None
) -> None:
    lender = on(run(LENDER, answer(0.7), REFERENCE))
    borrower = on(run("r", answer(0.5, n_test=n_test), fingerprint="of synthetic"), source=source, train_on="real")
    assert gap_to_baseline(borrower, [BASELINE, lender]) == gap


def progress(stage: str, step: int) -> dict[str, Any]:
    return {"type": "progress", "time": 5.0, "stage": stage, "step": step, "total": 10, "seconds_left": 3.0}


@pytest.mark.parametrize(
    ("lines", "step"),
    [
        ([progress("generator", 3), progress("generator", 4)], 4),
        ([progress("generator", 4), {"type": "metrics", "stage": "generator", "step": 4, "epoch": 1, "values": {}}], 4),
        ([progress("generator", 4), {"type": "unheard_of"}, "torn"], 4),
        ([progress("generator", 4), {"type": "stage_finished", "stage": "generator", "seconds": 1.0}], None),
        ([progress("generator", 4), {"type": "stage_started", "stage": "synthesis"}], None),
        ([{"type": "run_started"}], None),
        ([], None),
        ([progress("generator", 4)] + [{"type": "warning", "stage": "generator", "message": "x" * 100}] * 1000, None),
    ],
)
def test_progress_from_the_end_of_a_log(tmp_path: Path, lines: list[Any], step: int | None) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text("".join(line if line == "torn" else json.dumps(line) + "\n" for line in lines))
    found = latest_progress(log)
    assert (found and found.step) == step
    assert latest_progress(tmp_path / "none") is None


def test_only_a_live_run_has_progress(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r")
    folder.path.mkdir()
    folder.config.write_text("{}")
    folder.events.write_text(json.dumps(progress("classifier", 4)) + "\n")
    ProcessIdentity.current().write(folder.process)
    live = summarize(folder)
    assert live.progress is not None and live.progress.seconds_left == 3.0
    replace(ProcessIdentity.current(), start_time=1).write(folder.process)
    assert summarize(folder).progress is None


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        ({"state": "finished", "stage": "evaluation"}, 1.0),
        ({"state": "stopped", "stage": "classifier"}, 0.25),
        (
            {"state": "running", "stage": "classifier", "progress": Progress(stage="classifier", step=5, total=10)},
            0.375,
        ),
        ({"state": "running", "stage": "classifier", "progress": Progress(stage="classifier", step=50, total=10)}, 0.5),
        ({"state": "running", "stage": "prepare", "progress": Progress(stage="prepare", step=5, total=0)}, 0.0),
        ({"state": "queued", "stage": ""}, None),
        ({"state": "running", "stage": "of a newer version"}, None),
    ],
)
def test_how_much_is_done(changes: dict[str, Any], done: float | None) -> None:
    # prepare, classifier, reference, evaluation
    assert fraction_done(replace(run("r"), **changes)) == done
