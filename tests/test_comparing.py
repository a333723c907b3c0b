"""The paired comparison of two runs' AUCs, and the surest mistakes of one."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from data_samples import patches, write_folders
from fake_engine import score
from PIL import Image
from scipy.stats import norm
from scipy.stats import t as student
from scored_runs import TEST, from_pixels, write_sources, write_tested_run
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import binary_calibration_error

from engine import comparing, metrics
from engine.answer import load_query
from engine.comparing import Predictions, compare, read_predictions
from engine.metrics import paired_by_slide, paired_delong
from engine.mistakes import surest
from engine.progress import silent
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.run_folder import RunFolder
from engine.spec.scores import read_score_trees

AB = tuple[RunFolder, RunFolder]


def toy(size: int = 300) -> tuple[metrics.Labels, metrics.Array, metrics.Array]:
    rng = np.random.default_rng(11)
    labels = (rng.random(size) < 0.4).astype(np.uint8)
    common = rng.normal(size=size)
    first, second = (common + rng.normal(size=size) + gain * labels for gain in (0.8, 1.4))
    return labels, np.round(first, 1), second


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Packed once; a test that changes one works on a copy."""
    root = tmp_path_factory.mktemp("sources")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        yield write_sources(root)


@pytest.fixture
def runs(tmp_path: Path, sources: tuple[Path, Path]) -> AB:
    """Two classifiers on the same patches, in two layouts."""
    first, second = (
        write_tested_run(tmp_path / "runs" / name, source, from_pixels(seed, help))
        for name, source, seed, help in zip("ab", sources, (1, 2), (0.5, 2.0), strict=True)
    )
    return first, second


class TestPairedDelong:
    def test_equals_the_covariances_of_structural_components(self) -> None:
        labels, first, second = toy()
        components = []
        for logits in (first, second):
            tumour, normal = logits[labels == 1], logits[labels == 0]
            psi = (tumour[:, None] > normal) + 0.5 * (tumour[:, None] == normal)
            components.append((psi.mean(1), psi.mean(0)))
        (v10, w10), (v01, w01) = zip(*components, strict=True)
        covariance = np.cov(v10, w10) / len(v10) + np.cov(v01, w01) / len(v01)
        difference = w10.mean() - v10.mean()
        deviation = (covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]) ** 0.5
        found = paired_delong(labels, first, second)
        assert found.difference == pytest.approx(difference, abs=1e-12)
        assert (found.low, found.high) == pytest.approx(
            (difference - 1.959963985 * deviation, difference + 1.959963985 * deviation), abs=1e-8
        )
        assert found.p == pytest.approx(2 * (1 - norm.cdf(abs(difference) / deviation)), abs=1e-12)

    def test_agrees_with_resampled_patches(self) -> None:
        labels, first, second = toy(1000)
        rng, differences = np.random.default_rng(0), []
        for _ in range(400):
            rows = rng.integers(0, len(labels), len(labels))
            aucs = [metrics.delong(labels[rows], logits[rows]).auc for logits in (first, second)]
            differences.append(aucs[1] - aucs[0])
        found = paired_delong(labels, first, second)
        assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(differences), rel=0.12)

    def test_the_difference_is_that_of_the_aucs_and_turns_with_them(self) -> None:
        labels, first, second = toy()
        found, turned = paired_delong(labels, first, second), paired_delong(labels, second, first)
        assert found.difference == pytest.approx(metrics.delong(labels, second).auc - metrics.delong(labels, first).auc)
        assert (turned.difference, turned.low, turned.p) == pytest.approx((-found.difference, -found.high, found.p))

    def test_the_same_ranking_does_not_differ(self) -> None:
        labels, first, _ = toy()
        found = paired_delong(labels, first, 3 * first + 1)
        assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)

    def test_certain_difference(self) -> None:
        labels = np.array([0, 0, 1, 1], np.uint8)
        found = paired_delong(labels, np.array([4.0, 3, 2, 1]), np.array([1.0, 2, 3, 4]))
        assert (found.difference, found.p) == (1, 0)

    def test_one_patch_of_a_class_is_refused(self) -> None:
        with pytest.raises(ValueError, match="two patches of each class"):
            paired_delong(np.array([0, 0, 1], np.uint8), np.arange(3.0), np.arange(3.0))


class TestPairedBySlide:
    def test_patches_of_slides_of_their_own_are_delongs(self) -> None:
        labels, first, second = toy()
        found, patches = paired_by_slide(labels, first, second, np.arange(300)), paired_delong(labels, first, second)
        assert (found.difference, found.slides, patches.slides) == (pytest.approx(patches.difference), 300, None)
        # The same deviation, by Student's t.
        fewest = min(int(labels.sum()), 300 - int(labels.sum()))
        reach = student(fewest - 1).ppf(0.975) / norm.ppf(0.975) * (patches.high - patches.difference)
        assert (found.low, found.high) == pytest.approx((found.difference - reach, found.difference + reach))

    def test_agrees_with_resampled_slides(self) -> None:
        rng = np.random.default_rng(3)
        slides = rng.integers(0, 60, 1200)
        labels = (rng.random(1200) < rng.random(60)[slides]).astype(np.uint8)
        first = rng.normal(size=1200) + labels
        # What patches of one slide have in common moves the second ranking alone.
        second = first + rng.normal(size=60)[slides]
        found = paired_by_slide(labels, first, second, slides)
        own = [np.flatnonzero(slides == one) for one in range(60)]
        differences = []
        for _ in range(400):
            rows = np.concatenate([own[one] for one in rng.integers(0, 60, 60)])
            aucs = [metrics.delong(labels[rows], ranking[rows]).auc for ranking in (first, second)]
            differences.append(aucs[1] - aucs[0])
        both = min(len(np.unique(slides[labels == label])) for label in (0, 1)) - 1
        deviation = (found.high - found.difference) / student(both).ppf(0.975)
        assert deviation == pytest.approx(np.std(differences), rel=0.15)
        patches = paired_delong(labels, first, second)
        assert found.high - found.low > 1.3 * (patches.high - patches.low)
        assert found.p == pytest.approx(2 * student(both).sf(abs(found.difference) / deviation))

    def test_few_slides_of_a_class_are_not_taken_for_many(self) -> None:
        rng, low = np.random.default_rng(5), 0
        slides = np.repeat(np.arange(43), 20)
        labels = (slides < 3).astype(np.uint8)
        for _ in range(200):
            first, second = (rng.normal(size=43)[slides] + rng.normal(size=860) for _ in range(2))
            low += paired_by_slide(labels, first, second, slides).p < 0.05
        assert low / 200 < 0.06

    def test_a_class_on_one_slide_is_refused(self) -> None:
        labels = np.array([0, 0, 1, 1], np.uint8)
        with pytest.raises(ValueError, match="two slides with patches of each class"):
            paired_by_slide(labels, np.arange(4.0), np.arange(4.0), np.array([1, 2, 3, 3]))


class TestTwoRuns:
    @pytest.mark.parametrize("knows", [(True, True), (True, False), (False, True)])
    def test_slides_are_what_is_independent_where_a_run_knows_them(
        self, tmp_path: Path, sources: tuple[Path, Path], knows: tuple[bool, bool]
    ) -> None:
        names = sorted(path.relative_to(sources[0]) for path in sources[0].rglob("*.png"))
        table = tmp_path / "slides.csv"
        table.write_text("id,wsi\n" + "".join(f"{name},s{place % 7}\n" for place, name in enumerate(names)))
        one, two = (
            write_tested_run(tmp_path / name, sources[0], from_pixels(seed), slides=str(table) if known else None)
            for name, seed, known in zip("ab", (1, 2), knows, strict=True)
        )
        for run, known in zip((one, two), knows, strict=True):
            run.scores.write_text(json.dumps({"scores": [score(n_test_slides=7 if known else None)], "notes": []}))
        left, right = (read_predictions(run) for run in (one, two))
        tested = comparing.tested_patches(one if knows[0] else two)
        slides = tested.pack.slides[tested.rows].astype(np.int64)
        expected = paired_by_slide(left.labels, left.logits, right.logits, slides)
        assert asdict(compare(one, two)) == pytest.approx(asdict(expected)) and expected.slides == 7

    def test_patches_are_paired_by_what_they_are(self, runs: AB) -> None:
        images, labels = patches(60)
        images, labels = images[:TEST], labels[:TEST]
        expected = paired_delong(labels, from_pixels(1, 0.5)(images, labels), from_pixels(2, 2.0)(images, labels))
        found = compare(*runs)
        assert (found.difference, found.p) == pytest.approx((expected.difference, expected.p))

    def test_without_the_source_the_same_division_is_enough(self, tmp_path: Path, sources: tuple[Path, Path]) -> None:
        copy = shutil.copytree(sources[0], tmp_path / "folders")
        one, two = (write_tested_run(tmp_path / name, copy, from_pixels(7)) for name in "ab")
        shutil.rmtree(copy)
        assert compare(one, two).p == 1

    def test_other_patches_are_refused(self, runs: AB, tmp_path: Path) -> None:
        images, labels = patches(60, seed=9)
        splits = {"train": (images[TEST:], labels[TEST:]), "test": (images[:TEST], labels[:TEST])}
        write_folders(tmp_path / "others", splits)
        other = write_tested_run(tmp_path / "runs" / "c", tmp_path / "others", from_pixels(1))
        with pytest.raises(ConfigError, match="a and c were tested on different patches"):
            compare(runs[0], other)

    def test_other_numbers_of_patches_are_refused(self, runs: AB, tmp_path: Path, sources: tuple[Path, Path]) -> None:
        fewer = write_tested_run(tmp_path / "runs" / "few", sources[0], from_pixels(1), limit=20)
        with pytest.raises(ConfigError, match="a and few were tested on different patches, 40 and 5 of them"):
            compare(runs[0], fewer)

    def test_other_labels_are_refused(self, runs: AB) -> None:
        with np.load(runs[1].predictions) as saved:
            np.savez(
                runs[1].predictions, answer_labels=1 - saved["answer_labels"], answer_logits=saved["answer_logits"]
            )
        with pytest.raises(ConfigError, match="a and b have different labels"):
            compare(*runs)

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"\x93NUMPY"], ids=["empty", "torn", "other"])
    def test_damaged_predictions_are_named(self, runs: AB, content: bytes) -> None:
        runs[1].predictions.write_bytes(content)
        with pytest.raises(RunFolderError, match=r"b/predictions\.npz: damaged"):
            compare(*runs)

    def test_predictions_of_another_length_are_damage(self, runs: AB) -> None:
        np.savez(runs[1].predictions, answer_labels=np.zeros(3, np.uint8), answer_logits=np.zeros(4))
        with pytest.raises(RunFolderError, match="do not go together"):
            compare(*runs)

    def test_a_changed_source_is_refused(self, runs: AB, tmp_path: Path, sources: tuple[Path, Path]) -> None:
        copy = shutil.copytree(sources[0], tmp_path / "folders")
        run = write_tested_run(tmp_path / "c", copy, from_pixels(1))
        next((copy / "train").rglob("*.png")).unlink()
        with pytest.raises(RunFolderError, match="c: the patches of folders have changed"):
            compare(runs[1], run)


def test_the_query_answers_every_pair_and_says_why_not(runs: AB, tmp_path: Path) -> None:
    unscored = tmp_path / "runs" / "c"
    unscored.mkdir()
    answer = load_query("comparison")({"runs": [str(run.path) for run in runs] + [str(unscored)]}, silent)
    (pair,) = answer["pairs"]
    assert (pair["first"], pair["second"], pair["p"]) == ("a", "b", pytest.approx(compare(*runs).p))
    assert [(row["first"], row["second"], row["why"]) for row in answer["refused"]] == [
        ("a", "c", "c: no predictions yet"),
        ("b", "c", "c: no predictions yet"),
    ]


def test_only_the_pairs_that_are_asked_for_are_compared(runs: AB) -> None:
    one, two = (str(run.path) for run in runs)
    answer = load_query("comparison")({"pairs": [[two, one]]}, silent)
    (pair,) = answer["pairs"]
    assert (pair["first"], pair["second"]) == (runs[1].id, runs[0].id)
    assert pair["difference"] == pytest.approx(compare(runs[1], runs[0]).difference)
    assert load_query("comparison")({"pairs": []}, silent) == {"pairs": [], "refused": []}


class TestMistakes:
    def test_surest_first_and_only_mistakes(self) -> None:
        labels = np.array([0, 0, 0, 1, 1, 1], np.uint8)
        logits = np.array([3.0, 0.1, -4.0, -5.0, 2.0, -0.1])
        positives, negatives = surest(Predictions(labels, logits), 0.5, 8)
        assert (positives.tolist(), negatives.tolist()) == ([0, 1], [3, 5])
        assert [places.tolist() for places in surest(Predictions(labels, logits), 0.6, 1)] == [[0], [3]]

    def test_rows_and_pictures_are_of_the_same_patches(self, runs: AB, sources: tuple[Path, Path]) -> None:
        answer = load_query("mistakes")({"run": str(runs[0].path), "n": 3}, silent)
        rows = answer["false_negatives"]["rows"]
        assert [row["label"] for row in rows] == [1, 1, 1]
        assert [row["probability"] for row in rows] == sorted(row["probability"] for row in rows)
        assert all(row["probability"] < 0.5 for row in rows)
        picture = Path(answer["false_negatives"]["picture"])
        assert picture.is_relative_to(sources[0].parent / "cache") and not picture.is_relative_to(runs[0].path)
        drawn = np.asarray(Image.open(picture))[:96, :96]
        original = Image.open(sources[0] / rows[0]["id"])
        assert np.array_equal(drawn, np.asarray(original))

    def test_a_run_without_mistakes_has_no_pictures(self, tmp_path: Path, sources: tuple[Path, Path]) -> None:
        run = write_tested_run(tmp_path / "sure", sources[0], lambda _, labels: labels * 9.0 - 4)
        answer = load_query("mistakes")({"run": str(run.path), "n": 3}, silent)
        assert (answer["false_positives"], answer["false_negatives"]) == ({"picture": None, "rows": []},) * 2

    @pytest.mark.parametrize("n", [0, 65])
    def test_how_many_has_bounds(self, tmp_path: Path, n: int) -> None:
        with pytest.raises(ConfigError, match=f"n: {n}; it must be from 1 to 64"):
            load_query("mistakes")({"run": str(tmp_path), "n": n}, silent)

    def test_no_predictions_yet(self, tmp_path: Path) -> None:
        with pytest.raises(RunFolderError, match="no predictions yet"):
            load_query("mistakes")({"run": str(tmp_path)}, silent)


def test_the_calibration_error_is_torchmetrics() -> None:
    labels, logits, _ = toy(500)
    probability = metrics.probabilities(logits)
    theirs = binary_calibration_error(torch.from_numpy(probability), torch.from_numpy(labels).long(), n_bins=15)
    assert metrics.calibration_error(labels, probability, 15) == pytest.approx(float(theirs), rel=1e-6)


def test_the_calibration_curve_is_scikit_learns() -> None:
    labels, logits, _ = toy(500)
    probability = metrics.probabilities(logits)
    curve = metrics.calibration(labels, probability, 15)
    observed, predicted = calibration_curve(labels, probability, n_bins=15, strategy="uniform")
    assert curve.observed == pytest.approx(observed, abs=1e-12)
    assert curve.probability == pytest.approx(predicted, abs=1e-12)
    assert sum(curve.count) == 500
    gaps = np.abs(np.subtract(curve.observed, curve.probability)) * curve.count
    assert gaps.sum() / 500 == pytest.approx(metrics.calibration_error(labels, probability, 15), abs=1e-12)


def test_score_sheets_without_a_calibration_curve_can_be_read(tmp_path: Path) -> None:
    old, new = score(), score(calibration={"probability": [0.2], "observed": [0.3], "count": [9]})
    (tmp_path / "scores.json").write_text(json.dumps({"scores": [old, new], "notes": []}))
    assert [row.get("calibration") for row in read_score_trees(tmp_path / "scores.json")] == [None, new["calibration"]]
    (tmp_path / "scores.json").write_text(json.dumps({"scores": [score(calibration=[1])], "notes": []}))
    with pytest.raises(RunFolderError, match="not a score sheet"):
        read_score_trees(tmp_path / "scores.json")
