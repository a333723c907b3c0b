"""Splits: which patches train, which choose the epoch, and which test; never one patch, or one slide, on two sides."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.data.duplicates import Contents, conflicting, contents
from engine.data.grouping import Groups, grouping_of, mixed, patch_groups, side_by_hash
from engine.data.pack import Pack, fingerprint
from engine.data.shares import shared
from engine.data.sources.base import TEST, TRAIN, UNASSIGNED, VALID
from engine.spec.config import DataConfig
from engine.spec.errors import ConfigError, DataError

Rows = NDArray[np.int64]
How = Literal["official", "slide", "hash"]

_SALT: Final = 20161211
_LIMIT_SALT: Final = 7


@dataclass(frozen=True, slots=True)
class Division:
    """The rows of a pack by their use, each (n,) int64 and sorted.

    `groups` (N,) uint64 has, for every row of the pack, a number that patches share which must stay together: their
    slide's, where that is known, else their content's. `fingerprint` is the same for the same patches in the same use,
    `grouping` for the same patches in the same groups.
    """

    train: Rows
    valid: Rows
    test: Rows
    groups: Groups
    how: How
    warnings: tuple[str, ...]
    fingerprint: str
    grouping: str


def divide(pack: Pack, config: DataConfig) -> Division:
    """Divide a pack as configured; DataError where a side would lack a class.

    A patch's side depends on its own slide or content only, not on which others are there.
    """
    _check_labels(pack)
    groups = patch_groups(pack)
    how, has_test = _way(pack, config)
    codes = _codes(pack, config, groups, how, has_test)
    content = contents(pack.sha1)
    warnings = [*_hash_warning(pack, how), *_conflict_warning(pack, content)]
    codes = _without_crossing(content, codes, warnings)
    if config.duplicates == "drop":
        codes = _without_repeats(pack, content, codes, warnings)
    train, valid, test = (np.flatnonzero(codes == code) for code in (TRAIN, VALID, TEST))
    if config.limit is not None:
        few = max(2, config.limit // 4)
        train, valid, test = _limited(pack, train, config.limit), _limited(pack, valid, few), _limited(pack, test, few)
    _check_classes(pack, train, "training", config)
    train = shared(pack, train, config)
    _check_classes(pack, test, "test", config)
    warnings += _slide_warning(pack, train, valid, test)
    used = np.concatenate([train, valid, test])
    uses = np.repeat(np.array([TRAIN, VALID, TEST], np.uint8), [len(train), len(valid), len(test)])
    mark = fingerprint(pack.sha1[used], pack.labels[used], uses)
    grouping = grouping_of(pack.sha1[used], groups[used])
    return Division(train, valid, test, groups, how, tuple(warnings), mark, grouping)


def _check_labels(pack: Pack) -> None:
    wrong = np.flatnonzero(pack.labels > 1)
    if len(wrong):
        raise DataError(
            f"{pack.manifest.name}: {pack.names(wrong[:1])[0]} has label {pack.labels[wrong[0]]}; labels are 0 and 1"
        )


def _way(pack: Pack, config: DataConfig) -> tuple[How, bool]:
    """How patches are divided, and whether the source's own test split is kept."""
    official = bool((pack.splits == TEST).any() and (pack.splits == TRAIN).any())
    known = bool((pack.slides >= 0).any())
    if config.split == "official" and not official:
        raise ConfigError(f"data.split: 'official', and {pack.manifest.name} has no test split of its own; set 'auto'")
    if config.split == "slide" and not known:
        raise ConfigError(
            "data.split: 'slide', and no slides are known; name a table of them in data.slides, or set 'auto'"
        )
    if official and config.split in ("auto", "official"):
        return "official", True
    return ("slide" if known and config.split != "hash" else "hash"), False


def _codes(pack: Pack, config: DataConfig, groups: Groups, how: How, has_test: bool) -> NDArray[np.uint8]:
    """The use of each row. Without a test split, what the source does not call validation is divided."""
    codes = pack.splits.copy()
    if has_test:
        codes[codes == UNASSIGNED] = TRAIN
        return codes
    loose = codes != VALID if config.split == "auto" else np.ones(len(codes), np.bool_)
    rows = np.flatnonzero(loose)
    own = groups if how == "slide" else patch_groups(pack, by_slide=False)
    testing = side_by_hash(own[rows], pack.labels[rows], config.test_fraction, _SALT)
    codes[rows] = np.where(testing, TEST, TRAIN)
    return codes


def _hash_warning(pack: Pack, how: How) -> list[str]:
    if how == "hash":
        return [
            "patches were divided by a hash of their content: patches of one slide may be in training and in test, "
            "which makes results look better than they are; name a table of slides in data.slides if there is one"
        ]
    unknown = int((pack.slides < 0).sum())
    if how == "slide" and unknown:
        return [f"the slide of {unknown} patches is not known; they were divided by a hash of their content"]
    return []


def _slide_warning(pack: Pack, train: Rows, valid: Rows, test: Rows) -> list[str]:
    """That patches of one slide test and are learnt from, as a split of the source's own may have them."""
    learnt_from = np.union1d(pack.slides[train], pack.slides[valid])
    shared = int(np.isin(pack.slides[test], learnt_from[learnt_from >= 0]).sum())
    if not shared:
        return []
    return [
        f"{shared} of {len(test)} test patches are of slides that training or validation patches are of too, which "
        "makes results look better than they are; set data.split to 'slide' to divide by slide"
    ]


def _conflict_warning(pack: Pack, content: Contents) -> list[str]:
    both = conflicting(content, pack.labels)
    return [f"{both} patches occur with both labels; they teach nothing, and are kept"] if both else []


def _without_crossing(content: Contents, codes: NDArray[np.uint8], warnings: list[str]) -> NDArray[np.uint8]:
    """Codes in which no content is in two uses: it stays where it tests, else where it validates."""
    for kept, losers, use in ((TEST, (TRAIN, VALID), "test"), (VALID, (TRAIN,), "validation")):
        repeats = np.isin(content, content[codes == kept]) & np.isin(codes, losers)
        if repeats.any():
            warnings.append(
                f"{int(repeats.sum())} patches were left out because the same pixels are among the {use} patches"
            )
            codes = np.where(repeats, UNASSIGNED, codes).astype(np.uint8)
    return codes


def _without_repeats(pack: Pack, content: Contents, codes: NDArray[np.uint8], warnings: list[str]) -> NDArray[np.uint8]:
    """Codes that keep the first, by id, of patches with the same pixels."""
    order = np.lexsort([pack.ids, content, codes])
    keys = np.column_stack([codes, content])[order]
    repeated = np.zeros(len(codes), np.bool_)
    repeated[order[1:]] = (keys[1:] == keys[:-1]).all(axis=1)
    repeated &= codes != UNASSIGNED
    if repeated.any():
        warnings.append(f"{int(repeated.sum())} patches were left out because they repeat another of their split")
    return np.where(repeated, UNASSIGNED, codes).astype(np.uint8)


def _limited(pack: Pack, rows: Rows, limit: int) -> Rows:
    """At most so many rows: the first of each class by a hash of their content, the classes in proportion."""
    if len(rows) <= limit:
        return rows
    labels = pack.labels[rows]
    tumours = int(labels.sum())
    share = round(limit * tumours / len(rows))
    share = min(max(share, 1 if tumours else 0), limit - 1 if tumours < len(rows) else limit)
    groups = mixed(patch_groups(pack, by_slide=False)[rows], _LIMIT_SALT)
    order = np.lexsort([pack.ids[rows], groups])
    picked = [order[labels[order] == label][:count] for label, count in ((0, limit - share), (1, share))]
    return np.sort(rows[np.concatenate(picked)])


def _check_classes(pack: Pack, rows: Rows, use: str, config: DataConfig) -> None:
    tumours = int(pack.labels[rows].sum())
    if 0 < tumours < len(rows):
        return
    there = f"only {'tumour' if tumours else 'normal'} patches" if len(rows) else "no patches"
    raise DataError(
        f"data.source {config.source}: {there} are left for {use}, and both classes are needed; "
        "add patches of the other class, or change data.split, data.test_fraction or data.limit"
    )
