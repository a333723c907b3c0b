"""Gaussians and principal components against closed forms and dense linear algebra."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.gaussians import ClassGaussian, ClassMixture, Moments, principal_components, square_root
from engine.randomness import generator as rng_at
from engine.spec.errors import ConfigError

CPU = torch.device("cpu")


def correlated(count: int, seed: int = 0) -> Tensor:
    """Rows of three values, two of which go together."""
    rows = torch.randn(count, 3, generator=rng_at(seed, "rows"))
    rows[:, 1] = 2 * rows[:, 0] + 0.1 * rows[:, 1] + 5
    return rows


def in_batches(rows: Tensor, size: int = 7) -> Iterator[Tensor]:
    return iter(rows.split(size))


def test_moments_of_batches_are_those_of_all_rows() -> None:
    rows = correlated(50)
    moments = Moments(3, CPU)
    for batch in in_batches(rows):
        moments.add(batch)
    assert moments.count == 50
    np.testing.assert_allclose(moments.mean, rows.double().mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.double().T.numpy(), bias=True), atol=1e-12)


def test_a_singular_covariance_has_a_square_root() -> None:
    covariance = torch.tensor([[4.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    root = square_root(covariance)
    np.testing.assert_allclose(root @ root.mT, covariance, atol=1e-12)


def test_draws_have_the_mean_and_covariance_of_their_class() -> None:
    normal, tumour = correlated(4000, 1), -3 * correlated(4000, 2)
    rows, labels = torch.cat([normal, tumour]), torch.arange(2).repeat_interleave(4000)
    gaussian = ClassGaussian(3)
    gaussian.fit([(rows[::2], labels[::2]), (rows[1::2], labels[1::2])])
    asked = torch.arange(2).repeat(50_000)
    drawn = gaussian.draw(asked, torch.randn(len(asked), 3, generator=rng_at(3)))
    for label, seen in enumerate((normal, tumour)):
        mine = drawn[asked == label]
        scale = float(seen.std(0).max())
        np.testing.assert_allclose(mine.mean(0), seen.mean(0), atol=0.03 * scale)
        np.testing.assert_allclose(np.cov(mine.T.numpy()), np.cov(seen.T.numpy()), atol=0.03 * scale**2)


def test_noise_is_added_to_the_variances() -> None:
    gaussian = ClassGaussian(2)
    rows, labels = torch.tensor([[1.0, 5.0], [1.0, 5.0], [2.0, 2.0], [4.0, 2.0]]), torch.tensor([0, 0, 1, 1])
    gaussian.fit([(rows, labels)], lambda: torch.tensor([[9.0, 4.0], [0.0, 1.0]]))
    found = gaussian.factor @ gaussian.factor.mT
    np.testing.assert_allclose(found, [[[9, 0], [0, 4]], [[1, 0], [0, 1]]], atol=1e-6)


def test_before_it_is_fitted_draws_are_the_normal_ones() -> None:
    draws = torch.randn(4, 3, generator=rng_at(1))
    assert torch.equal(ClassGaussian(3).draw(torch.tensor([0, 1, 0, 1]), draws), draws)


def test_a_class_of_one_patch_has_no_gaussian() -> None:
    with pytest.raises(ConfigError, match="class 1 has 1 training patches"):
        ClassGaussian(2).fit([(torch.zeros(3, 2), torch.tensor([0, 0, 1]))])


def test_components_are_those_of_a_dense_decomposition() -> None:
    rows = torch.randn(200, 40, generator=rng_at(7)) * torch.linspace(5, 0.1, 40) + 3
    mean, basis = principal_components(lambda: in_batches(rows, 64), 5, rng_at(0))
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-5)
    _, _, directions = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    assert basis.shape == (5, 40)
    np.testing.assert_allclose((basis * directions[:5]).sum(1).abs(), np.ones(5), atol=1e-3)
    np.testing.assert_allclose(basis @ basis.mT, np.eye(5), atol=1e-5)


def test_as_many_components_as_values_lose_nothing() -> None:
    rows = torch.randn(30, 6, generator=rng_at(2))
    mean, basis = principal_components(lambda: in_batches(rows), 6, rng_at(0))
    np.testing.assert_allclose(mean + (rows - mean) @ basis.mT @ basis, rows, atol=1e-4)


def two_hills(count: int = 600) -> tuple[Tensor, Tensor]:
    """For each class two hills in one dimension: a quarter of the rows about its left, the others about its right."""
    labels = torch.arange(2).repeat_interleave(count)
    left = torch.arange(2 * count) % 4 == 0
    centres = torch.where(left, -8.0, 8.0) + 100 * labels
    return (centres + torch.randn(2 * count, generator=rng_at(5)))[:, None], labels


def test_a_mixture_draws_from_each_hill_by_its_weight() -> None:
    rows, labels = two_hills()
    mixture = ClassMixture(1, 2)
    mixture.fit([(rows[:500], labels[:500]), (rows[500:], labels[500:])], lambda: torch.tensor([[0.0], [3.0]]), 0)
    asked = torch.arange(2).repeat(20_000)
    drawn = mixture.draw(asked, torch.randn(len(asked), 1, generator=rng_at(1)), rng_at(2)).squeeze(1)
    for label, variance in ((0, 1.0), (1, 4.0)):
        mine = drawn[asked == label] - 100 * label
        assert float((mine < 0).float().mean()) == pytest.approx(0.25, abs=0.01)
        assert float(mine[mine > 0].mean()) == pytest.approx(8, abs=0.15)
        assert float(mine[mine > 0].var()) == pytest.approx(variance, rel=0.2)


def test_a_mixture_of_more_parts_than_patches_allow_is_refused() -> None:
    rows, labels = two_hills(30)
    with pytest.raises(
        ConfigError, match=r"generator\.mixture_parts: 4 need 40 .* class 0 has 30; set it to at most 3"
    ):
        ClassMixture(1, 4).fit([(rows, labels)], lambda: torch.zeros(2, 1), 0)
    ClassMixture(1, 3).require([30, 30])
    with pytest.raises(ConfigError, match=r"class 1 has 19; choose another generator\.prior"):
        ClassMixture(1, 2).require([20, 19])
