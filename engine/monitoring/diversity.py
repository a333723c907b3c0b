"""Diversity: how much the patches of a class differ from each other, and the alarm that is raised when it falls."""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine import metrics
from engine.data.patches import PatchSet
from engine.spec.config import MonitoringConfig

CLASS_WORDS: Final = ("normal", "tumour")
_COMPARED: Final = 512
_RECOVERED: Final = 1.2
"""Times the threshold from which a class that has collapsed may do so again: else it would at every epoch around it."""

_YOUNG, _DIVERSE, _COLLAPSED = "young", "diverse", "collapsed"

ByClass = Mapping[str, float]
"""A value for each of CLASS_WORDS."""


def spreads(patches: PatchSet) -> dict[str, float]:
    """For each class how much its patches differ from each other, by `metrics.spread` of some from all over the set.

    Neighbours in a source are often of one slide, and alike.
    """
    return {word: metrics.spread(_spaced(patches, label, _COMPARED)) for label, word in enumerate(CLASS_WORDS)}


def shares(synthetic: ByClass, real: ByClass) -> dict[str, float]:
    """For each class the spread of synthetic patches, as a share of that of real ones."""
    return {word: synthetic[word] / max(real[word], 1e-9) for word in CLASS_WORDS}


def first_of(patches: PatchSet, label: int, most: int) -> NDArray[np.uint8]:
    """The first patches of a class, at most so many, (N, H, W, 3)."""
    some: NDArray[np.uint8] = patches.images[patches.rows[patches.own_labels == label][:most]]
    return some


def _spaced(patches: PatchSet, label: int, most: int) -> NDArray[np.uint8]:
    """Patches of a class at even distances from each other, at most so many, (N, H, W, 3)."""
    own = patches.rows[patches.own_labels == label]
    places = np.linspace(0, len(own), min(most, len(own)), endpoint=False).astype(np.int64)
    some: NDArray[np.uint8] = patches.images[own[places]]
    return some


class CollapseAlarm:
    """Says once per fall that the samples of a class have become nearly all the same.

    A class falls where its diversity goes below the threshold after it was above, or where it never was above and the
    grace is over: the samples of weights that have hardly been trained are all alike.
    """

    def __init__(self, config: MonitoringConfig) -> None:
        self._below, self._grace = config.collapse_below, config.collapse_grace
        self._moods: dict[str, str] = dict.fromkeys(CLASS_WORDS, _YOUNG)

    def has_collapsed(self, found: ByClass) -> bool:
        """Whether any class is below the threshold, young or not."""
        return any(share < self._below for share in found.values())

    def hear(self, epoch: int, found: ByClass) -> Iterator[str]:
        """Take in each class's share of real patches' diversity after an epoch; what is to be warned of."""
        for word, share in found.items():
            before, self._moods[word] = self._moods[word], self._mood(word, share, epoch)
            if self._moods[word] == _COLLAPSED != before:
                yield (
                    f"epoch {epoch}: the {word} samples have collapsed: they differ from each other "
                    f"{share:.0%} as much as real patches do"
                )

    def state(self) -> dict[str, str]:
        """What each class was last found to be."""
        return dict(self._moods)

    def load(self, state: Mapping[str, str]) -> None:
        self._moods = dict(state)

    def _mood(self, word: str, share: float, epoch: int) -> str:
        before = self._moods[word]
        if share >= self._below * (_RECOVERED if before == _COLLAPSED else 1):
            return _DIVERSE
        return _YOUNG if before == _YOUNG and epoch < self._grace else _COLLAPSED
