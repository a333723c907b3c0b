"""Patches with the same pixels, told by the SHA-1 of these."""

import numpy as np
from numpy.typing import NDArray

Contents = NDArray[np.int64]


def contents(sha1: NDArray[np.uint8]) -> Contents:
    """(N,) numbers from 0, the same for the same pixels, of (N, 20) digests."""
    words = np.pad(sha1, ((0, 0), (0, 4))).view("<u8")
    order = np.lexsort(words.T)
    first = (np.diff(words[order], axis=0, prepend=words[order[:1]]) != 0).any(axis=1)
    numbers = np.empty(len(sha1), np.int64)
    numbers[order] = np.cumsum(first)
    return numbers


def conflicting(numbers: Contents, labels: NDArray[np.uint8]) -> int:
    """How many different contents have both labels."""
    return _in_several(numbers, labels, 2)


def crossing(numbers: Contents, splits: NDArray[np.uint8]) -> int:
    """How many different contents are in more than one split."""
    return _in_several(numbers, splits, 4)


def repeats(numbers: Contents, splits: NDArray[np.uint8]) -> dict[int, int]:
    """By split, how many patches repeat another one of it."""
    return {
        split: int((own := numbers[splits == split]).size - np.unique(own).size) for split in np.unique(splits).tolist()
    }


def _in_several(numbers: Contents, values: NDArray[np.uint8], different: int) -> int:
    table = np.bincount(numbers * different + values, minlength=different * (int(numbers.max(initial=-1)) + 1))
    return int(((table.reshape(-1, different) > 0).sum(axis=1) > 1).sum())
