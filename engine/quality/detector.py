"""A detector of synthetic patches: a logistic regression that scores only patches that it was not fitted to."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from engine import metrics
from engine.quality.samples import Need, checked, standardised
from engine.randomness import permutation

FOLDS = 5
_STEPS = 100
_TOLERANCE = 1e-8


def detector_auc(
    real: Tensor, synthetic: Tensor, seed: int, folds: int = FOLDS, penalty: float = 1.0
) -> metrics.AucInterval:
    """The AUC of telling synthetic (M, D) from real features (N, D): 0.5 if they cannot be told apart, 1 if always.

    Each patch is scored by a regression fitted to the other folds (a classifier two-sample test, Lopez-Paz & Oquab
    2017). The interval takes these fits for given: near 0.5 it is too narrow, and two halves of the real patches say
    more of what is chance. DataError where a set has fewer patches than folds.
    """
    real, synthetic = checked(need(folds), real, synthetic)
    features = torch.cat((real, synthetic))
    labels = np.repeat(np.array([0, 1], np.uint8), (len(real), len(synthetic)))
    logits = cross_fitted(features, labels, fold_of(labels, folds, seed), penalty)
    return metrics.delong(labels, logits.cpu().numpy())


def need(folds: int = FOLDS) -> Need:
    """Of fewer patches than this, a fold has none."""
    return Need(f"the detector over {folds} folds", folds)


def fold_of(labels: metrics.Labels, folds: int, seed: int) -> NDArray[np.int64]:
    """A fold in 0..folds - 1 for each patch, (N,): each class is dealt out evenly, in an order by the seed."""
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels).tolist():
        own = np.flatnonzero(labels == label)
        fold[own[permutation(len(own), seed, "folds", label)]] = np.arange(len(own)) % folds
    return fold


def cross_fitted(features: Tensor, labels: metrics.Labels, fold: NDArray[np.int64], penalty: float) -> Tensor:
    """The logit (N,) of each patch from the regression fitted to all folds but its own, on standardised features."""
    targets = torch.from_numpy(labels).to(features)
    where = torch.from_numpy(fold).to(features.device)
    logits = torch.empty_like(targets)
    for number in range(int(fold.max()) + 1):
        others, own = where != number, where == number
        fitted, scored = standardised(features[others], features[own])
        weights, bias = logistic_regression(fitted, targets[others], penalty)
        logits[own] = scored @ weights + bias
    return logits


def logistic_regression(features: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights (D,) and bias that minimise the summed cross-entropy plus penalty/2 |weights|²; the bias goes free."""
    design = torch.cat((features, torch.ones_like(features[:, :1])), dim=1)
    ridge = torch.full_like(design[0], penalty)
    ridge[-1] = 0

    def loss(parameters: Tensor) -> Tensor:
        entropy = F.binary_cross_entropy_with_logits(design @ parameters, targets, reduction="sum")
        return entropy + (ridge * parameters.square()).sum() / 2

    parameters = torch.zeros_like(ridge)
    for _ in range(_STEPS):
        probabilities = torch.sigmoid(design @ parameters)
        gradient = design.mT @ (probabilities - targets) + ridge * parameters
        curvature = (design.mT * (probabilities * (1 - probabilities))) @ design + torch.diag(ridge)
        step = torch.linalg.solve(curvature, gradient)
        decrease = float(gradient @ step)
        if decrease < _TOLERANCE:
            # Each of Newton's steps squares the error, so that this one is the last that counts.
            parameters = parameters - step
            break
        while loss(parameters - step) > loss(parameters) - decrease / 4:
            step, decrease = step / 2, decrease / 2
        parameters = parameters - step
    return parameters[:-1], parameters[-1]
