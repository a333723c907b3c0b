"""Quality measures against other people's implementations, and on samples that are bad in a known way."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torchmetrics.functional.pairwise import pairwise_euclidean_distance
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from engine.quality import distances, kernel
from engine.quality.copying import copying, distances_to, nearest_two, thumbnails
from engine.quality.detector import cross_fitted, detector_auc, fold_of
from engine.quality.fidelity import fidelity, needs
from engine.quality.frechet import frechet_distance
from engine.quality.kernel import discrepancy, kernel_distance
from engine.quality.neighbours import neighbours
from engine.quality.samples import standardised
from engine.spec.errors import DataError

SAME = {"rel": 1e-6, "abs": 0}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Test processes beside each other would otherwise spend their time waiting for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def normal(count: int, seed: int, size: int = 8, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    """Correlated features (count, size) of unequal variance."""
    mixing = np.random.default_rng(7).normal(size=(size, size))
    drawn = np.random.default_rng([seed, count]).normal(size=(count, size))
    return torch.from_numpy(drawn @ mixing * scale + 3 + shift)


def collapsed(count: int, seed: int) -> Tensor:
    """One patch over and over, with hardly any noise."""
    return normal(1, seed).repeat(count, 1) + 1e-3 * normal(count, seed + 1)


# Fréchet distance


def test_frechet_distance_equals_torchmetrics_and_a_matrix_square_root() -> None:
    real, synthetic = normal(200, 0), normal(150, 1, shift=0.5, scale=1.3)
    distance = frechet_distance(real, synthetic)
    theirs = _compute_fid(real.mean(0), real.T.cov(), synthetic.mean(0), synthetic.T.cov())
    assert distance == pytest.approx(float(theirs), **SAME)
    one, other = real.T.cov().numpy(), synthetic.T.cov().numpy()
    gap = ((real.mean(0) - synthetic.mean(0)) ** 2).sum().item()
    assert distance == pytest.approx(gap + np.trace(one + other - 2 * sqrtm(one @ other).real), **SAME)


def test_frechet_distance_of_known_gaussians() -> None:
    corners = torch.tensor([[x, y] for x in (-1.0, 1) for y in (-1.0, 1)], dtype=torch.float64)
    variance = 4 / 3
    moved = frechet_distance(corners, corners + torch.tensor([3.0, 4.0]))
    assert moved == pytest.approx(25, rel=1e-12)
    assert frechet_distance(corners, corners * 3) == pytest.approx(2 * variance * (3 - 1) ** 2, rel=1e-12)


def test_frechet_distance_is_zero_of_equal_sets_and_symmetric() -> None:
    real, synthetic = normal(100, 0), normal(100, 1)
    assert frechet_distance(real, real.flip(0)) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(real, synthetic) == pytest.approx(frechet_distance(synthetic, real), rel=1e-12)


def test_frechet_distance_with_features_that_never_vary_or_repeat_others() -> None:
    real, synthetic = normal(100, 0), normal(100, 1, shift=0.5)

    def singular(features: Tensor) -> Tensor:
        return torch.cat((features, torch.full((len(features), 3), 2.0)), dim=1)

    assert frechet_distance(singular(real), singular(synthetic)) == pytest.approx(
        frechet_distance(real, synthetic), rel=1e-12
    )
    # The same features twice: all of S, T and the distance are twice as large.
    twice = frechet_distance(torch.cat((real, real), 1), torch.cat((synthetic, synthetic), 1))
    assert twice == pytest.approx(2 * frechet_distance(real, synthetic), rel=1e-12)
    assert frechet_distance(singular(real), singular(real)) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(
    "bad", [lambda: normal(400, 1, shift=1), lambda: normal(400, 1, scale=2), lambda: collapsed(400, 1)]
)
def test_frechet_distance_is_large_of_shifted_wide_and_collapsed_samples(bad: Callable[[], Tensor]) -> None:
    real = normal(400, 0)
    assert frechet_distance(real, bad()) > 10 * frechet_distance(real, normal(400, 2))


def test_frechet_distance_says_how_many_patches_it_needs() -> None:
    with pytest.raises(DataError, match="needs at least 9 synthetic patches; there are 8"):
        frechet_distance(normal(9, 0), normal(8, 1))
    with pytest.raises(DataError, match="needs at least 9 real patches; there are 8"):
        frechet_distance(normal(8, 0), normal(9, 1))


# Kernel distance


def test_discrepancy_equals_torchmetrics() -> None:
    real, synthetic = normal(60, 0), normal(60, 1, shift=0.3)
    assert discrepancy(real, synthetic) == pytest.approx(float(poly_mmd(real, synthetic)), **SAME)


def test_discrepancy_of_unequal_numbers_equals_its_definition() -> None:
    real, synthetic = normal(6, 0, size=3), normal(4, 1, size=3)

    def cubic(x: Tensor, y: Tensor) -> float:
        return (float(x @ y) / 3 + 1) ** 3

    def mean_of_pairs(rows: Tensor) -> float:
        return float(np.mean([cubic(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]))

    between = float(np.mean([cubic(x, y) for x in real for y in synthetic]))
    expected = mean_of_pairs(real) + mean_of_pairs(synthetic) - 2 * between
    assert discrepancy(real, synthetic) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_is_a_mean_over_subsets_with_its_standard_error() -> None:
    real, synthetic = normal(300, 0), normal(300, 1, shift=0.5)
    few, many = (kernel_distance(real, synthetic, seed=3, subsets=count, size=50) for count in (25, 400))
    assert many.mean == pytest.approx(discrepancy(real, synthetic), abs=6 * many.error)
    assert few.error == pytest.approx(4 * many.error, rel=0.5)
    whole = kernel_distance(real, synthetic, seed=3, subsets=2, size=300)
    assert whole.mean == pytest.approx(discrepancy(real, synthetic), rel=1e-9)
    assert whole.error == pytest.approx(0, abs=1e-9 * whole.mean)


def test_standard_error_of_known_values(monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([1.0, 2.0, 6.0])
    monkeypatch.setattr(kernel, "discrepancy", lambda *_: next(values))
    found = kernel_distance(normal(9, 0), normal(9, 1), seed=0, subsets=3, size=5)
    assert found.mean == 3
    assert found.error == pytest.approx((7 / 3) ** 0.5)


def test_kernel_distance_depends_on_its_seed_alone() -> None:
    real, synthetic = normal(80, 0), normal(80, 1)
    first = kernel_distance(real, synthetic, seed=1, subsets=5, size=40)
    assert kernel_distance(real, synthetic, seed=1, subsets=5, size=40) == first
    assert kernel_distance(real, synthetic, seed=2, subsets=5, size=40) != first


def test_kernel_distance_is_about_zero_of_one_distribution_and_large_of_bad_samples() -> None:
    real = normal(400, 0)
    values = [discrepancy(real, normal(400, seed)) for seed in range(1, 21)]
    # Unbiased: its mean is zero, where that of a biased one would be above by the diagonals' share.
    spread = np.std([discrepancy(normal(400, seed), normal(400, 100 + seed)) for seed in range(20)])
    assert abs(np.mean([discrepancy(normal(400, s), normal(400, 100 + s)) for s in range(20)])) < 3 * spread / 20**0.5
    for bad in (normal(400, 1, shift=1), normal(400, 1, scale=2), collapsed(400, 1)):
        assert discrepancy(real, bad) > 5 * max(map(abs, values))


def test_kernel_distance_says_how_many_patches_it_needs() -> None:
    with pytest.raises(DataError, match="subsets of 1000 needs at least 1000 synthetic patches; there are 20"):
        kernel_distance(normal(1000, 0), normal(20, 1), seed=0)
    with pytest.raises(ValueError, match="two subsets"):
        kernel_distance(normal(20, 0), normal(20, 1), seed=0, subsets=1, size=10)


# Nearest neighbours


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_neighbours_equal_prdc(k: int, shift: float) -> None:
    real, synthetic = normal(120, 0), normal(90, 1, shift=shift, scale=0.8)
    theirs = compute_prdc(real.numpy(), synthetic.numpy(), k)
    ours = neighbours(real, synthetic, k)
    assert 0 < ours.recall < 1
    for name, value in theirs.items():
        assert getattr(ours, name) == pytest.approx(value, rel=1e-12), name


def test_distances_in_blocks_equal_torchmetrics_and_scikit_learn() -> None:
    left, right = normal(50, 0), normal(33, 1)
    blocks = list(distances.squared_distances(left, right, pairs=33 * 7))
    assert [rows.start for rows, _ in blocks] == list(range(0, 50, 7))
    whole = torch.cat([block for _, block in blocks]).sqrt()
    assert torch.allclose(whole, pairwise_euclidean_distance(left, right), rtol=1e-9)
    theirs = NearestNeighbors(n_neighbors=4).fit(left.numpy()).kneighbors(left.numpy())[0][:, 3]
    assert distances.squared_radii(left, 3, pairs=50 * 7).sqrt().numpy() == pytest.approx(theirs, rel=1e-9)


def test_distances_far_from_the_origin_keep_their_digits() -> None:
    left, right = normal(20, 0) + 1e6, normal(30, 1) + 1e6
    (_, block), *_ = distances.squared_distances(left, right)
    assert block.sqrt().numpy() == pytest.approx(cdist(left.numpy(), right.numpy()), rel=1e-6)


def test_neighbours_of_equal_sets_are_perfect() -> None:
    real = normal(100, 0)
    found = neighbours(real, real.flip(0))
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density >= 1


def test_neighbours_of_another_sample_of_the_same_distribution() -> None:
    found = neighbours(normal(1000, 0, size=3), normal(1000, 1, size=3))
    assert found.precision > 0.9
    assert found.recall > 0.9
    assert found.density == pytest.approx(1, abs=0.1)
    assert found.coverage == pytest.approx(1 - 0.5**5, abs=0.02), "the closed form of Naeem et al. (2020), lemma 3"


def test_neighbours_tell_a_collapse_from_a_shift() -> None:
    real = normal(300, 0)
    one_place = neighbours(real, collapsed(300, 5))
    assert one_place.recall == 0
    assert one_place.coverage < 0.05
    centre = real.mean(0) + 0.01 * (normal(300, 1) - real.mean(0))
    within = neighbours(real, centre)
    assert within.precision == 1, "every sample lies among the real ones"
    assert within.recall < 0.02, "and hardly any of the real ones among the samples"
    assert within.coverage < 0.1
    elsewhere = neighbours(real, normal(300, 1, shift=100))
    assert (elsewhere.precision, elsewhere.recall, elsewhere.density, elsewhere.coverage) == (0, 0, 0, 0)


def test_coverage_falls_as_modes_are_dropped() -> None:
    modes = torch.arange(600) % 4
    real, synthetic = (normal(600, seed, size=2) + 100 * modes[:, None] for seed in (0, 1))
    half = synthetic[modes < 2]
    assert neighbours(real, half).coverage == pytest.approx(neighbours(real, synthetic).coverage / 2, abs=0.05)
    assert neighbours(real, half).precision > 0.9


def test_neighbours_say_how_many_patches_they_need() -> None:
    with pytest.raises(DataError, match="k = 5 needs at least 6 real patches; there are 5"):
        neighbours(normal(5, 0), normal(6, 1))


# Copying


def pictures(count: int, seed: int, side: int = 4) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 255, (count, 3, side, side)))


def test_distances_to_train_equal_scikit_learn_over_all_orientations() -> None:
    train, patches = pictures(40, 0), pictures(15, 1)
    turned = [
        turn
        for image in train.numpy()
        for k in range(4)
        for turn in (np.rot90(image, k, (1, 2)), np.rot90(image, k, (1, 2))[:, ::-1])
    ]
    assert len(turned) == 8 * 40
    between = cdist(patches.flatten(1).numpy(), np.stack(turned).reshape(320, -1)).reshape(15, 40, 8).min(2)
    theirs = np.sort(between, axis=1)[:, :2]
    assert distances_to(train, patches).numpy() == pytest.approx(theirs, rel=1e-9)
    assert distances_to(train, patches, pairs=8 * 40 * 4).numpy() == pytest.approx(theirs, rel=1e-9)
    assert (theirs[:, 0] < cdist(patches.flatten(1).numpy(), train.flatten(1).numpy()).min(1)).any()


def test_the_nearest_two_of_parts_are_those_of_all() -> None:
    train, patches = pictures(30, 0), pictures(9, 1)
    alone = distances_to(train[:1], patches)
    assert alone[:, 1].isinf().all()
    rest = distances_to(train[1:], patches)
    assert torch.allclose(nearest_two(alone, rest), distances_to(train, patches))


def copies_of(train: Tensor) -> Tensor:
    """Every training picture in each of the eight orientations."""
    turned = torch.cat([torch.rot90(train, k, (2, 3)) for k in range(4)])
    return torch.cat((turned, turned.flip(3)))


def test_copies_in_any_orientation_are_found() -> None:
    train, held_out = pictures(60, 0), distances_to(pictures(60, 0), pictures(100, 1))
    to_train = distances_to(train, copies_of(train))
    assert to_train[:, 0].max() < 1e-3
    found = copying(to_train, held_out)
    assert (found.matched, found.near) == (1, 1)
    assert found.ratio < 1e-5
    nearly = copying(distances_to(train, copies_of(train) + pictures(480, 2) / 20), held_out)
    assert (nearly.matched, nearly.near) == (1, 1)
    assert nearly.ratio < 0.1


def test_new_patches_are_no_copies() -> None:
    train = pictures(200, 0)
    held_out, new = (distances_to(train, pictures(1000, seed)) for seed in (1, 2))
    found = copying(new, held_out, quantile=0.1)
    assert found.near == pytest.approx(0.1, abs=0.04)
    assert found.ratio == pytest.approx(1, abs=0.02)
    assert found.matched == found.matched_held_out == 0


def test_blurred_patches_are_near_to_all_and_matched_to_none() -> None:
    train, held_out = pictures(200, 0), distances_to(pictures(200, 0), pictures(300, 1))
    flat = pictures(300, 2).mean((2, 3), keepdim=True).expand(-1, -1, 4, 4)
    found = copying(distances_to(train, flat), held_out)
    assert found.near == 1
    assert found.ratio < 0.9
    assert found.matched == 0


def test_a_patch_that_is_in_training_twice_hides_its_copies() -> None:
    train, held_out = pictures(50, 0), distances_to(pictures(50, 0), pictures(100, 1))
    assert copying(distances_to(train.repeat(2, 1, 1, 1), train + 1), held_out).matched == 0


def test_the_share_of_copies_is_counted() -> None:
    train = pictures(100, 0)
    mixed = torch.cat((train[:30], pictures(70, 3)))
    found = copying(distances_to(train, mixed), distances_to(train, pictures(200, 1)), quantile=0.01)
    assert found.near == pytest.approx(0.3, abs=0.03)
    assert found.matched == 0.3


def test_copying_asks_for_enough_held_out_patches_that_are_not_training_patches() -> None:
    with pytest.raises(DataError, match=r"the 0.01-quantile needs at least 100 held-out patches; there are 99"):
        copying(torch.ones(5, 2), torch.ones(99, 2), quantile=0.01)
    with pytest.raises(DataError, match="at least 1 synthetic"):
        copying(torch.ones(0, 2), torch.ones(99, 2))
    with pytest.raises(DataError, match="in the training set too"):
        copying(torch.ones(5, 2), torch.zeros(99, 2))


def test_thumbnails_are_means_over_squares() -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))
    small = thumbnails(images)
    assert small.shape == (3, 3, 16, 16)
    assert small[1, 2, 5, 7].item() == pytest.approx(images[1, 20:24, 28:32, 2].double().mean().item(), rel=1e-12)


# Detector


def test_detector_equals_scikit_learn_on_the_same_folds() -> None:
    features = torch.cat((normal(90, 0), normal(60, 1, shift=0.6)))
    labels = np.repeat(np.array([0, 1], np.uint8), (90, 60))
    fold = fold_of(labels, 4, seed=2)
    theirs = np.empty(150)
    for number in range(4):
        fitted, scored = standardised(features[fold != number], features[fold == number])
        regression = LogisticRegression(C=1 / 0.5, tol=1e-12, max_iter=10_000)
        regression.fit(fitted.numpy(), labels[fold != number])
        theirs[fold == number] = regression.decision_function(scored.numpy())
    ours = cross_fitted(features, labels, fold, penalty=0.5)
    assert ours.numpy() == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    auc = detector_auc(normal(90, 0), normal(60, 1, shift=0.6), seed=2, folds=4, penalty=0.5).auc
    assert auc == pytest.approx(roc_auc_score(labels, theirs), **SAME)


def test_folds_hold_each_class_evenly() -> None:
    labels = (np.arange(50) % 5 == 0).astype(np.uint8)
    fold = fold_of(labels, 5, seed=1)
    assert np.bincount(fold).tolist() == [10] * 5
    assert np.bincount(fold[labels == 1]).tolist() == [2] * 5
    assert not np.array_equal(fold, fold_of(labels, 5, seed=2))


def test_detector_is_at_a_half_of_one_distribution_and_at_one_of_bad_samples() -> None:
    real = normal(400, 0)
    same = detector_auc(real, normal(400, 1), seed=0)
    assert same.low < 0.5 < same.high
    assert detector_auc(real, normal(400, 1, shift=100), seed=0).auc == 1
    assert detector_auc(real, normal(400, 1, shift=0.5), seed=0).low > 0.6


def test_detector_scores_no_patch_that_it_was_fitted_to() -> None:
    # As many features as patches: a fit tells them apart whatever they are.
    one, other = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 60, 120)))
    assert detector_auc(one, other, seed=0).auc < 0.7


def test_detector_asks_for_a_patch_in_every_fold() -> None:
    with pytest.raises(DataError, match="over 5 folds needs at least 5 synthetic patches; there are 4"):
        detector_auc(normal(5, 0), normal(4, 1), seed=0)


# Sets


@pytest.mark.parametrize(
    "measure",
    [frechet_distance, neighbours, lambda r, s: kernel_distance(r, s, 0, 2, 9), lambda r, s: detector_auc(r, s, 0)],
)
def test_features_that_cannot_be_compared_are_refused(measure: Callable[[Tensor, Tensor], object]) -> None:
    real = normal(20, 0)
    with pytest.raises(DataError, match="real patches have 8 features and synthetic ones 5"):
        measure(real, normal(20, 1, size=5))
    broken = normal(20, 1)
    broken[3, 2] = torch.nan
    with pytest.raises(DataError, match="synthetic features hold values that are not finite"):
        measure(real, broken)
    with pytest.raises(DataError, match=r"real features have the shape \(20, 4, 2\)"):
        measure(real.view(20, 4, 2), real)


def test_single_precision_is_measured_in_double() -> None:
    real, synthetic = normal(50, 0).float(), normal(50, 1).float()
    assert frechet_distance(real, synthetic) == frechet_distance(real.double(), synthetic.double())
    assert neighbours(real, synthetic) == neighbours(real.double(), synthetic.double())


def test_standardised_features_are_in_units_of_the_real_ones() -> None:
    real, other = normal(50, 0), normal(50, 1)
    scaled, scaled_other = standardised(real, other)
    assert scaled.mean(0).abs().max() < 1e-12
    assert torch.allclose(scaled.std(0), torch.ones(8, dtype=torch.float64))
    assert torch.allclose(scaled_other, (other - real.mean(0)) / real.std(0))


def test_a_feature_that_never_varies_stays_finite() -> None:
    real, other = normal(50, 0), normal(50, 1)
    real[:, 3] = 2
    assert (
        standardised(real, other)[1][:, 3].abs().max() <= 1000 * (other[:, 3] - 2).abs().max() / real.std(0).max() + 1
    )
    assert standardised(torch.ones(5, 2), torch.zeros(5, 2))[1].tolist() == [[-1, -1]] * 5


def test_fidelity_has_every_measure_and_tells_good_samples_from_bad() -> None:
    real = normal(200, 0)
    good, bad = fidelity(real, normal(200, 1), seed=3), fidelity(real, collapsed(200, 5), seed=3)
    assert good.left_out == bad.left_out == ()
    one, other = good.measures, bad.measures
    assert None not in asdict(one).values()
    assert one.frechet is not None and other.frechet is not None and other.frechet > 10 * one.frechet
    assert one.kernel is not None and other.kernel is not None and other.kernel > 10 * abs(one.kernel)
    assert one.coverage is not None and other.coverage is not None and other.coverage < one.coverage / 5
    assert other.detector_auc is not None and other.detector_auc > 0.9
    assert one.detector_low is not None and one.detector_high is not None
    assert one.detector_low < 0.5 < one.detector_high


def test_what_there_are_too_few_patches_for_is_left_out_with_the_reason() -> None:
    found = fidelity(normal(7, 0), normal(7, 1), seed=0, k=7)
    assert found.left_out == (
        "the Fréchet distance needs at least 9 real patches; there are 7",
        "nearest neighbours with k = 7 needs at least 8 real patches; there are 7",
    )
    assert (found.measures.frechet, found.measures.coverage) == (None, None)
    assert found.measures.kernel is not None and found.measures.detector_auc is not None
    alone = fidelity(normal(1, 0), normal(1, 1), seed=0)
    assert len(alone.left_out) == 4
    assert set(asdict(alone.measures).values()) == {None}


@pytest.mark.parametrize("patches", [3, 4, 5, 8, 9, 20])
def test_what_the_measures_need_is_what_they_refuse(patches: int) -> None:
    found = fidelity(normal(patches, 0), normal(patches, 1), seed=0, k=3)
    refused = [said.partition(" real patches")[0] for said in found.left_out if not said.startswith("the kernel")]
    assert refused == [str(need) for need in needs(normal(1, 0).shape[1], 3) if need.patches > patches]
    assert (len(refused) == 3) == (patches == 3)


def test_fidelity_is_the_same_in_other_units() -> None:
    real, synthetic = normal(60, 0), normal(60, 1)
    units = torch.logspace(-1, 1, 8, dtype=torch.float64)
    one, other = (
        asdict(fidelity(real * unit, synthetic * unit, seed=0).measures) for unit in (torch.ones_like(units), units)
    )
    assert one == pytest.approx(other, rel=1e-6)
