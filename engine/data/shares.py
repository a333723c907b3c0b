"""Shares: a part of the training patches, for learning curves and for classes out of balance."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.data.grouping import mixed, patch_groups
from engine.data.pack import Pack
from engine.spec.config import DataConfig
from engine.spec.errors import ConfigError

_SALT: Final = 1 << 33
"""Far from every seed of a run, which salts what is held out: a share must not be what would be held out."""
LEAST: Final = 2
"""Patches of a class that can be both fitted on and validated with."""


def shared(pack: Pack, rows: NDArray[np.int64], config: DataConfig) -> NDArray[np.int64]:
    """The training rows that `data.train_share` and `data.tumour_share` keep, sorted; ConfigError where too few are.

    Patches are taken one by one and not by slide, class by class in the order of a hash of their content: what a
    smaller share keeps is in every larger one, and repeats of a patch go together, but for the last one taken.
    """
    shares = class_shares(config)
    if shares == (1, 1):
        return rows
    labels = pack.labels[rows]
    content = mixed(patch_groups(pack, by_slide=False)[rows], _SALT + config.share_seed)
    order = np.lexsort([pack.ids[rows], content])
    counts = [int((labels == label).sum()) for label in (0, 1)]
    kept = [round(share * count) for share, count in zip(shares, counts, strict=True)]
    _check(kept, counts, config)
    return np.sort(rows[np.concatenate([order[labels[order] == label][: kept[label]] for label in (0, 1)])])


def class_shares(config: DataConfig) -> tuple[float, float]:
    """The share of the normal and of the tumour training patches that is kept."""
    return config.train_share, config.train_share * config.tumour_share


def _check(kept: list[int], counts: list[int], config: DataConfig) -> None:
    if min(kept) >= LEAST:
        return
    shares = f"data.train_share {config.train_share:g}"
    if config.tumour_share < 1:
        shares += f" and data.tumour_share {config.tumour_share:g}"
    raise ConfigError(
        f"{shares}: {kept[0]} of {counts[0]} normal and {kept[1]} of {counts[1]} tumour training patches would be "
        f"left, and at least {LEAST} of each class are needed; keep more of them"
    )
