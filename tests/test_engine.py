"""The engine's edge: exit codes, last events, and what a failing run leaves behind."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toys import CPU, same

from engine import checkpoints
from engine.__main__ import main
from engine.checkpoints import CheckpointFolder
from engine.context import Context
from engine.control import StopFlag
from engine.earlier_runs import circumstances
from engine.generators.vae import Vae
from engine.monitoring import samples
from engine.spec.config import RunConfig
from engine.spec.config_parts import FitConfig
from engine.spec.errors import StorageError
from engine.spec.event_log import EventReader, EventWriter, read_last
from engine.spec.events import (
    CheckpointSaved,
    ImageSaved,
    Metrics,
    Progress,
    RunFailed,
    RunFinished,
    StageFinished,
    Warned,
)
from engine.spec.presets import PRESETS
from engine.spec.process import ProcessIdentity, RunLock
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder
from engine.spec.scores import read_score_trees
from engine.stages import classifier
from engine.trainer import Trainer

SMALL = {
    "data": {"crop": 16, "tissue": {"train": 120, "test": 60, "slides": 4}},
    "classifier": {"epochs": 2, "batch_size": 8, "channels": 2},
    "training": {"threads": 1},
}
SMALL_VAE = {"generator": {"epochs": 2, "batch_size": 8, "latent_dim": 4, "channels": 2}}


DIVERGING = {"learning_rate": 1.0, "kl_weight": 1000.0, "epochs": 60}


pytestmark = pytest.mark.usefixtures("in_process")


def make_run(tmp_path: Path, preset: str, *changes: dict[str, Any]) -> RunFolder:
    run = RunFolder(tmp_path / "runs" / "one")
    run.path.mkdir(parents=True)
    vae = [SMALL_VAE] if isinstance(PRESETS[preset].config.generator, FitConfig) else []
    run.config.write_text(json.dumps(dump(apply(PRESETS[preset].config, [SMALL, *vae, *changes]))))
    return run


def warnings(run: RunFolder) -> list[str]:
    return [event.message for event in EventReader(run.events).read() if isinstance(event, Warned)]


def assert_failed(run: RunFolder, exit_code: int, error: str, *words: str) -> None:
    last = read_last(run.events)
    assert isinstance(last, RunFailed)
    assert (last.exit_code, last.error) == (exit_code, error)
    for word in words:
        assert word in last.message


def test_a_whole_run_leaves_what_the_contract_names(tmp_path: Path) -> None:
    run = make_run(tmp_path, "vae-100", {"evaluation": {"bootstrap": 20}})
    assert main([str(run.path)]) == 0
    assert isinstance(read_last(run.events), RunFinished)
    finished = [event.stage for event in EventReader(run.events).read() if isinstance(event, StageFinished)]
    assert finished == ["prepare", "generator", "synthesis", "classifier", "reference", "evaluation", "quality"]
    images, labels = (np.load(run.synthetic / f"{name}.npy", allow_pickle=False) for name in ("images", "labels"))
    assert (images.dtype, images.shape, labels.shape) == (np.uint8, (120, 16, 16, 3), (120,))
    counts = json.loads((run.data / "manifest.json").read_text())["counts"]["train"]
    assert (int((labels == 0).sum()), int((labels == 1).sum())) == (counts["normal"], counts["tumour"])
    assert len(list((run.samples / "generator").glob("step-*.png"))) == 2
    assert {path.name for path in run.checkpoints.glob("*/*")} == {"final"}
    assert json.loads(run.environment.read_text())["packages"]["torch"]
    with np.load(run.predictions, allow_pickle=False) as predictions:
        assert predictions["answer_probabilities"].shape == predictions["answer_labels"].shape == (60,)


def test_generator_and_classifier_see_the_share_alone_and_are_tested_as_ever(tmp_path: Path) -> None:
    whole, part = (
        make_run(tmp_path / name, "vae-100", {"data": {"train_share": share, "tumour_share": share}})
        for name, share in (("whole", 1.0), ("part", 0.5))
    )
    assert main([str(whole.path)]) == main([str(part.path)]) == 0
    seen, half = (json.loads((run.data / "manifest.json").read_text()) for run in (whole, part))
    assert half["test_fingerprint"] == seen["test_fingerprint"] and half["counts"]["test"] == seen["counts"]["test"]
    normal, tumour = (
        round(seen["counts"]["train"][word] * share) for word, share in (("normal", 0.5), ("tumour", 0.25))
    )
    assert half["counts"]["train"] == {"normal": normal, "tumour": tumour}
    answer, reference, *_ = read_score_trees(part.scores)
    assert answer["n_test"] == reference["n_test"] == 60 and reference["n_train"] < normal + tumour
    learned_from = np.load(part.synthetic / "learned_from.npy", allow_pickle=False)
    made = np.load(part.synthetic / "labels.npy", allow_pickle=False)
    assert len(learned_from) == len(made) == normal + tumour and made.sum() == tumour


def test_scores_say_what_was_trained_on_what_and_tested_on_what(tmp_path: Path) -> None:
    run = make_run(tmp_path, "vae-100", {"evaluation": {"bootstrap": 20}, "data": {"tissue": {"slides": 12}}})
    main([str(run.path)])
    answer, reference, fidelity, _ = read_score_trees(run.scores)
    assert [score["bootstrap_by"] for score in (answer, reference, fidelity)] == ["slide", "slide", "patch"]
    assert answer["n_test_slides"] == reference["n_test_slides"] > 1 and fidelity["n_test_slides"] is None
    assert (answer["trained_on"], answer["tested_on"], answer["n_test"]) == ("synthetic", "tissue", 60)
    assert (reference["trained_on"], reference["tested_on"]) == ("tissue", "tissue")
    assert (fidelity["trained_on"], fidelity["tested_on"], fidelity["n_test"]) == ("tissue", "synthetic", 120)
    assert answer["n_train"] == pytest.approx(90, abs=12)
    assert answer["selected_on"] == "held-out synthetic patches"
    (tn, fp), (fn, tp) = answer["confusion"]
    assert tn + fp + fn + tp == 60 and fn + tp == answer["n_test_tumour"]
    assert answer["accuracy"] == (tn + tp) / 60
    assert answer["auc_low"] <= answer["auc"] <= answer["auc_high"]
    assert answer["bootstrap_low"] <= answer["bootstrap_high"]
    notes = json.loads(run.scores.read_text())["notes"]
    assert any("nothing about real tissue" in note for note in notes)
    assert any("says nothing about usefulness" in note for note in notes)


def test_a_reference_is_taken_from_an_earlier_run_on_the_same_data(tmp_path: Path) -> None:
    first = make_run(tmp_path, "baseline")
    assert main([str(first.path)]) == 0
    first.path.rename(first.path.parent / "first")
    second = make_run(tmp_path, "vae-100")
    assert main([str(second.path)]) == 0
    (baseline,) = read_score_trees(RunFolder(first.path.parent / "first").scores)
    reference = read_score_trees(second.scores)[1]
    assert reference["source_run"] == "first"
    assert {**reference, "source_run": None, "role": "answer"} == baseline


@pytest.mark.parametrize("change", [{"seed": 5}, {"classifier": {"flips": True}}, {"data": {"tissue": {"seed": 9}}}])
def test_a_reference_of_another_recipe_or_other_data_is_not_taken(tmp_path: Path, change: dict[str, Any]) -> None:
    first = make_run(tmp_path, "baseline", change)
    assert main([str(first.path)]) == 0
    first.path.rename(first.path.parent / "first")
    second = make_run(tmp_path, "vae-100")
    assert main([str(second.path)]) == 0
    assert read_score_trees(second.scores)[1]["source_run"] is None


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        ({"training": {"compile": True}}, True),
        ({"training": {"precision": "bfloat16"}}, True),
        ({"training": {"threads": 3}}, True),
        ({"seed": 1}, True),
        ({"data": {"crop": 96}}, True),
        ({"training": {"log_every": 3}}, False),
        ({"data": {"train_share": 0.5}}, False),
    ],
    ids=str,
)
def test_what_decides_weights_beside_a_models_own_settings(change: dict[str, Any], decides: bool) -> None:
    config = PRESETS["baseline"].config
    assert (circumstances(apply(config, [change])) != circumstances(config)) == decides


def test_a_collapsed_generator_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def same(model: Vae, labels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return labels.view(-1, 1, 1, 1).expand(-1, 3, 16, 16) - 0.5

    run = make_run(tmp_path, "vae-100")
    monkeypatch.setattr(Vae, "sample", same)
    assert main([str(run.path)]) == 0
    said = [message for message in warnings(run) if "collapsed" in message]
    assert len(said) == 2 and "its tumour patches differ from each other 0% as much" in said[1]
    assert set(said) <= set(json.loads(run.scores.read_text())["notes"])


def test_a_generator_that_has_not_collapsed_is_not_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def varied(model: Vae, labels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return torch.rand(len(labels), 3, 16, 16, generator=rng) * 2 - 1

    run = make_run(tmp_path, "vae-100")
    monkeypatch.setattr(Vae, "sample", varied)
    assert main([str(run.path)]) == 0
    assert not [message for message in warnings(run) if "collapsed" in message]


def test_training_on_both_takes_the_stated_proportion(tmp_path: Path) -> None:
    both = {"train_on": "both", "synthetic_proportion": 0.25, "validation_fraction": 0.1}
    tissue = {"slides": 40}
    run = make_run(
        tmp_path, "vae-100", {"classifier": both, "evaluation": {"reference": False}, "data": {"tissue": tissue}}
    )
    assert main([str(run.path)]) == 0
    answer, *_ = read_score_trees(run.scores)
    assert answer["trained_on"] == "both"
    assert answer["n_train"] == pytest.approx(0.9 * 160, abs=12)


def test_more_synthetic_patches_than_there_are_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, "vae-100", {"classifier": {"train_on": "both", "synthetic_proportion": 0.9}})
    assert main([str(run.path)]) == 2
    assert_failed(run, 2, "ConfigError", "set synthesis.ratio to 9.00")


def test_a_source_without_a_validation_split_cannot_select_on_it(tmp_path: Path) -> None:
    run = make_run(tmp_path, "baseline", {"classifier": {"validation": "official"}})
    assert main([str(run.path)]) == 2
    assert_failed(run, 2, "ConfigError", "set it to 'held-out'")


def test_a_diverging_run_ends_with_4_and_says_where(tmp_path: Path) -> None:
    run = make_run(
        tmp_path,
        "vae-100",
        {"generator": DIVERGING, "training": {"log_every": 1}},
    )
    assert main([str(run.path)]) == 4
    assert_failed(run, 4, "NotFinite", "phase model", "Lower the learning rate")
    last = read_last(run.events)
    assert isinstance(last, RunFailed) and "precision" not in last.message, "it was float32 already"
    report = json.loads(run.postmortem.read_text())
    assert report["stage"] == "generator" and len(report["batch"]) == 8
    assert not (run.checkpoints / "generator" / "final").exists()


def test_missing_data_ends_with_3(tmp_path: Path) -> None:
    run = make_run(tmp_path, "baseline", {"data": {"source": str(tmp_path / "nowhere")}})
    assert main([str(run.path)]) == 3
    assert_failed(run, 3, "DataError", "nowhere")
    assert not run.data.exists()


def test_fewer_patches_than_a_batch_ends_with_2(tmp_path: Path) -> None:
    run = make_run(tmp_path, "baseline", {"classifier": {"batch_size": 512}})
    assert main([str(run.path)]) == 2
    assert_failed(run, 2, "ConfigError", "fewer than one batch of 512", "set classifier.batch_size to at most")


def test_a_device_that_is_not_there_ends_with_3(tmp_path: Path) -> None:
    run = make_run(tmp_path, "baseline", {"device": "cuda:7"})
    assert main([str(run.path)]) == 3
    assert_failed(run, 3, "DeviceError", "device cuda:7: not there")


def test_a_config_changed_since_the_run_began_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, "baseline")
    assert main([str(run.path)]) == 0
    run.scores.unlink()
    run.config.write_text(run.config.read_text().replace('"seed": 0', '"seed": 1', 1))
    assert main([str(run.path)]) == 3
    assert_failed(run, 3, "RunFolderError", "changed since this run began")


def test_patches_changed_since_the_run_began_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, "baseline")
    assert main([str(run.path)]) == 0
    run.scores.unlink()
    manifest = json.loads((run.data / "manifest.json").read_text())
    (run.data / "manifest.json").write_text(json.dumps({**manifest, "source_fingerprint": "0" * 64}))
    assert main([str(run.path)]) == 3
    assert_failed(run, 3, "DataError", "not those that this run began with")


def test_two_processes_on_one_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, "baseline")
    with RunLock(run.lock):
        assert main([str(run.path)]) == 3
    assert "another process is working on this run" in capfd.readouterr().err
    assert not run.events.exists()


def test_a_folder_that_is_no_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 3
    assert "not a run folder" in capfd.readouterr().err


def test_a_bug_is_recorded_with_its_traceback_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, "baseline")
    monkeypatch.setattr("engine.stages.classifier.training_set", lambda *_: 1 / 0)
    assert main([str(run.path)]) == 1
    assert_failed(run, 1, "ZeroDivisionError", "division by zero")
    assert "Traceback" in capfd.readouterr().err


def test_a_divergence_that_a_checkpoint_finds_leaves_its_postmortem(tmp_path: Path) -> None:
    training = {"log_every": 1000, "checkpoint_seconds": 0}
    run = make_run(tmp_path, "vae-100", {"generator": DIVERGING, "training": training})
    assert main([str(run.path)]) == 4
    assert json.loads(run.postmortem.read_text())["stage"] == "generator"


def test_a_generator_without_steps_runs_to_the_end(tmp_path: Path) -> None:
    run = make_run(tmp_path, "null", {"generator": {"components": 5}})
    assert main([str(run.path)]) == 0
    answer, *_ = read_score_trees(run.scores)
    assert (answer["trained_on"], answer["n_test"]) == ("synthetic", 60)
    grids = [event for event in EventReader(run.events).read() if isinstance(event, ImageSaved)]
    assert [grid.caption for grid in grids if grid.stage == "generator"] == ["samples, normal above tumour"]
    assert np.load(run.synthetic / "images.npy").std() > 5


ONE_BY_ONE = {"generator": {"batch_size": 1}, "classifier": {"batch_size": 1}}


@pytest.mark.parametrize(
    ("preset", "changes", "said"),
    [
        ("latent-flow", {}, "set generator.latent_prior.batch_size to at most 120"),
        ("vae-100", {"classifier": {"batch_size": 200}}, "set classifier.batch_size to at most"),
        ("vae-100", {"classifier": {"validation": "official"}}, "the source has no validation split"),
        (
            "vae-100",
            {"classifier": {"train_on": "both", "synthetic_proportion": 0.9}},
            "synthetic_proportion 0.9 needs 1080 synthetic patches and there are 120",
        ),
        ("vae-100", {"data": {"limit": 2}, **ONE_BY_ONE}, "have one class only"),
        (
            "vae-100",
            {"data": {"limit": 2}, "monitoring": {"generator_choice": "usefulness"}, **ONE_BY_ONE},
            "monitoring.generator_choice: the real patches held out for validation have one class only",
        ),
    ],
)
def test_what_would_end_a_run_late_ends_it_before_the_generators_first_step(
    tmp_path: Path, preset: str, changes: dict[str, Any], said: str
) -> None:
    run = make_run(tmp_path, preset, changes)
    assert main([str(run.path)]) in (2, 3)
    last = read_last(run.events)
    assert isinstance(last, RunFailed) and said in last.message and last.stage == "generator"
    assert not any(isinstance(event, Metrics) for event in EventReader(run.events).read())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quality": {"neighbours": 40}}, "nearest neighbours with k = 40 needs at least 41"),
        ({"quality": {"neighbours": 2}}, "the Fréchet distance needs at least 127"),
        ({"data": {"tissue": {"train": 120, "test": 16, "slides": 4}}}, "quantile needs at least 20 test patches"),
        ({"quality": {"enabled": False}}, ""),
    ],
)
def test_measures_that_there_will_be_too_few_patches_for_are_told_of_before_the_first_step(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    run = make_run(tmp_path, "vae-100", changes)
    assert main([str(run.path)]) == 0
    events = EventReader(run.events).read()
    first = next(place for place, event in enumerate(events) if isinstance(event, Metrics))
    told = [event for event in events[:first] if isinstance(event, Warned) and "measure quality" in event.message]
    assert [said in event.message and event.stage == "prepare" for event in told] == ([True] if said else [])


def test_a_ceiling_needs_no_batch_for_the_prior_that_it_has_not(tmp_path: Path) -> None:
    run = make_run(tmp_path, "latent-flow", {"synthesis": {"reconstruct": True}})
    assert main([str(run.path)]) == 0


def test_a_mixture_has_enough_of_each_class_at_every_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_FITTED_FOR_A_LOOK", 10)
    rare = {"data": {"tumour_share": 0.5}}
    run = make_run(tmp_path, "vae-matched", rare, {"generator": {"prior": "mixture", "mixture_parts": 2}})
    assert main([str(run.path)]) == 0
    weights = CheckpointFolder(run.checkpoints / "generator").load_final().tensors["prior.weight"]
    assert weights.shape == (2, 2) and torch.allclose(weights.sum(1), torch.ones(2)) and bool((weights != 0.5).all())


def test_a_mixture_of_too_few_patches_is_refused_before_the_first_step(tmp_path: Path) -> None:
    run = make_run(tmp_path, "vae-matched", {"generator": {"prior": "mixture", "mixture_parts": 9}})
    assert main([str(run.path)]) == 2
    assert_failed(run, 2, "ConfigError", "generator.mixture_parts: 9 need 90", "set it to at most")
    assert not any(isinstance(event, Metrics) for event in EventReader(run.events).read())


def test_a_stop_while_a_prior_is_fitted_leaves_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, encode = make_run(tmp_path, "vae-matched"), Vae.encode
    with monkeypatch.context() as patched:

        def stop_first(model: Vae, *rest: Any) -> Any:
            if not model.training:
                os.kill(os.getpid(), signal.SIGTERM)
            return encode(model, *rest)

        patched.setattr(Vae, "encode", stop_first)
        assert main([str(run.path)]) == 75
    assert main([str(run.path)]) == 0
    undisturbed = make_run(tmp_path / "other", "vae-matched")
    assert main([str(undisturbed.path)]) == 0
    one, other = (CheckpointFolder(each.checkpoints / "generator").load_final() for each in (run, undisturbed))
    assert same(one, other)
    # A prior that was never fitted would be the same in both.
    assert not torch.equal(one.tensors["prior.factor"][0], torch.eye(4))
    assert read_score_trees(run.scores) == read_score_trees(undisturbed.scores)


def test_a_generator_that_would_never_train_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, "gan-bce", {"generator": {"pretrain_steps": 30, "epochs": 2, "batch_size": 8}})
    assert main([str(run.path)]) == 2
    assert_failed(run, 2, "ConfigError", "phase generator would never take part", "generator.pretrain_steps")


def test_a_phase_that_is_never_due_is_refused_with_the_setting_that_makes_it_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, "gan-bce", {"generator": {"discriminator_steps": 90, "epochs": 2, "batch_size": 8}})
    assert main([str(run.path)]) == 2
    assert_failed(run, 2, "ConfigError", "takes part in every 90th step", "lower generator.discriminator_steps")


def test_a_stop_during_validation_leaves_a_checkpoint_and_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, predict = make_run(tmp_path, "baseline"), classifier.predict
    with monkeypatch.context() as patched:

        def stop_first(context: Context, *rest: Any) -> Any:
            context.stop.requested = True
            return predict(context, *rest)

        patched.setattr(classifier, "predict", stop_first)
        assert main([str(run.path)]) == 75
    assert len(list((run.checkpoints / "classifier").glob("step-*"))) == 1
    assert main([str(run.path)]) == 0
    undisturbed = make_run(tmp_path / "other", "baseline")
    assert main([str(undisturbed.path)]) == 0
    assert read_score_trees(run.scores) == read_score_trees(undisturbed.scores)


def stop_after(monkeypatch: pytest.MonkeyPatch, run: RunFolder, steps: int) -> int:
    """Start a run that hears a stop in its so-manyth step of this process; its exit code."""
    advance, taken = Trainer.advance, 0
    with monkeypatch.context() as patched:

        def counted(trainer: Trainer) -> None:
            nonlocal taken
            taken += 1
            if taken == steps:
                os.kill(os.getpid(), signal.SIGTERM)
            advance(trainer)

        patched.setattr(Trainer, "advance", counted)
        return main([str(run.path)])


def test_a_resnet_stopped_three_times_ends_bit_for_bit_like_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = {"classifier": {"epochs": 3}}
    run, undisturbed = (make_run(tmp_path / name, "baseline-resnet", longer) for name in ("stopped", "whole"))
    assert main([str(undisturbed.path)]) == 0
    assert [stop_after(monkeypatch, run, steps) for steps in (3, 11, 9)] == [75, 75, 75]
    assert main([str(run.path)]) == 0
    ends = [CheckpointFolder(each.checkpoints / "classifier").load_final() for each in (run, undisturbed)]
    assert same(*ends)
    assert read_score_trees(run.scores) == read_score_trees(undisturbed.scores)
    other = make_run(tmp_path / "other", "baseline-resnet", longer, {"classifier": {"stain_jitter": 0.1}})
    assert main([str(other.path)]) == 0
    assert not same(CheckpointFolder(other.checkpoints / "classifier").load_final(), ends[1])


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"kind": "resnet"}, "first"),
        ({"kind": "resnet", "stain_jitter": 0.1}, None),
        ({"kind": "resnet", "weight_decay": 0.1}, None),
        ({"kind": "cnn"}, None),
    ],
)
def test_a_reference_is_the_same_kind_of_classifier_with_the_same_settings(
    tmp_path: Path, changes: dict[str, Any], source: str | None
) -> None:
    first = make_run(tmp_path, "baseline-resnet")
    assert main([str(first.path)]) == 0
    first.path.rename(first.path.parent / "first")
    second = make_run(tmp_path, "vae-100", {"classifier": changes})
    assert main([str(second.path)]) == 0
    assert read_score_trees(second.scores)[1]["source_run"] == source


def test_asked_for_a_checkpoint_it_saves_one_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, advance = make_run(tmp_path, "baseline"), Trainer.advance

    def ask_once(trainer: Trainer) -> None:
        advance(trainer)
        if trainer.step == 3:
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(Trainer, "advance", ask_once)
    assert main([str(run.path)]) == 0
    saved = [event.step for event in EventReader(run.events).read() if isinstance(event, CheckpointSaved)]
    assert saved == [3]


def test_validation_on_the_official_split_leaves_all_training_patches_to_train_on(tmp_path: Path) -> None:
    source = tmp_path / "patches"
    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("valid", 10), ("test", 10)):
        for label in ("0", "1"):
            (source / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(source / split / label / f"{number}.png")
    official = {"data": {"source": str(source)}, "classifier": {"validation": "official"}}
    run = make_run(tmp_path, "baseline", official)
    assert main([str(run.path)]) == 0
    (answer,) = read_score_trees(run.scores)
    assert (answer["n_train"], answer["n_test"]) == (80, 20)
    assert answer["selected_on"] == "the source's real validation split"


def test_patches_that_are_left_out_are_named(tmp_path: Path) -> None:
    source = tmp_path / "patches"
    rng = np.random.default_rng(0)
    for label in ("0", "1"):
        (source / label).mkdir(parents=True)
        for number in range(60):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(source / label / f"{number}.png")
    (source / "1" / "7.png").write_bytes(b"not a picture")
    run = make_run(tmp_path, "baseline", {"data": {"source": str(source)}})
    assert main([str(run.path)]) == 0
    (message,) = [text for text in warnings(run) if "left out" in text]
    assert "1 of 120 patches cannot be used" in message and "1/7.png" in message
    (broken,) = json.loads((run.data / "manifest.json").read_text())["broken"]
    assert "7.png" in broken["id"]
    assert any("left out" in note for note in json.loads(run.scores.read_text())["notes"])


@pytest.mark.parametrize("damage", ["{}", "[]", "not json"])
def test_another_run_s_damage_is_not_this_run_s_trouble(tmp_path: Path, damage: str) -> None:
    first = make_run(tmp_path, "baseline")
    assert main([str(first.path)]) == 0
    first.path.rename(first.path.parent / "first")
    (first.path.parent / "first" / "data" / "manifest.json").write_text(damage)
    second = make_run(tmp_path, "vae-100")
    assert main([str(second.path)]) == 0
    assert read_score_trees(second.scores)[1]["source_run"] is None


def test_a_classifier_of_another_version_is_no_reference(tmp_path: Path) -> None:
    first = make_run(tmp_path, "baseline")
    assert main([str(first.path)]) == 0
    first.path.rename(first.path.parent / "first")
    final = first.path.parent / "first" / "checkpoints" / "classifier" / "final"
    state = checkpoints.read(final)
    shutil.rmtree(final)
    folder = checkpoints.CheckpointFolder(final.parent)
    folder.save_final(checkpoints.State(state.tensors, {**state.meta, "mood": "good"}))
    second = make_run(tmp_path, "vae-100")
    assert main([str(second.path)]) == 0
    assert read_score_trees(second.scores)[1]["source_run"] is None


def test_a_log_that_the_disk_has_no_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run = make_run(tmp_path, "baseline")
    monkeypatch.setattr(EventWriter, "write", full)
    assert main([str(run.path)]) == 3
    err = capfd.readouterr().err
    assert "No space left on device" in err and "Traceback" not in err


def test_a_run_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system", "process.json")

    run = make_run(tmp_path, "baseline")
    monkeypatch.setattr(ProcessIdentity, "write", refuse)
    assert main([str(run.path)]) == 3
    assert "process.json: Read-only file system" in capfd.readouterr().err


def test_synthetic_patches_that_the_disk_has_no_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, "vae-100")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.filling.os.posix_fallocate", full)
    assert main([str(run.path)]) == 3
    assert_failed(run, 3, "StorageError", "No space left on device")
    assert not run.synthetic.exists()


def test_a_very_long_message_is_cut_in_the_log_and_whole_in_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("x" * 20_000)

    run = make_run(tmp_path, "baseline")
    monkeypatch.setattr("engine.stages.classifier.training_set", fail)
    assert main([str(run.path)]) == 1
    assert_failed(run, 1, "RuntimeError", "the whole message is in log.txt")
    assert "x" * 20_000 in capfd.readouterr().err


def test_progress_of_two_things_has_two_totals(tmp_path: Path) -> None:
    run = make_run(tmp_path, "baseline")
    with EventWriter(run.events) as events:
        report = Context(run, RunConfig(), CPU, events, StopFlag()).reporter("prepare")
        for what, done, total in (("unpacking", 0, 50), ("unpacking", 50, 50), ("packing", 9, 9)):
            report(what, done, total)
    said = [
        (event.what, event.step, event.total) for event in EventReader(run.events).read() if isinstance(event, Progress)
    ]
    assert said == [("unpacking", 50, 50), ("packing", 9, 9)]


def test_a_full_disk_for_a_while_costs_checkpoints_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, save, fails = (
        make_run(tmp_path, "baseline", {"training": {"checkpoint_seconds": 0}}),
        checkpoints._write,
        iter([1, 1]),
    )

    def flaky(target: Path, state: checkpoints.State) -> None:
        if next(fails, None):
            raise StorageError(f"{target}: cannot be written (No space left on device)")
        save(target, state)

    monkeypatch.setattr(checkpoints, "_write", flaky)
    assert main([str(run.path)]) == 0
    assert len([message for message in warnings(run) if "training goes on" in message]) == 2


def test_a_disk_that_stays_full_ends_with_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run = make_run(tmp_path, "baseline", {"training": {"checkpoint_seconds": 0}})
    monkeypatch.setattr(checkpoints, "save_file", full)
    assert main([str(run.path)]) == 3
    assert_failed(run, 3, "StorageError", "No space left on device", "MiB are free")
    assert list(run.checkpoints.rglob("*.safetensors")) == []


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, "baseline", {"training": {"checkpoint_seconds": 0}})
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.CheckpointFolder, "save_final", lambda *_: 1 / 0)
        assert main([str(run.path)]) == 1
    newest = sorted((run.checkpoints / "classifier").glob("step-*"))[-1]
    (newest / "state.safetensors").write_bytes(b"\0" * 100)
    assert main([str(run.path)]) == 0
    assert any(newest.name in message and "going back" in message for message in warnings(run))
    undisturbed = make_run(tmp_path / "other", "baseline", {"training": {"checkpoint_seconds": 0}})
    assert main([str(undisturbed.path)]) == 0
    assert read_score_trees(run.scores) == read_score_trees(undisturbed.scores)
