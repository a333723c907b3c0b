"""Metrics against scikit-learn, closed forms and counts done by hand."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import auc, log_loss, roc_auc_score

from engine import metrics


def toy(size: int = 400, ties: bool = False) -> tuple[metrics.Labels, metrics.Array]:
    rng = np.random.default_rng(3)
    labels = (rng.random(size) < 0.4).astype(np.uint8)
    logits = rng.normal(size=size) + labels
    return labels, np.round(logits, 1) if ties else logits


@pytest.mark.parametrize("ties", [False, True])
def test_auc_equals_scikit_learn(ties: bool) -> None:
    labels, logits = toy(ties=ties)
    assert metrics.delong(labels, logits).auc == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)


def test_delong_variance_equals_its_definition() -> None:
    labels, logits = toy(60, ties=True)
    tumour, normal = logits[labels == 1], logits[labels == 0]
    psi = (tumour[:, None] > normal).astype(float) + 0.5 * (tumour[:, None] == normal)
    variance = psi.mean(1).var(ddof=1) / len(tumour) + psi.mean(0).var(ddof=1) / len(normal)
    interval = metrics.delong(labels, logits)
    assert interval.high - interval.auc == pytest.approx(norm.ppf(0.975) * variance**0.5, abs=1e-12)
    assert interval.auc - interval.low == pytest.approx(norm.ppf(0.975) * variance**0.5, abs=1e-12)


def test_delong_interval_covers_the_true_auc_about_95_times_in_100() -> None:
    rng, truth, covered = np.random.default_rng(0), norm.cdf(1 / 2**0.5), 0
    for _ in range(400):
        labels = np.repeat(np.array([0, 1], np.uint8), 100)
        interval = metrics.delong(labels, rng.normal(size=200) + labels)
        covered += interval.low <= truth <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_auc_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="both classes"):
        metrics.delong(np.ones(5, np.uint8), np.arange(5.0))


def test_of_a_class_with_one_patch_nothing_is_known() -> None:
    found = metrics.delong(np.array([0, 0, 0, 1], np.uint8), np.array([0.1, 0.2, 0.9, 0.5]))
    assert (found.auc, found.low, found.high) == (pytest.approx(2 / 3), 0.0, 1.0)


def test_interval_of_a_perfect_ranking_stays_within_bounds() -> None:
    interval = metrics.delong(np.array([0, 0, 1, 1], np.uint8), np.array([1.0, 2, 3, 4]))
    assert (interval.auc, interval.low, interval.high) == (1.0, 1.0, 1.0)


def test_bootstrap_agrees_with_delong_and_with_its_seed() -> None:
    labels, logits = toy(2000)
    interval = metrics.delong(labels, logits)
    low, high = metrics.bootstrap(labels, logits, replicates=1000, seed=1)
    assert low == pytest.approx(interval.low, abs=0.005)
    assert high == pytest.approx(interval.high, abs=0.005)
    assert metrics.bootstrap(labels, logits, 50, seed=1) == metrics.bootstrap(labels, logits, 50, seed=1)


def test_spread_of_known_images() -> None:
    images = np.zeros((4, 2, 2, 3), np.uint8)
    assert metrics.spread(images) == 0
    images[:2] = 100
    assert metrics.spread(images) == 50


def test_cross_entropy_equals_scikit_learn_and_stays_finite() -> None:
    labels, logits = toy()
    assert metrics.cross_entropy(labels, logits) == pytest.approx(log_loss(labels, metrics.probabilities(logits)))
    assert metrics.cross_entropy(np.array([1], np.uint8), np.array([-1000.0])) == pytest.approx(1000)


def test_operating_point_counts() -> None:
    labels = np.array([0, 0, 0, 1, 1], np.uint8)
    point = metrics.operating_point(labels, np.array([-2.0, 0.0, 0.5, -0.5, 3.0]), 0.0)
    assert point.threshold == 0.5
    assert point.confusion == ((1, 2), (1, 1))
    assert (point.accuracy, point.sensitivity, point.specificity) == (0.4, 0.5, pytest.approx(1 / 3))


def test_calibration_error_of_known_bins() -> None:
    labels = np.array([0, 1, 1, 1], np.uint8)
    # Two bins: (0.2, 0.4) with a share of tumour of 0.5, and (0.9, 1.0) with 1.
    assert metrics.calibration_error(labels, np.array([0.2, 0.4, 0.9, 1.0]), 2) == pytest.approx((0.4 + 0.1) / 4)


def test_best_threshold_separates_where_it_can() -> None:
    labels = np.array([0, 0, 1, 1], np.uint8)
    assert metrics.best_cut(labels, np.array([-3.0, -1.0, 2.0, 4.0])) == 2.0


def test_best_threshold_of_a_useless_ranking_is_finite() -> None:
    assert np.isfinite(metrics.best_cut(np.array([1, 0], np.uint8), np.array([-1.0, 1.0])))


def test_roc_keeps_both_ends_and_its_area() -> None:
    labels, logits = toy(5000)
    curve = metrics.roc(labels, logits)
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)
    assert len(curve.fpr) <= 200
    assert auc(curve.fpr, curve.tpr) == pytest.approx(metrics.delong(labels, logits).auc, abs=0.01)


def test_a_classifier_that_is_sure_of_everything_keeps_its_ranking() -> None:
    labels, logits = toy(5000)
    sure = 60 + 20 * logits
    assert (metrics.probabilities(sure) == 1).mean() > 0.5
    curve = metrics.roc(labels, sure)
    assert auc(curve.fpr, curve.tpr) == pytest.approx(metrics.delong(labels, logits).auc, abs=0.01)
    point = metrics.operating_point(labels, sure, metrics.best_cut(labels, sure))
    assert point.sensitivity + point.specificity > 1.3


def test_slides_of_like_patches_make_a_wider_interval_than_patches_do() -> None:
    rng = np.random.default_rng(3)
    slides = np.repeat(np.arange(10), 100)
    labels = np.tile(np.array([0, 1], np.uint8), 500)
    # A slide's shift is that of all of its tumour patches, which else are all alike.
    logits = labels * rng.normal(1, 1.5, 10)[slides] + rng.normal(0, 0.2, 1000)
    low, high = metrics.bootstrap(labels, logits, 500, seed=0)
    slide_low, slide_high = metrics.bootstrap_by_slide(labels, logits, slides, 500, seed=0)
    auc = metrics.delong(labels, logits).auc
    assert slide_low < low < auc < high < slide_high
    assert slide_high - slide_low > 4 * (high - low)


def test_resampled_slides_against_every_resample_there_is() -> None:
    # Three slides, each a normal and a tumour patch: 27 equally likely resamples, their AUCs by hand below.
    slides, labels = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 1], np.uint8)
    logits = np.array([0.0, 5.0, 3.0, 2.0, 1.0, 4.0])
    wins = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])  # tumour of a row's slide over the normal of a column's
    aucs = []
    for drawn in product(range(3), repeat=3):
        times = np.bincount(drawn, minlength=3)
        aucs.append(times @ wins @ times / 9)
    assert sorted(set(np.round(aucs, 6))) == pytest.approx([0, 5 / 9, 8 / 9, 1])
    # 0 once, 5/9 six times, 8/9 twelve times, 1 eight times of 27.
    for level, expected in ((0.98, (0, 1)), (0.8, (5 / 9, 1)), (0.3, (8 / 9, 8 / 9))):
        ends = metrics.bootstrap_by_slide(labels, logits, slides, 4000, seed=2, level=level)
        assert ends == pytest.approx(expected)


def test_where_each_patch_is_a_slide_of_its_own_slides_say_what_patches_say() -> None:
    labels, logits = toy(2000)
    by_patch = metrics.bootstrap(labels, logits, 1000, seed=1)
    by_slide = metrics.bootstrap_by_slide(labels, logits, np.arange(2000), 1000, seed=1)
    assert by_slide == pytest.approx(by_patch, abs=0.005)
    assert by_slide == metrics.bootstrap_by_slide(labels, logits, np.arange(2000), 1000, seed=1)


def test_a_resample_without_a_class_is_drawn_again() -> None:
    labels, slides = np.array([0, 0, 1, 1], np.uint8), np.array([0, 0, 1, 1])
    assert metrics.bootstrap_by_slide(labels, np.array([1.0, 2, 3, 4]), slides, 50, seed=0) == (1.0, 1.0)
    with pytest.raises(ValueError, match="both classes"):
        metrics.bootstrap_by_slide(np.ones(4, np.uint8), np.arange(4.0), slides, 5, seed=0)
