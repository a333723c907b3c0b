"""A synthetic set taken from an earlier run: what is copied, what is refused, and what its generator may have seen."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import Images, Labels, patches, write_folders, write_run
from numpy.typing import NDArray
from toys import CPU

from engine import borrowing, filling
from engine.context import Context
from engine.control import StopFlag
from engine.pipeline import STAGES, remaining, run_stages
from engine.preflight import answer_preflight
from engine.progress import silent
from engine.spec.config import DataConfig, RunConfig, SynthesisConfig, TissueConfig
from engine.spec.errors import ConfigError, DataError, Stopped, StorageError
from engine.spec.event_log import EventReader, EventWriter
from engine.spec.events import ImageSaved, Metrics, Progress, Warned
from engine.spec.presets import PRESETS
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder
from engine.spec.scores import read_score_trees
from engine.stages import evaluation, prepare, synthesis

TISSUE = TissueConfig(train=40, test=20, slides=4)
DATA = DataConfig(crop=16, tissue=TISSUE)
SMALL = {
    "data": {"crop": 16, "tissue": {"train": 120, "test": 60, "slides": 4}},
    "classifier": {"epochs": 1, "batch_size": 8, "channels": 2},
    "training": {"threads": 1},
}
SMALL_VAE = {"generator": {"epochs": 1, "batch_size": 8, "latent_dim": 4, "channels": 2}}

HALF = SynthesisConfig(ratio=0.5)

Lend = Callable[..., RunFolder]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def lend(tmp_path: Path) -> Lend:
    """Writes an earlier run with a synthetic set of noise; its generator has learned from no patch at all."""

    def write(
        name: str = "lender",
        made: tuple[Images, Labels] | None = None,
        learned_from: NDArray[np.uint8] | None = np.empty((0, 20), np.uint8),  # noqa: B008 - never changed
        data: DataConfig = DATA,
        **manifest: Any,
    ) -> RunFolder:
        run = RunFolder(tmp_path / "runs" / name)
        images, labels = patches(60, 5, side=16) if made is None else made
        write_run(run.path, data, images, labels)
        (run.synthetic / "manifest.json").write_text(json.dumps(manifest))
        if learned_from is not None:
            np.save(run.synthetic / "learned_from.npy", learned_from)
        return run

    return write


def context(folder: Path, config: RunConfig) -> Context:
    """A run that is about to be worked on."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    run.config.write_text(json.dumps(dump(config)))
    return Context(run, config, CPU, EventWriter(run.events), StopFlag())


def borrower(tmp_path: Path, lender: RunFolder, *changes: dict[str, Any], name: str = "borrower") -> Context:
    """A run that trains on an earlier one's patches, its own real ones prepared."""
    lent = {"synthesis": {"source": str(lender.path)}, "classifier": {"train_on": "synthetic"}}
    found = context(tmp_path / "runs" / name, apply(RunConfig(data=DATA), [lent, *changes]))
    prepare.run(found)
    return found


def synthetic(run: RunFolder) -> tuple[Images, Labels, dict[str, Any]]:
    images, labels = (np.load(run.synthetic / f"{name}.npy", allow_pickle=False) for name in ("images", "labels"))
    return images, labels, json.loads((run.synthetic / "manifest.json").read_text())


def warned(run: RunFolder) -> list[str]:
    return [event.message for event in EventReader(run.events).read() if isinstance(event, Warned)]


def sha1_of(run: Context, split: str) -> NDArray[np.uint8]:
    """Of the run's real patches in a split."""
    real = prepare.load(run)
    found: NDArray[np.uint8] = real.sha1[getattr(real, split).rows]
    return found


class TestCopying:
    @pytest.mark.parametrize("ratio", [1.0, 0.3])
    def test_patches_are_those_of_the_earlier_set_in_the_ratio_of_the_real_ones(
        self, tmp_path: Path, lend: Lend, ratio: float
    ) -> None:
        lender = lend()
        run = borrower(tmp_path, lender, {"synthesis": {"ratio": ratio}})
        synthesis.run(run)
        images, labels, manifest = synthetic(run.folder)
        lent_images, lent_labels, _ = synthetic(lender)
        places = [
            next(place for place, lent in enumerate(lent_images) if np.array_equal(image, lent)) for image in images
        ]
        assert places == sorted(set(places))
        assert np.array_equal(labels, lent_labels[places])
        train = prepare.load(run).train
        wanted = [round(ratio * count) for count in (len(train) - train.tumours, train.tumours)]
        assert np.bincount(labels).tolist() == wanted
        assert (manifest["count"], manifest["tumour"], manifest["crop"]) == (sum(wanted), wanted[1], 16)
        assert not (run.folder.path / ".partial-synthetic").exists()
        assert {path.name for path in run.folder.synthetic.iterdir()} == {
            "images.npy", "labels.npy", "learned_from.npy", "manifest.json",
        }  # fmt: skip

    def test_the_seed_chooses_the_rows(self, lend: Lend, tmp_path: Path) -> None:
        made, real = patches(60, side=16)[1], prepare.load(borrower(tmp_path, lend())).train
        first, again, other = (synthesis.chosen_rows(made, real, HALF, seed).tolist() for seed in (0, 0, 1))
        assert first == again != other

    def test_a_stop_in_between_changes_nothing(
        self, tmp_path: Path, lend: Lend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lender, small = lend(), {"synthesis": {"batch_size": 8}}
        run, undisturbed = (borrower(tmp_path, lender, small, name=name) for name in ("stopped", "undisturbed"))
        synthesis.run(undisturbed)
        show = filling.Meter.show

        def stop_at_16(meter: filling.Meter, step: int) -> None:
            show(meter, step)
            run.stop.requested = step == 16

        with monkeypatch.context() as patched:
            patched.setattr(filling.Meter, "show", stop_at_16)
            with pytest.raises(Stopped):
                synthesis.run(run)
        assert not synthesis.is_complete(run.folder)
        begun = np.load(run.folder.path / ".partial-synthetic" / "images.npy")
        assert np.array_equal(begun[:16], synthetic(undisturbed.folder)[0][:16]) and not begun[16:].any()
        run.stop.requested = False
        steps: list[int] = []
        monkeypatch.setattr(filling.Meter, "show", lambda meter, step: steps.append(step))
        synthesis.run(run)
        assert steps == [24, 32, 40]
        for one, other in zip(synthetic(run.folder), synthetic(undisturbed.folder), strict=True):
            assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other

    def test_its_progress_has_a_total(self, tmp_path: Path, lend: Lend) -> None:
        run = borrower(tmp_path, lend())
        synthesis.run(run)
        said = [event for event in EventReader(run.folder.events).read() if isinstance(event, Progress)]
        assert [(event.what, event.step, event.total) for event in said if event.stage == "synthesis"] == [
            ("copying", 40, 40)
        ]

    def test_a_grid_shows_what_was_taken(self, tmp_path: Path, lend: Lend) -> None:
        run = borrower(tmp_path, lend(run="first"))
        synthesis.run(run)
        (image,) = (
            event
            for event in EventReader(run.folder.events).read()
            if isinstance(event, ImageSaved) and event.stage == "synthesis"
        )
        assert (run.folder.path / image.path).is_file()
        assert image.caption == "patches of first, normal above tumour"

    def test_a_disk_without_room_is_said_before_anything_is_copied(
        self, tmp_path: Path, lend: Lend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = borrower(tmp_path, lend())
        left = run.folder.path / ".partial-synthetic" / "images.npy"
        left.parent.mkdir()
        left.write_bytes(b"of an attempt that was killed")

        def full(folder: Path, needed: int, advice: str) -> None:
            assert needed == 40 * 16 * 16 * 3 and not left.exists()
            raise StorageError("full")

        monkeypatch.setattr(filling, "check_space", full)
        with pytest.raises(StorageError, match="full"):
            synthesis.run(run)
        assert not left.exists()

    @pytest.mark.parametrize(
        ("said", "origin", "words"),
        [
            ({}, {"run": "lender"}, "run lender"),
            (
                {"run": "first", "preset": "vae-100", "seed": 7, "count": 60},
                {"run": "first", "preset": "vae-100", "seed": 7},
                "run first (preset vae-100, seed 7)",
            ),
        ],
    )
    def test_who_made_it_is_written_down(
        self, tmp_path: Path, lend: Lend, said: dict[str, Any], origin: dict[str, Any], words: str
    ) -> None:
        run = borrower(tmp_path, lend(**said))
        synthesis.run(run)
        manifest = synthetic(run.folder)[2]
        assert {name: manifest[name] for name in ("run", "preset", "seed") if name in manifest} == origin
        assert synthesis.maker(run.folder) == words

    @pytest.mark.parametrize("damage", ["", "[]", "{"])
    def test_a_damaged_manifest_says_nothing(self, tmp_path: Path, lend: Lend, damage: str) -> None:
        lender = lend()
        (lender.synthetic / "manifest.json").write_text(damage)
        run = borrower(tmp_path, lender)
        synthesis.run(run)
        assert synthetic(run.folder)[2]["run"] == "lender"

    def test_a_collapsed_set_is_called_one(self, tmp_path: Path, lend: Lend) -> None:
        same = np.zeros((60, 16, 16, 3), np.uint8), (np.arange(60) % 2).astype(np.uint8)
        run = borrower(tmp_path, lend(made=same))
        synthesis.run(run)
        assert [message for message in warned(run.folder) if "collapsed" in message] == synthesis.warnings(run)
        assert len(synthesis.warnings(run)) == 2
        tolerant = apply(run.config, [{"monitoring": {"collapse_below": 0.0}}])
        assert synthesis.warnings(replace(run, config=tolerant)) == []


class TestRefusals:
    def test_too_few_of_a_class_names_the_largest_ratio_that_works(self, tmp_path: Path, lend: Lend) -> None:
        images, _ = patches(60, 5, side=16)
        lender = lend(made=(images, np.repeat(np.array([0, 1], np.uint8), [53, 7])))
        run = borrower(tmp_path, lender)
        train = prepare.load(run).train
        with pytest.raises(ConfigError) as caught:
            synthesis.run(run)
        said = str(caught.value)
        assert f"needs {len(train) - train.tumours} normal and {train.tumours} tumour patches" in said
        assert "has 53 and 7: set it to at most " in said
        ratio = float(said.partition("at most ")[2].partition(",")[0])
        have, works = np.repeat([0, 1], [53, 7]).astype(np.uint8), SynthesisConfig(ratio=ratio)
        assert len(synthesis.chosen_rows(have, train, works, 0))
        with pytest.raises(ConfigError):
            synthesis.chosen_rows(have, train, SynthesisConfig(ratio=ratio + 1 / train.tumours), 0)

    def test_too_few_where_the_classes_are_to_be_equal(self, tmp_path: Path, lend: Lend) -> None:
        train = prepare.load(borrower(tmp_path, lend())).train
        have, half = np.repeat([0, 1], [53, 7]).astype(np.uint8), len(train) / 2
        with pytest.raises(ConfigError, match=f"needs {half:.0f} normal and {half:.0f} tumour .* at most ") as caught:
            synthesis.chosen_rows(have, train, SynthesisConfig(classes="equal"), 0)
        works = float(str(caught.value).partition("at most ")[2].partition(",")[0])
        rows = synthesis.chosen_rows(have, train, SynthesisConfig(classes="equal", ratio=works), 0)
        assert np.bincount(have[rows]).tolist() == [7, 7]
        made = synthesis.synthetic_labels(train, SynthesisConfig(classes="equal", ratio=0.5), 0)
        assert train.tumours != half and np.bincount(made).tolist() == [round(half / 2)] * 2

    def test_a_class_that_is_not_there_has_no_ratio_that_works(self, tmp_path: Path, lend: Lend) -> None:
        run = borrower(tmp_path, lend(made=(patches(60, 5, side=16)[0], np.zeros(60, np.uint8))))
        with pytest.raises(ConfigError, match=r"has 60 and 0: take another run's$"):
            synthesis.run(run)

    @pytest.mark.parametrize(
        ("number", "text"), [(0.75, "0.75"), (1 / 3, "0.3333"), (12.34567, "12.3456"), (2.0, "2"), (0.00001, "0")]
    )
    def test_a_ratio_is_rounded_down(self, number: float, text: str) -> None:
        assert borrowing.rounded_down(number) == text

    def test_another_crop(self, tmp_path: Path, lend: Lend) -> None:
        run = borrower(tmp_path, lend(made=patches(60, 5, side=32)))
        with pytest.raises(DataError, match=r"lender: its patches have 32 pixels and data\.crop is 16"):
            synthesis.run(run)

    def test_a_run_that_has_made_none(self, tmp_path: Path, lend: Lend) -> None:
        lender = lend()
        run = borrower(tmp_path, lender)
        shutil.rmtree(lender.synthetic)
        with pytest.raises(
            DataError, match=r"synthesis\.source .*lender: .*not made its synthetic set; `histotui resume"
        ):
            synthesis.run(run)

    def test_a_damaged_lineage(self, tmp_path: Path, lend: Lend) -> None:
        run = borrower(tmp_path, lend(learned_from=np.zeros((3, 8), np.uint8)))
        with pytest.raises(DataError, match=r"learned_from\.npy: shape \(3, 8\); it must be \(N, 20\)"):
            synthesis.run(run)


class TestLeaks:
    """Whether the generator was trained on what this run tests on."""

    def test_a_generator_that_has_seen_test_patches_is_refused(self, tmp_path: Path, lend: Lend) -> None:
        lender = lend()
        run = borrower(tmp_path, lender)
        seen = np.concatenate([sha1_of(run, "train"), sha1_of(run, "test")[[2, 5, 11]]])
        np.save(lender.synthetic / "learned_from.npy", seen)
        with pytest.raises(DataError, match="was trained on 3 of this run's 20 test patches"):
            synthesis.run(run)
        assert not run.folder.synthetic.exists() and not list(run.folder.path.glob(".partial-synthetic/*"))

    def test_one_that_has_seen_training_patches_is_not_and_its_lineage_goes_along(
        self, tmp_path: Path, lend: Lend
    ) -> None:
        lender = lend()
        run = borrower(tmp_path, lender)
        np.save(lender.synthetic / "learned_from.npy", sha1_of(run, "train"))
        synthesis.run(run)
        assert np.array_equal(np.load(run.folder.synthetic / "learned_from.npy"), sha1_of(run, "train"))
        assert synthetic(run.folder)[2]["warnings"] == [] and not synthesis.warnings(run)

    def test_one_that_has_seen_more_than_this_run_trains_on_is_said(self, tmp_path: Path, lend: Lend) -> None:
        splits = {"train": patches(40, 1, 16), "valid": patches(10, 3, 16), "test": patches(20, 2, 16)}
        write_folders(tmp_path / "f", splits)
        lender, data = lend(), {"source": str(tmp_path / "f")}
        whole = borrower(tmp_path, lender, {"data": data}, name="whole")
        seen = np.concatenate([sha1_of(whole, "train"), sha1_of(whole, "valid")[:3]])
        np.save(lender.synthetic / "learned_from.npy", seen)
        few = borrower(tmp_path, lender, {"data": {**data, "train_share": 0.5}})
        synthesis.run(few)
        (said,) = synthesis.warnings(few)
        assert "the generator of lender learned from 43 real patches and this run trains on 20, without 23" in said
        assert said.endswith("; 3 of this run's validation patches are among them")

    def test_what_was_taken_and_is_taken_again_is_known_as_well(self, tmp_path: Path, lend: Lend) -> None:
        write_folders(tmp_path / "f", {"train": patches(40, 1, 16), "test": patches(20, 2, 16)})
        write_folders(tmp_path / "swapped", {"train": patches(20, 2, 16), "test": patches(40, 1, 16)})
        lender = lend()
        between = borrower(tmp_path, lender, {"data": {"source": str(tmp_path / "f")}}, name="between")
        np.save(lender.synthetic / "learned_from.npy", sha1_of(between, "train"))
        synthesis.run(between)
        swapped = {"data": {"source": str(tmp_path / "swapped")}}
        with pytest.raises(DataError, match="between: its generator was trained on 40 of this run's 40 test patches"):
            synthesis.run(borrower(tmp_path, between.folder, swapped, name="last"))

    def prepared(self, tmp_path: Path, lend: Lend, source: str) -> RunFolder:
        """An earlier run that does not say what its generator has learned from, its patches prepared."""
        data = DataConfig(source=source, crop=16)
        lender = lend(learned_from=None, data=data)
        prepare.run(context(lender.path, RunConfig(data=data)))
        lender.config.write_text(json.dumps(dump(apply(RunConfig(data=data), [{"generator": {"kind": "vae"}}]))))
        return lender

    def test_without_a_lineage_the_same_test_patches_are_unseen(
        self, tmp_path: Path, lend: Lend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_folders(tmp_path / "f", {"train": patches(40, 1, 16), "test": patches(20, 2, 16)})
        lender = self.prepared(tmp_path, lend, str(tmp_path / "f"))
        run = borrower(tmp_path, lender, {"data": {"source": str(tmp_path / "f")}})
        monkeypatch.setattr(borrowing, "pack", lambda *_: 1 / 0)
        synthesis.run(run)
        assert synthetic(run.folder)[2]["warnings"] == []

    @pytest.mark.parametrize(("overlap", "refused"), [(7, True), (0, False)])
    def test_without_a_lineage_its_own_source_tells(
        self, tmp_path: Path, lend: Lend, overlap: int, refused: bool
    ) -> None:
        (images, labels), (others, _) = patches(40, 1, 16), patches(20, 2, 16)
        write_folders(tmp_path / "f", {"train": (images, labels), "test": (others, labels[:20])})
        mixed = np.concatenate([images[:overlap], others[overlap:19]])
        write_folders(tmp_path / "g", {"train": patches(40, 3, 16), "test": (mixed, labels[:19])})
        lender = self.prepared(tmp_path, lend, str(tmp_path / "f"))
        run = borrower(tmp_path, lender, {"data": {"source": str(tmp_path / "g")}})
        if refused:
            with pytest.raises(DataError, match="was trained on 7 of this run's 19 test patches"):
                synthesis.run(run)
            return
        synthesis.run(run)
        assert "and this run trains on 40, without 40 of those" in synthetic(run.folder)[2]["warnings"][0]

    @pytest.mark.parametrize(
        ("damage", "why"),
        [
            (lambda root, run: shutil.rmtree(root / "f"), "f: no such folder"),
            (lambda root, run: shutil.rmtree(run.data), "cannot be read"),
            (lambda root, run: run.config.unlink(), "cannot be read"),
            (lambda root, run: run.config.write_text("{"), "not a JSON file"),
            (lambda root, run: (run.data / "manifest.json").write_text("[]"), "cannot be read"),
            (lambda root, run: (run.data / "splits.npz").write_bytes(b"PK"), "cannot be read"),
            (lambda root, run: (root / "f" / "train" / "0" / "0000.png").unlink(), "has other patches than when"),
        ],
    )
    def test_what_cannot_be_checked_is_said(
        self, tmp_path: Path, lend: Lend, damage: Callable[[Path, RunFolder], None], why: str
    ) -> None:
        write_folders(tmp_path / "f", {"train": patches(40, 1, 16), "test": patches(20, 2, 16)})
        lender = self.prepared(tmp_path, lend, str(tmp_path / "f"))
        damage(tmp_path, lender)
        run = borrower(tmp_path, lender)
        synthesis.run(run)
        (message,) = warned(run.folder)[-1:]
        assert "generator of lender was trained on some of these test patches cannot be checked" in message
        assert why in message and "\n" not in message
        assert synthesis.warnings(run) == [message]
        assert not (run.folder.synthetic / "learned_from.npy").exists()

    def test_synthetic_patches_behind_a_generator_are_no_lineage(self, tmp_path: Path, lend: Lend) -> None:
        """A generator that learned from an earlier run's patches has learned from what stands behind these."""
        origin = lend("origin", learned_from=np.ones((2, 20), np.uint8))
        data = DataConfig(source=str(origin.path), crop=16)
        run = context(tmp_path / "runs" / "heir", RunConfig(data=data))
        prepare.run(run)
        known = synthesis._learned_from(run, prepare.load(run))
        assert known is not None and known.tolist() == [[1] * 20] * 2
        (origin.synthetic / "learned_from.npy").unlink()
        assert synthesis._learned_from(run, prepare.load(run)) is None
        heir = lend("heir-set", learned_from=None, data=data)
        shutil.copytree(run.folder.data, heir.data)
        with pytest.raises(DataError, match="does not say what its generator was trained on"):
            borrowing._training_patches(heir, silent)


class TestPreflight:
    def ask(self, lender: RunFolder, *changes: dict[str, Any]) -> dict[str, Any]:
        lent = {"synthesis": {"source": str(lender.path)}, "classifier": {"train_on": "both", "channels": 2}}
        return answer_preflight({"config": dump(apply(RunConfig(data=DATA), [lent, *changes]))}, silent)

    def test_what_is_copied_needs_disk(self, lend: Lend) -> None:
        lender = lend()
        half, whole = (self.ask(lender, {"synthesis": {"ratio": ratio}}) for ratio in (0.5, 1.0))
        assert whole["disk_bytes"] - half["disk_bytes"] == 20 * 16 * 16 * 3
        assert [text for text in whole["warnings"] if "synthesis" in text] == []

    def test_what_could_not_begin_is_refused(self, lend: Lend) -> None:
        lender = lend()
        with pytest.raises(DataError, match=r"its patches have 16 pixels and data\.crop is 32"):
            self.ask(lender, {"data": {"crop": 32}})
        shutil.rmtree(lender.synthetic)
        with pytest.raises(DataError, match=r"synthesis\.source .*not made its synthetic set; `histotui resume"):
            self.ask(lender)

    def test_a_set_that_is_too_small_is_said(self, lend: Lend) -> None:
        (said,) = (text for text in self.ask(lend(), {"synthesis": {"ratio": 2.0}})["warnings"] if "synthesis" in text)
        assert "needs about 80 synthetic patches and lender has 60: the run would fail; set it to about 1.5." in said


def test_real_and_an_earlier_run_s_patches_train_a_classifier_from_beginning_to_end(tmp_path: Path) -> None:
    first = context(tmp_path / "runs" / "first", apply(PRESETS["vae-100"].config, [SMALL, SMALL_VAE]))
    run_stages(first, lambda _: None)
    both = {"synthesis": {"source": str(first.folder.path)}, "classifier": {"train_on": "both"}}
    second = context(tmp_path / "runs" / "second", apply(PRESETS["baseline"].config, [SMALL, both]))
    entered: list[str] = []
    run_stages(second, entered.append)
    assert entered == ["prepare", "synthesis", "classifier", "reference", "evaluation", "quality"]
    assert not list(remaining(second.folder, second.config))
    lent, taken = synthetic(first.folder), synthetic(second.folder)
    assert np.array_equal(lent[0], taken[0]) and np.array_equal(lent[1], taken[1])
    assert np.array_equal(np.load(first.folder.synthetic / "learned_from.npy"), sha1_of(first, "train"))
    answer, reference, fidelity, _ = read_score_trees(second.folder.scores)
    assert (answer["trained_on"], answer["tested_on"], answer["n_test"]) == ("both", "tissue", 60)
    assert answer["n_train"] == pytest.approx(0.75 * 240, abs=20)
    assert answer["selected_on"] == "held-out tissue and synthetic patches"
    assert (reference["trained_on"], reference["role"], reference["source_run"]) == ("tissue", "reference", "first")
    assert (fidelity["role"], fidelity["tested_on"], fidelity["n_test"]) == ("label fidelity", "synthetic", 120)
    notes = json.loads(second.folder.scores.read_text())["notes"]
    np.save(second.folder.synthetic / "labels.npy", 1 - taken[1])
    evaluation.run(second)
    swapped = read_score_trees(second.folder.scores)
    assert swapped[:2] == [answer, reference]
    assert fidelity["auc"] != 0.5 and swapped[2]["auc"] == pytest.approx(1 - fidelity["auc"], abs=1e-12)
    assert "The synthetic patches were made by run first (preset vae-100, seed 0)." in notes
    assert any(note.startswith("The epoch was chosen on held-out tissue and synthetic patches;") for note in notes)
    logged = {
        name
        for event in EventReader(second.folder.events).read()
        if isinstance(event, Metrics)
        for name in event.values
    }
    assert "mixed_validation_auc" in logged and "synthetic_validation_auc" not in logged
    assert all(stage.is_complete(second.folder) for stage in STAGES if stage.name in entered)
