"""PatchSet: labelled patches in a packed array, the form in which every model sees them."""

from dataclasses import dataclass

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
