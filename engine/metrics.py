"""Scores as pure functions of labels (N,) of 0 and 1, and probabilities or any other ranking (N,)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_curve

from engine.spec.scores import Calibration, Confusion, OperatingPoint, Roc

Array = NDArray[np.float64]
Labels = NDArray[np.uint8]
Numbers = NDArray[np.int64] | NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class AucInterval:
    """An AUC and the ends of its 95 % interval, all in 0..1."""

    auc: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Paired:
    """How far the second AUC is above the first, with its 95 % interval and the p of no difference."""

    difference: float
    low: float
    high: float
    p: float
    slides: int | None = None
    """How many slides were taken as independent; None where patches were."""


def delong(labels: Labels, ranking: Array, level: float = 0.95) -> AucInterval:
    """AUC with DeLong's interval (DeLong et al. 1988), in one sort as in Sun & Xu (IEEE SPL 2014).

    From 0 to 1 where a class has one patch, of whose spread nothing is known. ValueError where a class is missing: an
    AUC compares the two.
    """
    order = np.argsort(ranking)
    tumour = labels[order].astype(bool)
    if tumour.all() or not tumour.any():
        raise ValueError("AUC needs patches of both classes")
    above, below = _placements(ranking[order], tumour)
    auc = float(above.mean())
    if min(len(above), len(below)) < 2:
        return AucInterval(auc, 0.0, 1.0)
    deviation = math.sqrt(_mean_variance(above) + _mean_variance(below))
    reach = float(norm.ppf(0.5 + level / 2)) * deviation
    return AucInterval(auc, max(0.0, auc - reach), min(1.0, auc + reach))


def _placements(ranking: Array, tumour: NDArray[np.bool_]) -> tuple[Array, Array]:
    """For each tumour the share of normals that it outranks, for each normal the share of tumours that outrank it.

    `ranking` ascends; ties count half.
    """
    starts = np.flatnonzero(np.concatenate(([True], ranking[1:] != ranking[:-1])))
    lengths = np.diff(starts, append=len(ranking))
    tumours = np.add.reduceat(tumour, starts, dtype=np.int64)
    normals = lengths - tumours
    normals_below = np.cumsum(normals) - normals / 2
    tumours_above = tumours.sum() - np.cumsum(tumours) + tumours / 2
    return (
        np.repeat(normals_below, tumours) / normals.sum(),
        np.repeat(tumours_above, normals) / tumours.sum(),
    )


def paired_delong(labels: Labels, first: Array, second: Array, level: float = 0.95) -> Paired:
    """The paired test of DeLong et al. (1988) between two rankings of the same patches.

    ValueError where a class has fewer than two patches: nothing is known of its spread.
    """
    tumour = labels.astype(bool)
    if min(tumour.sum(), (~tumour).sum()) < 2:
        raise ValueError("two patches of each class are needed")
    moved = _moved(labels, first, second)
    difference = float(moved[tumour].mean())
    deviation = math.sqrt(_mean_variance(moved[tumour]) + _mean_variance(moved[~tumour]))
    return _tested(difference, deviation, norm, level)


def paired_by_slide(labels: Labels, first: Array, second: Array, slides: Numbers, level: float = 0.95) -> Paired:
    """`paired_delong` with slides as what is independent, and not patches (Obuchowski, Biometrics 1997).

    `slides` (N,) has a number for each patch, the same for those of one slide. By Student's t with one degree of
    freedom less than slides that have the scarcer class, as few of them take a normal distribution too narrow.
    ValueError where a class is on fewer than two slides: nothing is known of their spread.
    """
    tumour = labels.astype(bool)
    fewest = min(len(np.unique(slides[own])) for own in (tumour, ~tumour))
    if fewest < 2:
        raise ValueError("two slides with patches of each class are needed")
    moved = _moved(labels, first, second)
    difference = float(moved[tumour].mean())
    count, deviation = len(np.unique(slides)), math.sqrt(_variance_by_slide(moved - difference, tumour, slides))
    return _tested(difference, deviation, student(fewest - 1), level, count)


def _variance_by_slide(errors: Array, tumour: NDArray[np.bool_], slides: Numbers) -> float:
    """Variance of the mean of tumours' errors and of normals' together, from their sums over slides."""
    number = np.unique(slides, return_inverse=True)[1].ravel()
    sums = [np.bincount(number, weights=errors * own) / own.sum() for own in (tumour, ~tumour)]
    there = [len(np.unique(number[own])) for own in (tumour, ~tumour)]
    alone = sum(_unbiased(count) * float((own**2).sum()) for own, count in zip(sums, there, strict=True))
    return max(0.0, alone + 2 * _unbiased(number.max() + 1) * float((sums[0] * sums[1]).sum()))


def _unbiased(count: int) -> float:
    return count / (count - 1)


def _moved(labels: Labels, first: Array, second: Array) -> Array:
    """How far each patch's placement is higher in the second ranking, (N,): it holds the covariance of the two AUCs."""
    return _placements_by_patch(labels, second) - _placements_by_patch(labels, first)


def _placements_by_patch(labels: Labels, ranking: Array) -> Array:
    """The placements of `_placements` in the order of the patches, (N,)."""
    order = np.argsort(ranking)
    tumour = labels[order].astype(bool)
    placements = np.empty(len(ranking))
    placements[order[tumour]], placements[order[~tumour]] = _placements(ranking[order], tumour)
    return placements


def _tested(difference: float, deviation: float, chance: Any, level: float, slides: int | None = None) -> Paired:
    """A difference with its interval and p. `chance`: a distribution of scipy's for its standardised value."""
    reach = float(chance.ppf(0.5 + level / 2)) * deviation
    p = float(difference == 0) if deviation == 0 else float(2 * chance.sf(abs(difference) / deviation))
    return Paired(difference, difference - reach, difference + reach, p, slides)


def _mean_variance(values: Array) -> float:
    """Variance of the mean of two values and more."""
    return float(values.var(ddof=1)) / len(values)


def bootstrap(labels: Labels, ranking: Array, replicates: int, seed: int, level: float = 0.95) -> tuple[float, float]:
    """The AUC's percentile interval over resampled patches, drawn within each class."""
    order = np.argsort(ranking)
    ranking, tumour = ranking[order], labels[order].astype(bool)
    starts = np.flatnonzero(np.concatenate(([True], ranking[1:] != ranking[:-1])))
    tumours = np.add.reduceat(tumour, starts, dtype=np.int64)
    normals = np.diff(starts, append=len(ranking)) - tumours
    rng, places = np.random.default_rng(seed), np.arange(len(starts))
    drawn_from = [np.repeat(places, counts) for counts in (normals, tumours)]
    aucs = [_auc_of_counts(*(_resample(own, len(starts), rng) for own in drawn_from)) for _ in range(replicates)]
    low, high = np.quantile(aucs, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_by_slide(
    labels: Labels, ranking: Array, slides: NDArray[np.int64], replicates: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """The AUC's percentile interval over resampled slides, each with all of its patches (Field & Welsh 2007).

    `slides` (N,) has a number for each patch, the same for those of one slide. A replicate without one of the classes
    has no AUC and is drawn again; ValueError where a class is missing altogether.
    """
    if len(np.unique(labels)) < 2:
        raise ValueError("AUC needs patches of both classes")
    order = np.argsort(ranking)
    ranking, tumour = ranking[order], labels[order].astype(bool)
    starts = np.flatnonzero(np.concatenate(([True], ranking[1:] != ranking[:-1])))
    names, slide = np.unique(slides[order], return_inverse=True)
    rng = np.random.default_rng(seed)
    aucs: list[float] = []
    while len(aucs) < replicates:
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[slide]
        if (times * tumour).any() and (times * ~tumour).any():
            tumours, normals = (np.add.reduceat(times * own, starts) for own in (tumour, ~tumour))
            aucs.append(_auc_of_counts(normals, tumours))
    low, high = np.quantile(aucs, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resample(places: NDArray[np.int64], values: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each of so many values comes, of patches at these places drawn with replacement."""
    return np.bincount(places[rng.integers(len(places), size=len(places))], minlength=values)


def _auc_of_counts(normals: NDArray[np.int64], tumours: NDArray[np.int64]) -> float:
    """The AUC from how many patches of each class have each value of the ranking, values ascending."""
    below = np.cumsum(normals) - normals / 2
    return float((below * tumours).sum() / (normals.sum() * tumours.sum()))


def spread(images: NDArray[np.uint8]) -> float:
    """How much images (N, H, W, 3) differ: each value's standard deviation over them, mean over values, in 0..128."""
    return float(images.std(axis=0, dtype=np.float64).mean())


def probabilities(logits: Array) -> Array:
    return np.asarray(expit(logits), np.float64)


def cross_entropy(labels: Labels, logits: Array) -> float:
    """Mean binary cross-entropy in nats, from logits: finite however sure the classifier is."""
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))


def operating_point(labels: Labels, logits: Array, cut: float) -> OperatingPoint:
    """Decisions at `logits >= cut`; the threshold is told as a probability."""
    called, tumour = logits >= cut, labels.astype(bool)
    tp, fn = int((called & tumour).sum()), int((~called & tumour).sum())
    fp, tn = int((called & ~tumour).sum()), int((~called & ~tumour).sum())
    confusion: Confusion = ((tn, fp), (fn, tp))
    return OperatingPoint(
        float(expit(cut)), (tp + tn) / len(labels), tp / max(1, tp + fn), tn / max(1, tn + fp), confusion
    )


def calibration_error(labels: Labels, probability: Array, bins: int) -> float:
    """Expected calibration error of P(tumour) over equal-width bins (Naeini et al. 2015), in 0..1."""
    gaps = np.bincount(_bins(probability, bins), weights=probability - labels, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def calibration(labels: Labels, probability: Array, bins: int) -> Calibration:
    """The curve behind `calibration_error`, empty bins left out."""
    which = _bins(probability, bins)
    counts = np.bincount(which, minlength=bins)
    kept = counts > 0
    sums = (np.bincount(which, weights=values, minlength=bins) for values in (probability, labels))
    means, observed = (tuple(map(float, total[kept] / counts[kept])) for total in sums)
    return Calibration(means, observed, tuple(map(int, counts[kept])))


def _bins(probability: Array, bins: int) -> NDArray[np.int64]:
    return np.minimum((probability * bins).astype(np.int64), bins - 1)


def best_cut(labels: Labels, logits: Array) -> float:
    """The cut with the highest sensitivity + specificity (Youden 1950), as a logit."""
    fpr, tpr, cuts = roc_curve(labels, logits)
    # scikit-learn's first cut is infinite: nothing is called.
    return float(min(logits.max() + 1, cuts[int(np.argmax(tpr - fpr))]))


def roc(labels: Labels, logits: Array, points: int = 200) -> Roc:
    """The ROC curve, thinned to about so many points, both ends kept.

    From logits, as everything that ranks: a sure classifier's probabilities are all exactly 1.
    """
    fpr, tpr, _ = roc_curve(labels, logits)
    kept = np.unique(np.linspace(0, len(fpr) - 1, min(points, len(fpr))).round().astype(np.int64))
    return Roc(tuple(map(float, fpr[kept])), tuple(map(float, tpr[kept])))
