"""The quality stage: what it says of good and bad synthetic sets, and what it leaves out."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_samples import Images, Labels
from toys import CPU

from engine.batches import in_order, to_float
from engine.checkpoints import CheckpointFolder, State, prefixed
from engine.classifiers import build_classifier
from engine.context import Context
from engine.control import StopFlag
from engine.data.sources.base import TRAIN
from engine.data.tissue.rendering import render
from engine.pipeline import STAGES
from engine.quality.features import Space
from engine.spec.classifier_config import CnnConfig
from engine.spec.config import DataConfig, EvaluationConfig, QualityConfig, RunConfig, TissueConfig
from engine.spec.errors import ConfigError, DataError, RunFolderError, Stopped
from engine.spec.event_log import EventReader, EventWriter
from engine.spec.events import Progress, Warned
from engine.spec.generator_config import VaeConfig
from engine.spec.quality import Comparison, Measures, QualitySheet, read_quality, write_quality
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder
from engine.stages import classifier, prepare, quality

TISSUE = TissueConfig(train=320, test=200, slides=8)
CONFIG = RunConfig(
    data=DataConfig(crop=32, tissue=TISSUE),
    generator=VaeConfig(),
    classifier=CnnConfig(channels=2),
    evaluation=EvaluationConfig(reference=False),
    quality=QualityConfig(patches=100, copies=60),
)
Made = tuple[Images, Labels]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose patches are divided; its cache is beside it."""
    root = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        prepare.run(context(root / "run"))
    return RunFolder(root / "run")


@pytest.fixture
def measure(prepared: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., QualitySheet]:
    """Puts a synthetic set into a run and measures it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(prepared.path.parent / "cache"))

    def run(made: Made, config: RunConfig = CONFIG, name: str = "run") -> QualitySheet:
        found = with_synthetic(prepared, tmp_path / name, made, config)
        quality.run(found)
        sheet = read_quality(found.folder.quality)
        assert sheet is not None
        return sheet

    return run


def context(folder: Path, config: RunConfig = CONFIG) -> Context:
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    run.config.write_text(json.dumps(dump(config)))
    return Context(run, config, CPU, EventWriter(run.events), StopFlag())


def with_synthetic(prepared: RunFolder, folder: Path, made: Made, config: RunConfig = CONFIG) -> Context:
    """A run that has come to its synthetic set."""
    found = context(folder, config)
    found.folder.data.symlink_to(prepared.data)
    found.folder.synthetic.mkdir()
    for name, array in zip(("images", "labels"), made, strict=True):
        np.save(found.folder.synthetic / f"{name}.npy", array)
    (found.folder.synthetic / "manifest.json").write_text(json.dumps({"diversity": {}}))
    return found


def fresh(count: int = 320) -> Made:
    """Patches of the training slides that are in no split: what a perfect generator makes."""
    drawn = [render(TISSUE.seed, TRAIN, TISSUE.train + index, TISSUE.slides) for index in range(count)]
    return np.stack([image[32:64, 32:64] for image, _ in drawn]), np.array([label for _, label in drawn], np.uint8)


@pytest.fixture(scope="module")
def good() -> Made:
    return fresh()


def copied(prepared: RunFolder) -> Made:
    """The training patches themselves, turned."""
    train = prepare.load(context(prepared.path)).train
    return np.ascontiguousarray(np.rot90(train.images[train.rows], 1, (1, 2))), train.own_labels


def row(sheet: QualitySheet, of: str, space: str = "random convolutions") -> Comparison:
    return next(row for row in sheet.comparisons if (row.of, row.space) == (of, space))


def value(measures: Measures, name: str) -> float:
    found = getattr(measures, name)
    assert isinstance(found, float)
    return found


def test_new_patches_of_the_training_slides_are_at_the_floor(measure: Callable[..., QualitySheet], good: Made) -> None:
    sheet = measure(good)
    assert [each.of for each in sheet.comparisons] == ["both classes", "normal", "tumour"]
    both = row(sheet, "both classes")
    assert both.patches == row(sheet, "normal").patches + row(sheet, "tumour").patches
    for name in ("frechet", "kernel", "recall", "density", "coverage"):
        assert value(both.synthetic, name) == pytest.approx(value(both.floor, name), rel=0.4), name
    assert value(both.synthetic, "detector_auc") == pytest.approx(value(both.floor, "detector_auc"), abs=0.1)
    assert sheet.copies is not None and not sheet.copies.clear
    assert sheet.copies.matched <= 0.05
    assert sheet.copies.distance == pytest.approx(1, abs=0.25)


def test_a_collapsed_set_is_far_above_the_floor(measure: Callable[..., QualitySheet], good: Made) -> None:
    images, labels = good
    first = [int(np.flatnonzero(labels == label)[0]) for label in (0, 1)]
    both = row(measure((images[first][labels], labels)), "both classes")
    assert value(both.synthetic, "frechet") > 2 * value(both.floor, "frechet")
    assert value(both.synthetic, "recall") < 0.1
    assert value(both.synthetic, "coverage") < value(both.floor, "coverage") / 3
    assert value(both.synthetic, "detector_auc") > 0.95


def test_swapped_labels_show_within_the_classes_alone(measure: Callable[..., QualitySheet], good: Made) -> None:
    images, labels = good
    right, swapped = measure(good, name="right"), measure((images, 1 - labels), name="swapped")
    for of in ("normal", "tumour"):
        assert value(row(swapped, of).synthetic, "kernel") > 2 * value(row(right, of).synthetic, "kernel"), of
    both = [value(row(sheet, "both classes").synthetic, "kernel") for sheet in (right, swapped)]
    assert both[1] == pytest.approx(both[0], rel=0.25)


def test_copies_are_warned_of_though_their_measures_are_good(
    measure: Callable[..., QualitySheet], prepared: RunFolder, tmp_path: Path
) -> None:
    sheet = measure(copied(prepared))
    assert sheet.copies is not None and sheet.copies.clear
    assert sheet.copies.matched > 0.9 > 0.05 > sheet.copies.matched_held_out
    assert (sheet.copies.synthetic, sheet.copies.held_out, sheet.copies.train) == (60, 60, 320)
    both = row(sheet, "both classes")
    assert value(both.synthetic, "frechet") < 1.5 * value(both.floor, "frechet")
    (said,) = [event for event in EventReader(tmp_path / "run" / "events.jsonl").read() if isinstance(event, Warned)]
    assert said.stage == "quality"
    assert "copies of training patches: 100% of 60 are much nearer to one training patch than to all" in said.message


def test_a_content_that_is_there_twice_is_compared_with_once(
    prepared: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(prepared.path.parent / "cache"))
    real = prepare.load(context(prepared.path))
    sha1, rows = real.sha1.copy(), real.train.rows
    sha1[rows[3]] = sha1[rows[1]]
    once = quality._without_repeats(replace(real, sha1=sha1))
    assert once.rows.tolist() == [row for row in rows if row != rows[3]]


def test_reconstructions_are_copies_without_a_warning(
    measure: Callable[..., QualitySheet], prepared: RunFolder, tmp_path: Path
) -> None:
    sheet = measure(copied(prepared), apply(CONFIG, [{"synthesis": {"reconstruct": True}}]))
    assert sheet.copies is not None and sheet.copies.clear
    assert not [event for event in EventReader(tmp_path / "run" / "events.jsonl").read() if isinstance(event, Warned)]
    assert "Reconstructions are meant to be copies of training patches." in sheet.notes


def test_a_real_trained_classifiers_space_is_named_for_it(
    prepared: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Made
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(prepared.path.parent / "cache"))
    config = apply(CONFIG, [{"classifier": {"train_on": "real"}}])
    found = with_synthetic(prepared, tmp_path / "run", good, config)
    save_classifier(found)
    quality.run(found)
    sheet = read_quality(found.folder.quality)
    assert sheet is not None
    assert list(dict.fromkeys(each.space for each in sheet.comparisons)) == [
        "random convolutions",
        "cnn trained on tissue",
    ]
    assert not any("No classifier" in note for note in sheet.notes)


def test_the_floor_in_a_classifiers_space_is_of_patches_that_it_was_not_fitted_on(
    prepared: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Made
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(prepared.path.parent / "cache"))
    config = apply(CONFIG, [{"classifier": {"train_on": "real"}, "quality": {"patches": 30}}])
    found = with_synthetic(prepared, tmp_path / "run", good, config)
    save_classifier(found)
    real = prepare.load(found)
    fitted = classifier.training_set(found, real, "real").fit
    known = torch.cat([_sums(to_float(images)) for _, images in in_order(fitted, 64, CPU)])

    def learnt_by_heart(images: torch.Tensor) -> torch.Tensor:
        """What it was fitted on is far from all else."""
        pooled = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)
        return pooled + 5 * torch.isin(_sums(images), known)[:, None]

    monkeypatch.setattr(quality, "classifier_space", lambda name, _: Space(name, learnt_by_heart))
    quality.run(found)
    sheet = read_quality(found.folder.quality)
    assert sheet is not None
    both = next(
        each for each in sheet.comparisons if (each.space, each.of) == ("cnn trained on tissue", "both classes")
    )
    assert value(both.floor, "frechet") < 2 * value(both.synthetic, "frechet")
    assert value(both.floor, "detector_auc") < 0.8
    assert any("real patches that chose its epoch, and that it was not fitted on" in note for note in sheet.notes)


def _sums(images: torch.Tensor) -> torch.Tensor:
    return images.double().sum(dim=(1, 2, 3))


def save_classifier(found: Context) -> Path:
    """A classifier as one that has been trained on real patches leaves it."""
    training = {
        "trained_on": "tissue",
        "selected_on": "held-out tissue patches",
        "selected_epoch": 1,
        "validation_auc": 0.5,
        "cut": 0.0,
        "n_train": 10,
        "n_train_tumour": 5,
    }
    model = build_classifier(found.config.classifier, found.config.data.crop)
    folder = CheckpointFolder(found.folder.checkpoints / classifier.STAGE)
    return folder.save_final(State(prefixed("model", model.state_dict()), training)) / "state.safetensors"


def test_without_a_real_trained_classifier_its_space_is_said_to_be_missing(
    measure: Callable[..., QualitySheet], good: Made
) -> None:
    sheet = measure(good)
    assert {each.space for each in sheet.comparisons} == {"random convolutions"}
    assert any("No classifier of this run was trained on real patches alone" in note for note in sheet.notes)


def test_too_few_patches_leave_measures_out_and_say_why(measure: Callable[..., QualitySheet], good: Made) -> None:
    images, labels = good
    few = np.concatenate([np.flatnonzero(labels == 0)[:60], np.flatnonzero(labels == 1)[:4]])
    sheet = measure((images[few], labels[few]))
    tumour = row(sheet, "tumour")
    assert tumour.patches == 4
    assert tumour.left_out == (
        "the Fréchet distance needs at least 127 real patches; there are 4",
        "nearest neighbours with k = 5 needs at least 6 real patches; there are 4",
        "the detector over 5 folds needs at least 5 real patches; there are 4",
    )
    assert tumour.synthetic.frechet is None and tumour.floor.coverage is None
    assert tumour.synthetic.kernel is not None
    assert row(sheet, "normal").synthetic.coverage is not None


def test_a_space_that_fails_is_left_out_and_the_others_are_measured(
    measure: Callable[..., QualitySheet], good: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(images: torch.Tensor) -> torch.Tensor:
        raise DataError("own.pt: fails on 256 patches")

    monkeypatch.setattr(quality, "own_space", lambda *_: Space("own.pt", refuse))
    sheet = measure(good, apply(CONFIG, [{"quality": {"features": "own.pt"}}]))
    assert {each.space for each in sheet.comparisons} == {"random convolutions"} and sheet.copies is not None
    assert "Measures in a space are left out: own.pt: fails on 256 patches." in sheet.notes


def test_the_same_run_measures_the_same_and_another_seed_other_patches(
    measure: Callable[..., QualitySheet], good: Made
) -> None:
    first = measure(good, name="first")
    assert measure(good, name="second") == first
    other = measure(good, CONFIG.model_copy(update={"seed": 1}), name="third")
    assert row(other, "normal").synthetic != row(first, "normal").synthetic


def test_a_stop_leaves_nothing_half_done(
    prepared: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Made
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(prepared.path.parent / "cache"))
    found = with_synthetic(prepared, tmp_path / "run", good)
    found.stop.requested = True
    with pytest.raises(Stopped):
        quality.run(found)
    assert not quality.is_complete(found.folder)
    found.stop.requested = False
    quality.run(found)
    assert quality.is_complete(found.folder)
    said = {event.what for event in EventReader(found.folder.events).read() if isinstance(event, Progress)}
    assert {"looking for copies", "features of random convolutions"} <= said


# What the run says of it beforehand


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, True),
        ({"quality": {"enabled": False}}, False),
        ({"generator": None, "classifier": {"train_on": "real"}}, False),
        ({"generator": None, "synthesis": {"source": "runs/one"}}, True),
    ],
)
def test_it_comes_last_where_there_is_something_to_measure(changes: dict[str, Any], needed: bool) -> None:
    last = STAGES[-1]
    assert last.name == "quality"
    assert last.is_needed(apply(CONFIG, [changes])) is needed


def test_settings_that_can_never_work_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"quality.neighbours 30: of 25 patches none has so many .* at most 24"):
        apply(CONFIG, [{"quality": {"patches": 25, "neighbours": 30}}])
    with pytest.raises(ConfigError, match=r"quality.copies"):
        apply(CONFIG, [{"quality": {"copies": 19}}])


# The file


SHEET = QualitySheet(
    (Comparison("a space", "normal", 30, Measures(frechet=1.5, recall=0.25), Measures(), ("too few", "none")),),
    None,
    ("a note",),
)


def test_a_sheet_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "quality.json"
    assert read_quality(path) is None
    write_quality(path, SHEET)
    assert read_quality(path) == SHEET


def test_newer_fields_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "quality.json"
    write_quality(path, SHEET)
    tree = json.loads(path.read_text())
    tree["comparisons"][0]["synthetic"]["sharpness"] = 3
    tree["comparisons"][0]["tiles"] = [1]
    path.write_text(json.dumps({**tree, "more": 1}))
    assert read_quality(path) == SHEET


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: "{",
        lambda tree: "[]",
        lambda tree: json.dumps({"comparisons": []}),
        lambda tree: json.dumps({**tree, "comparisons": 3}),
        lambda tree: json.dumps({**tree, "comparisons": [3]}),
        lambda tree: json.dumps({**tree, "notes": [3]}),
        lambda tree: json.dumps({**tree, "notes": "text"}),
        lambda tree: json.dumps({**tree, "copies": {"near": 0.5}}),
        lambda tree: json.dumps(tree).replace("1.5", "NaN"),
        lambda tree: json.dumps(tree).replace("1.5", "1e999"),
        lambda tree: json.dumps(tree).replace("1.5", '"wide"'),
        lambda tree: json.dumps(tree).replace('"too few"', "7"),
    ],
)
def test_a_damaged_sheet_is_refused_by_name(tmp_path: Path, spoil: Callable[[dict[str, Any]], str]) -> None:
    path = tmp_path / "quality.json"
    write_quality(path, SHEET)
    path.write_text(spoil(json.loads(path.read_text())))
    with pytest.raises(RunFolderError, match=r"quality.json: no record of quality that can be read"):
        read_quality(path)


def test_a_sheet_holds_no_infinite_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_quality(tmp_path / "quality.json", replace(SHEET, comparisons=(infinite(),)))


def infinite() -> Comparison:
    return Comparison("a space", "normal", 30, Measures(frechet=float("inf")), Measures())
