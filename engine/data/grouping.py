"""Groups of patches that must stay on one side of a division, and the side that a stable hash gives them."""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.data.pack import Pack, digest_of_rows
from engine.data.patches import PatchSet

Groups = NDArray[np.uint64]

_WORD: Final = 2**64


def patch_groups(pack: Pack, by_slide: bool = True) -> Groups:
    """(N,) uint64: a hash of each patch's slide where that is known and asked for, else of its content."""
    content = np.ascontiguousarray(pack.sha1[:, :8]).view("<u8").ravel()
    if not by_slide:
        return content.copy()
    of_slide = np.array([_name_hash(name) for name in pack.manifest.slide_names] or [0], np.uint64)
    return np.where(pack.slides >= 0, of_slide[pack.slides], content)


def grouping_of(sha1: NDArray[np.uint8], groups: Groups) -> str:
    """SHA-256 over the sorted rows of (sha1, group): the same for the same patches in the same groups."""
    return digest_of_rows(sha1, groups.astype("<u8")[:, None].view(np.uint8))


def _name_hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "little")


def mixed(groups: Groups, salt: int) -> Groups:
    """Groups scattered evenly over all uint64, differently for each salt (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        value = groups + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % _WORD)
        value = (value ^ value >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ value >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return value ^ value >> np.uint64(31)


def side_by_hash(groups: Groups, labels: NDArray[np.uint8], fraction: float, salt: int) -> NDArray[np.bool_]:
    """(n,) true for whole groups that make up about `fraction` of all.

    A group's side depends on nothing but itself, except where so few groups would leave a side without a class or with
    far too much: then groups are chosen in the order of their hash until there are enough, if that can be.
    """
    order = mixed(groups, salt)
    chosen: NDArray[np.bool_] = order < np.uint64(min(int(fraction * _WORD), _WORD - 1))
    uneven = len(labels) and abs(chosen.mean() - fraction) > min(fraction, 1 - fraction) / 2
    if both_classes(labels, chosen) and not uneven:
        return chosen
    enough = _chosen_until_enough(order, labels, fraction)
    return chosen if enough is None else enough


def both_classes(labels: NDArray[np.uint8], chosen: NDArray[np.bool_]) -> bool:
    """Whether both sides have both classes."""
    return len(np.unique(labels[chosen])) > 1 and len(np.unique(labels[~chosen])) > 1


def _chosen_until_enough(order: Groups, labels: NDArray[np.uint8], fraction: float) -> NDArray[np.bool_] | None:
    """Groups chosen until there are enough patches, of both classes, without taking all of one; None if impossible."""
    numbers, place = np.unique(order, return_inverse=True)
    counts = np.bincount(place.ravel() * 2 + labels, minlength=2 * len(numbers)).reshape(-1, 2)
    chosen = np.zeros(len(numbers), np.bool_)
    taken, left = np.zeros(2, np.int64), counts.sum(axis=0)
    for group, count in enumerate(counts):
        wanted = taken.sum() < fraction * len(labels) or (count[taken == 0] > 0).any()
        if wanted and (left - count > 0).all():
            chosen[group] = True
            taken, left = taken + count, left - count
    return chosen[place.ravel()] if (taken > 0).all() else None


def held_out(patches: PatchSet, groups: Groups, fraction: float, seed: int) -> tuple[PatchSet, PatchSet]:
    """A set divided into what is fitted and about `fraction` of it for validation, whole groups on either side.

    `groups` is (M,) uint64, one number per packed row, as in Division. Where there are too few groups for both sides
    to have both classes, patches are divided one by one.
    """
    labels, positions = patches.own_labels, np.arange(len(patches))
    chosen = side_by_hash(groups[patches.rows], labels, fraction, seed)
    if not both_classes(labels, chosen):
        chosen = side_by_hash(mixed(positions.astype(np.uint64), seed), labels, fraction, seed)
    return patches.select(positions[~chosen]), patches.select(positions[chosen])
