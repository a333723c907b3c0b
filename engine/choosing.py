"""EpochChoice: patches whose AUC chooses an epoch, and the weights of the best one so far."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from engine import metrics
from engine.data.patches import Patches


class EpochChoice:
    """The epoch with the highest AUC on some patches, the first of those that are equal; its own state is resumed."""

    def __init__(self, patches: Patches, word: str) -> None:
        self.patches, self._word = patches, word
        self._labels = patches.own_labels
        self.weights: dict[str, Tensor] = {}
        self.best: dict[str, Any] = {"auc": -1.0, "epoch": 0, "cut": 0.0}

    def consider(self, epoch: int, logits: metrics.Array, model: nn.Module) -> dict[str, float]:
        """Keep the model's weights where they do better than all before, and say how they do by the patches' word."""
        auc = metrics.delong(self._labels, logits).auc
        if auc > self.best["auc"]:
            self.best = {"auc": auc, "epoch": epoch, "cut": metrics.best_cut(self._labels, logits)}
            self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return {f"{self._word}_auc": auc, f"{self._word}_bce": metrics.cross_entropy(self._labels, logits)}

    def load(self, weights: Mapping[str, Tensor], best: Mapping[str, Any]) -> None:
        self.weights, self.best = dict(weights), dict(best)


def has_both_classes(patches: Patches) -> bool:
    """Whether an AUC can be had of them."""
    return len(np.unique(patches.own_labels)) > 1
