"""What is foreseen of a run: its duration by earlier ones, and what is odd about it."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.outlook import cautions, expected_duration, expected_training
from engine.spec.config import RunConfig
from engine.spec.event_log import EventWriter
from engine.spec.events import Resumed, RunStarted, StageFinished
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder

DEVICE = "cpu (fake, 2 threads)"
VAE = apply(PRESETS["vae-100"].config, [{"generator": {"epochs": 10}, "classifier": {"epochs": 4}}])


def earlier(runs: Path, run_id: str, config: RunConfig, seconds: dict[str, float], *, resumed: bool = False) -> None:
    """A run on 1000 training patches whose stages took so long."""
    folder = RunFolder(runs / run_id)
    folder.data.mkdir(parents=True)
    folder.config.write_text(json.dumps(dump(config)))
    (folder.data / "manifest.json").write_text(json.dumps({"counts": {"train": {"normal": 600, "tumour": 400}}}))
    with EventWriter(folder.events) as writer:
        writer.write(RunStarted(device=DEVICE))
        if resumed:
            writer.write(Resumed(device=DEVICE))
        for stage, took in seconds.items():
            writer.write(StageFinished(stage=stage, seconds=took))


LENT = {"generator": None, "synthesis": {"source": "/runs/one"}}
SECONDS = {"prepare": 9.0, "generator": 100.0, "synthesis": 2.0, "classifier": 40.0, "reference": 40.0}


def test_duration_goes_with_epochs_and_patches(tmp_path: Path) -> None:
    earlier(tmp_path, "20251123-154501-vae-100-a1b2", VAE, SECONDS)
    wanted = apply(VAE, [{"generator": {"epochs": 30, "learning_rate": 0.1}}])
    found = expected_duration(wanted, 2000, DEVICE, tmp_path)
    assert found is not None and found.runs == ("20251123-154501-vae-100-a1b2",)
    assert found.seconds == pytest.approx(100 * 3 * 2 + 2 * 2 + 2 * (40 * 2))


@pytest.mark.parametrize(
    ("changes", "device"),
    [
        ({"generator": {"latent_dim": 99}}, DEVICE),
        ({"classifier": {"batch_size": 64}}, DEVICE),
        ({"data": {"crop": 32}}, DEVICE),
        ({"generator": {"kind": "gan"}}, DEVICE),
        ({}, "cuda:0 (another)"),
    ],
)
def test_without_a_like_run_nothing_is_made_up(changes: dict[str, Any], device: str, tmp_path: Path) -> None:
    earlier(tmp_path, "20251123-154501-vae-100-a1b2", VAE, SECONDS)
    assert expected_duration(apply(VAE, [changes]), 1000, device, tmp_path) is None
    assert expected_duration(VAE, 1000, DEVICE, tmp_path / "none") is None


def test_runs_that_were_resumed_or_are_damaged_measure_nothing(tmp_path: Path) -> None:
    earlier(tmp_path, "20251123-154501-vae-100-a1b2", VAE, SECONDS, resumed=True)
    earlier(tmp_path, "20251124-154501-vae-100-a1b2", VAE, SECONDS)
    (tmp_path / "20251124-154501-vae-100-a1b2" / "config.json").write_text("{")
    assert expected_duration(VAE, 1000, DEVICE, tmp_path) is None


@pytest.mark.parametrize(("stage", "says"), [("generator", "run"), ("reference", "source_run")])
def test_what_a_run_has_taken_from_another_is_no_measure(stage: str, says: str, tmp_path: Path) -> None:
    earlier(tmp_path, "20251123-154501-vae-100-a1b2", VAE, SECONDS)
    earlier(tmp_path, "20251124-154501-vae-100-a1b2", VAE, {**SECONDS, stage: 0.01})
    final = tmp_path / "20251124-154501-vae-100-a1b2" / "checkpoints" / stage / "final"
    final.mkdir(parents=True)
    for meta in ({says: "20251123-154501-vae-100-a1b2"}, {says: None}):
        (final / "state.json").write_text(json.dumps(meta))
        found = expected_duration(VAE, 1000, DEVICE, tmp_path)
        assert found is not None
        assert (found.seconds == pytest.approx(100 + 2 + 40 + 40)) is (meta[says] is not None)


def test_stages_may_be_measured_by_different_runs(tmp_path: Path) -> None:
    earlier(tmp_path, "20251123-154501-vae-100-a1b2", VAE, {"generator": 100.0, "synthesis": 2.0})
    baseline = apply(PRESETS["baseline"].config, [{"classifier": {"epochs": 4}}])
    earlier(tmp_path, "20251124-154501-baseline-a1b2", baseline, {"classifier": 40.0})
    found = expected_duration(VAE, 1000, DEVICE, tmp_path)
    assert found is not None and found.seconds == pytest.approx(100 + 2 + 40 + 40)
    assert len(found.runs) == 2


def test_copying_an_earlier_run_s_patches_takes_no_time_to_speak_of(tmp_path: Path) -> None:
    baseline = apply(PRESETS["baseline"].config, [{"classifier": {"epochs": 4}}])
    earlier(tmp_path, "20251123-154501-baseline-a1b2", baseline, {"classifier": 40.0})
    both = {"synthesis": {"source": "/runs/one"}, "classifier": {"train_on": "both"}}
    found = expected_duration(apply(baseline, [both]), 1000, DEVICE, tmp_path)
    assert found is not None and found.seconds == pytest.approx(2 * 40 + 40)


@pytest.mark.parametrize(
    ("splits", "changes", "patches"),
    [
        ({"train": 900, "test": 100}, {}, 900),
        ({"train": 900, "test": 100}, {"split": "hash"}, 750),
        ({"unassigned": 1000}, {"test_fraction": 0.4}, 600),
        ({"train": 900, "test": 100}, {"limit": 50}, 50),
    ],
)
def test_training_patches_are_counted(splits: dict[str, int], changes: dict[str, Any], patches: int) -> None:
    config = apply(RunConfig(), [{"data": changes}])
    assert expected_training(config, {"splits": splits, "patches": 1000}) == patches


COUNTS = {"train": {"normal": 700, "tumour": 200}, "test": {"normal": 1, "tumour": 99}}


@pytest.mark.parametrize(
    ("changes", "counts", "patches"),
    [
        ({"train_share": 0.1}, COUNTS, 70 + 20),
        ({"train_share": 0.1}, {}, 45 + 45),
        ({"tumour_share": 0.25}, COUNTS, 700 + 50),
        ({"train_share": 0.5, "tumour_share": 0.25}, COUNTS, 350 + 25),
        ({"limit": 90, "train_share": 0.5}, COUNTS, 35 + 10),
    ],
)
def test_shares_are_counted_class_by_class(changes: dict[str, Any], counts: dict[str, Any], patches: int) -> None:
    data = {"splits": {"train": 900, "test": 100}, "patches": 1000, "counts": counts}
    assert expected_training(apply(RunConfig(), [{"data": changes}]), data) == patches


@pytest.mark.parametrize(
    ("changes", "found", "said"),
    [
        ({"data": {"tumour_share": 0.3}}, {}, "leave about 5 normal and 1 tumour patches to train on"),
        ({}, {"provenance": "tissue"}, "say nothing about real tissue"),
        ({}, {"provenance": "synthetic"}, "synthetic patches of another run"),
        ({}, {"splits": {"unassigned": 9}}, "patches of one slide may be in training and in test"),
        ({"classifier": {"validation": "official"}}, {}, "no validation split: the run would fail"),
        ({"classifier": {"train_on": "real"}}, {}, "made and not trained on"),
        ({**LENT, "classifier": {"train_on": "real"}}, {}, "taken and not trained on"),
        (LENT, {"provenance": "synthetic"}, "no real ones are trained on"),
        (
            {"classifier": {"train_on": "both", "synthetic_proportion": 0.75}},
            {},
            "than synthesis.ratio makes: the run would fail; set it to 3.00",
        ),
    ],
)
def test_what_is_odd_is_said(changes: dict[str, Any], found: dict[str, Any], said: str) -> None:
    data = {"provenance": "real", "splits": {"train": 9, "test": 3}, "patches": 12}
    assert cautions(VAE, data) == []
    (caution,) = cautions(apply(VAE, [changes]), data | found)
    assert said in caution
