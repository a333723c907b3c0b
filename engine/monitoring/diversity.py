"""Diversity: how much the patches of a class differ from each other, and the alarm that is raised when it falls."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engine import metrics
from engine.data.patches import PatchSet
from engine.quality.copying import thumbnails
from engine.quality.distances import squared_radii
from engine.spec.config import MonitoringConfig

CLASS_WORDS: Final = ("normal", "tumour")
_COMPARED: Final = 512
_RECOVERED: Final = 1.2
"""Times the threshold from which a class that has collapsed may do so again: else it would at every epoch around it."""

_YOUNG, _DIVERSE, _COLLAPSED = "young", "diverse", "collapsed"


@dataclass(frozen=True, slots=True)
class Diversity:
    """How much the samples of a class differ, as shares of what as many real patches do."""

    spread: float
    """From their mean: what falls where all are the same."""
    nearest: float
    """From the nearest other one: what falls where they are copies of a few, however different these are."""

    @property
    def least(self) -> float:
        return min(self.spread, self.nearest)

    @property
    def words(self) -> str:
        """What is told of samples that have collapsed."""
        if self.spread <= self.nearest:
            return f"differ from each other {self.spread:.0%} as much as real patches do"
        return f"have another that is {self.nearest:.0%} as far away as the nearest of real patches is"


ByClass = Mapping[str, Diversity]
"""The diversity of each of CLASS_WORDS."""


class RealDiversity:
    """Real patches, which the diversity of samples is measured by; those looked at are from all over the set.

    Neighbours in a source are often of one slide, and alike.
    """

    def __init__(self, patches: PatchSet) -> None:
        self._patches = patches
        self._spreads: dict[int, float] = {}
        self._nearest: dict[tuple[int, int], float] = {}

    def diversity_of(self, samples: PatchSet) -> dict[str, Diversity]:
        """The diversity of each class of these samples."""
        return {word: self._of_class(samples, label) for label, word in enumerate(CLASS_WORDS)}

    def _of_class(self, samples: PatchSet, label: int) -> Diversity:
        some = _spaced(samples, label, _COMPARED)
        if label not in self._spreads:
            self._spreads[label] = metrics.spread(_spaced(self._patches, label, _COMPARED))
        return Diversity(metrics.spread(some) / max(self._spreads[label], 1e-9), self._nearness(some, label))

    def _nearness(self, some: NDArray[np.uint8], label: int) -> float:
        real = _spaced(self._patches, label, len(some))
        some = some[: len(real)]
        if len(some) < 2:
            return 1.0
        if (label, len(some)) not in self._nearest:
            self._nearest[label, len(some)] = nearest_other(real)
        usual = self._nearest[label, len(some)]
        # Real patches most of which are there twice tell nothing.
        return nearest_other(some) / usual if usual else 1.0


def nearest_other(images: NDArray[np.uint8]) -> float:
    """The median distance of images (N, H, W, 3) to the nearest other one, by their thumbnails, in grey levels."""
    features = thumbnails(torch.from_numpy(np.ascontiguousarray(images))).flatten(1)
    return float(squared_radii(features, 1).sqrt().median()) / math.sqrt(features.shape[1])


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
    """Says once per fall that the samples of a class have become nearly all the same, or copies of a few.

    A class falls where its diversity goes below the threshold after it was above, or where it never was above and the
    grace is over: the samples of weights that have hardly been trained are all alike.
    """

    def __init__(self, config: MonitoringConfig) -> None:
        self._below, self._grace = config.collapse_below, config.collapse_grace
        self._moods: dict[str, str] = dict.fromkeys(CLASS_WORDS, _YOUNG)

    def has_collapsed(self, found: ByClass) -> bool:
        """Whether any class is below the threshold, young or not."""
        return any(diversity.least < self._below for diversity in found.values())

    def hear(self, epoch: int, found: ByClass) -> Iterator[str]:
        """Take in each class's diversity after an epoch; what is to be warned of."""
        for word, diversity in found.items():
            before, self._moods[word] = self._moods[word], self._mood(word, diversity.least, epoch)
            if self._moods[word] == _COLLAPSED != before:
                yield f"epoch {epoch}: the {word} samples have collapsed: they {diversity.words}"

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
