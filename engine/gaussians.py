"""Gaussians and principal components of patches, in passes over them that never hold all of them at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from engine.generators.blocks import CLASSES
from engine.spec.errors import ConfigError

_EXTRA = 10
_ITERATIONS = 4
_ROWS_PER_PART = 10


class Moments:
    """Mean and covariance of rows (D,) that come in batches, summed in float64."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.count = 0
        self._sum = torch.zeros(size, dtype=torch.float64, device=device)
        self._outer = torch.zeros(size, size, dtype=torch.float64, device=device)

    def add(self, rows: Tensor) -> None:
        """Take in rows (B, D)."""
        rows = rows.double()
        self.count += len(rows)
        self._sum += rows.sum(0)
        self._outer += rows.mT @ rows

    @property
    def mean(self) -> Tensor:
        """(D,) float64."""
        return self._sum / self.count

    @property
    def covariance(self) -> Tensor:
        """(D, D) float64, of the rows as they are: divided by their number."""
        return self._outer / self.count - torch.outer(self.mean, self.mean)


class ClassGaussian(nn.Module):
    """A full-covariance Gaussian for each class over vectors (D,); N(0, I) until it is fitted."""

    fewest = 2
    """Vectors of each class that it can be fitted to."""
    mean: Tensor
    factor: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(CLASSES, size))
        self.register_buffer("factor", torch.eye(size).repeat(CLASSES, 1, 1))

    def require(self, counts: Sequence[int]) -> None:
        """ConfigError where so many vectors of each class are not enough."""
        for label, count in enumerate(counts):
            if count < self.fewest:
                raise ConfigError(
                    f"generator: class {label} has {count} training patches, and a Gaussian needs two at least"
                )

    def fit(self, vectors: Iterable[tuple[Tensor, Tensor]], noise: Callable[[], Tensor] | None = None) -> None:
        """Match mean and covariance of vectors (B, D) with labels (B,); ConfigError where a class has fewer than two.

        `noise`, asked once they have all been seen: variances (CLASSES, D) that they carry beside what is seen of them.
        """
        size = self.mean.shape[1]
        moments = [Moments(size, self.mean.device) for _ in range(CLASSES)]
        for rows, labels in vectors:
            for label, moment in enumerate(moments):
                moment.add(rows[labels == label])
        variances = torch.zeros_like(self.mean) if noise is None else noise()
        self.require([moment.count for moment in moments])
        for label, moment in enumerate(moments):
            self.mean[label] = moment.mean
            self.factor[label] = square_root(moment.covariance + torch.diag(variances[label].double()))

    def draw(self, labels: Tensor, normal: Tensor) -> Tensor:
        """Vectors (B, D) of these classes from standard normal draws (B, D)."""
        drawn = torch.empty_like(normal)
        for label in range(CLASSES):
            mine = labels == label
            drawn[mine] = self.mean[label] + normal[mine] @ self.factor[label].mT
        return drawn


class ClassMixture(nn.Module):
    """A mixture of full-covariance Gaussians for each class over vectors (D,); it draws nothing until it is fitted."""

    weight: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(self, size: int, parts: int) -> None:
        super().__init__()
        self._parts = parts
        self.fewest = _ROWS_PER_PART * parts
        self.register_buffer("weight", torch.full((CLASSES, parts), 1 / parts))
        self.register_buffer("mean", torch.zeros(CLASSES, parts, size))
        self.register_buffer("factor", torch.eye(size).repeat(CLASSES, parts, 1, 1))

    def require(self, counts: Sequence[int]) -> None:
        """ConfigError where so many vectors of each class are not enough."""
        for label, count in enumerate(counts):
            if count < self.fewest:
                most = count // _ROWS_PER_PART
                raise ConfigError(
                    f"generator.mixture_parts: {self._parts} need {self.fewest} training patches of a class and "
                    f"class {label} has {count}; "
                    + (f"set it to at most {most}" if most >= 2 else "choose another generator.prior")
                )

    def fit(self, vectors: Iterable[tuple[Tensor, Tensor]], noise: Callable[[], Tensor], seed: int) -> None:
        """Fit vectors (B, D) with labels (B,) by expectation maximisation, all of them in memory at once.

        `noise` as of `ClassGaussian.fit`. ConfigError where a class has fewer than ten for each part.
        """
        seen = [(rows.cpu(), labels.cpu()) for rows, labels in vectors]
        rows, labels = (torch.cat(each) for each in zip(*seen, strict=True))
        variances = noise().double().cpu()
        self.require(torch.bincount(labels, minlength=CLASSES).tolist())
        for label in range(CLASSES):
            self._fit_class(label, rows[labels == label], variances[label], seed)

    def _fit_class(self, label: int, rows: Tensor, variances: Tensor, seed: int) -> None:
        # Importing it takes a second, and nothing else here needs it.
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(self._parts, covariance_type="full", random_state=seed, reg_covar=1e-4)
        mixture.fit(rows.double().numpy())
        self.weight[label] = torch.from_numpy(mixture.weights_)
        self.mean[label] = torch.from_numpy(mixture.means_)
        for part, covariance in enumerate(mixture.covariances_):
            self.factor[label, part] = square_root(torch.from_numpy(covariance) + torch.diag(variances))

    def draw(self, labels: Tensor, normal: Tensor, rng: torch.Generator) -> Tensor:
        """Vectors (B, D) of these classes from standard normal draws (B, D); `rng` decides the part of each."""
        part = torch.multinomial(self.weight.cpu()[labels.cpu()], 1, generator=rng).squeeze(1).to(labels.device)
        drawn = torch.empty_like(normal)
        for label in range(CLASSES):
            for number in range(self._parts):
                mine = (labels == label) & (part == number)
                drawn[mine] = self.mean[label, number] + normal[mine] @ self.factor[label, number].mT
        return drawn


def square_root(covariance: Tensor) -> Tensor:
    """A (D, D) matrix A with A·Aᵀ equal to a covariance, which may be singular; in the covariance's dtype."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp_min(0).sqrt()
    return root


def principal_components(
    rows: Callable[[], Iterator[Tensor]], count: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mean (D,) and the `count` directions (count, D) of most variance of rows (B, D), float32, largest first.

    Randomized subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4), a pass over the rows for each step:
    no matrix is larger than D by a few more than `count`.
    """
    mean = _mean(rows())
    start = torch.randn(len(mean), min(count + _EXTRA, len(mean)), generator=rng).to(mean.device)
    basis, _ = torch.linalg.qr(start)
    for _ in range(_ITERATIONS):
        product = torch.zeros_like(basis)
        for batch in rows():
            centred = batch - mean
            product += centred.mT @ (centred @ basis)
        basis, _ = torch.linalg.qr(product)
    moments = Moments(basis.shape[1], basis.device)
    for batch in rows():
        moments.add((batch - mean) @ basis)
    _, rotation = torch.linalg.eigh(moments.covariance)
    return mean, (basis @ rotation.flip(1).float())[:, :count].mT.contiguous()


def _mean(rows: Iterator[Tensor]) -> Tensor:
    first = next(rows)
    total, number = first.double().sum(0), len(first)
    for batch in rows:
        total, number = total + batch.double().sum(0), number + len(batch)
    return (total / number).float()
