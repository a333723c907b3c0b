"""The epoch that real validation patches choose: a second score beside the answer, which stays what it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import patches, write_pcam
from torch import nn
from toys import CPU, same

from engine.checkpoints import CheckpointFolder
from engine.choosing import EpochChoice
from engine.classifiers.predicting import predict
from engine.context import Context
from engine.control import StopFlag
from engine.data.patches import PatchSet
from engine.pipeline import run_stages
from engine.spec.errors import CheckpointError, Stopped
from engine.spec.event_log import EventReader, EventWriter
from engine.spec.events import Metrics
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder
from engine.spec.scores import read_score_trees
from engine.stages import classifier, prepare

Tree = dict[str, Any]

SMALL: Tree = {
    "data": {"crop": 16, "tissue": {"train": 160, "test": 60, "slides": 8}},
    "generator": {"epochs": 1, "batch_size": 8, "latent_dim": 4, "channels": 2},
    "classifier": {"epochs": 3, "batch_size": 8, "channels": 2},
    "evaluation": {"reference": False, "bootstrap": 0},
    "training": {"threads": 1},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def context(path: Path, *changes: Tree) -> Context:
    config = apply(PRESETS["vae-100"].config, [SMALL, *changes])
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    folder.config.write_text(json.dumps(dump(config)))
    return Context(folder, config, CPU, EventWriter(folder.events), StopFlag())


def finished(path: Path, *changes: Tree) -> Context:
    run = context(path, *changes)
    run_stages(run, lambda stage: None)
    return run


def epochs_of(run: Context) -> list[dict[str, float]]:
    """What each epoch of the classifier was seen to do on validation patches."""
    events = EventReader(run.folder.events).read()
    of_stage = (event for event in events if isinstance(event, Metrics) and event.stage == classifier.STAGE)
    return [dict(event.values) for event in of_stage if "synthetic_validation_auc" in event.values]


def test_the_first_of_the_best_epochs_is_kept_with_its_weights() -> None:
    model = nn.Linear(1, 1)
    labels = np.array([0, 0, 1, 1], np.uint8)
    choice = EpochChoice(PatchSet(np.zeros((4, 2, 2, 3), np.uint8), labels, np.arange(4)), "validation")
    said = []
    for epoch, logits in enumerate([[0, 3, 1, 2], [0, 2, 1, 3], [0, 2, 1, 3], [3, 0, 1, 2]], start=1):
        nn.init.constant_(model.weight, epoch)
        said.append(choice.consider(epoch, np.array(logits, np.float64), model)["validation_auc"])
    assert said == [0.5, 0.75, 0.75, 0.5]
    assert (choice.best["epoch"], choice.best["auc"], choice.weights["weight"].item()) == (2, 0.75, 2.0)


def test_it_is_a_score_of_its_own_and_the_answer_is_the_same_without_it(tmp_path: Path) -> None:
    run = finished(tmp_path / "with")
    answer, second = read_score_trees(run.folder.scores)
    epochs = epochs_of(run)
    assert (answer["role"], second["role"]) == ("answer", "epoch by real")
    assert len(epochs) == 3
    assert second["selected_on"] == "24 held-out tissue patches, which the generator has seen"
    assert second["selected_epoch"] == 1 + int(np.argmax([epoch["validation_auc"] for epoch in epochs]))
    assert answer["selected_epoch"] == 1 + int(np.argmax([epoch["synthetic_validation_auc"] for epoch in epochs]))
    assert (second["trained_on"], second["n_train"]) == (answer["trained_on"], answer["n_train"])
    notes = json.loads(run.folder.scores.read_text())["notes"]
    assert any("'epoch by real' is the same training" in note and "not the answer" in note for note in notes)
    model, training = classifier.load(run.folder, classifier.STAGE, run.config.classifier, 16, by_real=True)
    real = prepare.load(run).test
    with np.load(run.folder.predictions, allow_pickle=False) as saved:
        assert np.array_equal(predict(run, model, real), saved["epoch_by_real_logits"])
    assert training.validation_auc == max(epoch["validation_auc"] for epoch in epochs)

    without = finished(tmp_path / "without", {"classifier": {"real_validation": 0}})
    (alone,) = read_score_trees(without.folder.scores)
    assert alone == answer
    assert all("validation_auc" not in epoch for epoch in epochs_of(without))


def test_real_patches_that_choose_are_none_that_are_fitted_on(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", {"synthesis": {"reconstruct": True}})
    real = prepare.load(run)
    found = classifier.training_set(run, real, "synthetic")
    assert isinstance(found.real_validation, PatchSet)
    (fitted,) = found.fit.parts
    # Each reconstruction stands in the place of a training patch.
    assert not set(real.train.rows[fitted.rows]) & set(found.real_validation.rows)
    both = classifier.training_set(run, real, "both")
    assert isinstance(both.real_validation, PatchSet)
    assert not set(both.fit.parts[0].rows) & set(both.real_validation.rows)
    assert classifier.training_set(run, real, "real").real_validation is None


@pytest.mark.parametrize(("most", "expected"), [(10, 10), (1000, 24)])
def test_no_more_are_looked_at_than_is_cheap(tmp_path: Path, most: int, expected: int) -> None:
    run = finished(tmp_path / "run", {"classifier": {"real_validation": most}})
    found = classifier.training_set(run, prepare.load(run), "synthetic")
    assert found.real_validation is not None and len(found.real_validation) == expected
    assert len(found.fit) // 5 >= expected


def test_the_source_s_own_validation_split_comes_first(tmp_path: Path) -> None:
    splits = {"train": patches(80), "valid": patches(24, seed=1), "test": patches(24, seed=2)}
    write_pcam(tmp_path / "pcam", splits)
    source = {"data": {"source": str(tmp_path / "pcam")}}
    run = finished(tmp_path / "run", source)
    real = prepare.load(run)
    found = classifier.training_set(run, real, "synthetic")
    assert isinstance(found.real_validation, PatchSet)
    assert set(found.real_validation.rows) <= set(real.valid.rows)
    assert found.real_selected_on == f"{len(found.fit) // 5} of the source's real validation split"
    official = {"classifier": {"validation": "official"}}
    (score,) = (row for row in read_score_trees(finished(tmp_path / "two", source, official).folder.scores))
    assert score["role"] == "answer" and score["selected_on"] == "the source's real validation split"


def test_where_a_class_is_missing_among_them_there_is_no_second_choice(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", {"classifier": {"real_validation": 1}})
    assert [score["role"] for score in read_score_trees(run.folder.scores)] == ["answer"]


def test_stopped_between_epochs_it_ends_the_same(tmp_path: Path) -> None:
    undisturbed = finished(tmp_path / "undisturbed")
    run = context(tmp_path / "run")
    stopped = Context(run.folder, run.config, CPU, run.events, StopAfterEpoch(run, 2))
    with pytest.raises(Stopped):
        run_stages(stopped, lambda stage: None)
    assert not classifier.is_complete(run.folder)
    run_stages(run, lambda stage: None)
    ends = [CheckpointFolder(each.folder.checkpoints / classifier.STAGE).load_final() for each in (run, undisturbed)]
    assert same(*ends) and classifier.BY_REAL in ends[0].meta
    assert read_score_trees(run.folder.scores) == read_score_trees(undisturbed.folder.scores)


class StopAfterEpoch(StopFlag):
    """Asks the run to stop once the classifier has closed so many epochs."""

    def __init__(self, run: Context, epochs: int) -> None:
        self._run, self._epochs = run, epochs
        self.checkpoint_requested = False

    @property
    def requested(self) -> bool:  # type: ignore[override]
        return len(epochs_of(self._run)) >= self._epochs


def test_a_checkpoint_of_another_version_is_refused_in_words(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    patches_of = classifier.training_set(run, prepare.load(run), "synthetic")
    model, _ = classifier.load(run.folder, classifier.STAGE, run.config.classifier, 16)
    with pytest.raises(CheckpointError, match="by another version of histotui"):
        classifier._BestEpoch(run, classifier.STAGE, model, patches_of).load({}, {"auc": 0.5, "epoch": 1, "cut": 0.0})
