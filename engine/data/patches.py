"""PatchSet: labelled patches in a packed array, the form in which every model sees them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PatchSet:
    """Some rows of a packed array.

    `images` is (M, H, W, 3) uint8, usually a memory map; `labels` is (M,) uint8, 1 for tumour; `rows` is (N,) int64 and
    names the rows that belong to this set.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def own_labels(self) -> NDArray[np.uint8]:
        """Labels of this set's rows, (N,) uint8."""
        return self.labels[self.rows]

    @property
    def tumours(self) -> int:
        return int(self.own_labels.sum())

    @property
    def side(self) -> int:
        """Height and width in pixels."""
        return int(self.images.shape[1])

    def select(self, positions: NDArray[np.int64]) -> "PatchSet":
        """The subset at these positions of this set."""
        return PatchSet(self.images, self.labels, self.rows[positions])

    @property
    def parts(self) -> "tuple[PatchSet, ...]":
        """The sets that this one is joined of: itself."""
        return (self,)


class Patches(Protocol):
    """What a model is fitted or tested on: a set in one packed array, or several joined."""

    def __len__(self) -> int: ...

    @property
    def own_labels(self) -> NDArray[np.uint8]: ...

    @property
    def tumours(self) -> int: ...

    @property
    def side(self) -> int: ...

    @property
    def parts(self) -> tuple[PatchSet, ...]: ...


@dataclass(frozen=True, slots=True)
class JoinedPatches:
    """Several sets, one after another, as one."""

    parts: tuple[PatchSet, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def own_labels(self) -> NDArray[np.uint8]:
        return np.concatenate([part.own_labels for part in self.parts])

    @property
    def tumours(self) -> int:
        return sum(part.tumours for part in self.parts)

    @property
    def side(self) -> int:
        return self.parts[0].side
