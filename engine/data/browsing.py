"""Pages of a source's patches as pictures, for whoever wants to look at them."""

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.data.pack import Pack
from engine.data.packing import cache_folder, data_config, pack
from engine.data.sources.base import SPLITS
from engine.pictures import save_grid
from engine.progress import Report
from engine.spec.errors import ConfigError
from engine.storage import storage_errors

PAGE: Final = 32
CLASSES: Final = ("normal", "tumour")


def answer_patches(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """Page `page` (from 0) of the patches of `split` and `label` in the source of `data`: a PNG grid in the cache.

    The answer names the picture, the patches on it and how many there are of each split and class.
    """
    config = data_config(args.get("data", {}))
    packed = pack(config, report)
    split, label, page = str(args.get("split", SPLITS[0])), int(args.get("label", 0)), int(args.get("page", 0))
    rows = _rows(packed, split, label)
    pages = -(-len(rows) // PAGE)
    shown = rows[max(0, page) * PAGE :][:PAGE]
    return {
        "picture": _picture(packed, shown),
        "ids": packed.names(shown),
        "split": split,
        "label": label,
        "page": page,
        "pages": pages,
        "patches": len(rows),
        "counts": {name: dict(zip(CLASSES, pair, strict=True)) for name, pair in packed.manifest.counts.items()},
    }


def _rows(packed: Pack, split: str, label: int) -> NDArray[np.int64]:
    if split not in SPLITS or label not in (0, 1):
        raise ConfigError(f"split {split!r}, label {label}: there are {', '.join(SPLITS)} and labels 0 and 1")
    return np.flatnonzero((packed.splits == SPLITS.index(split)) & (packed.labels == label))


def _picture(packed: Pack, rows: NDArray[np.int64]) -> str | None:
    if not len(rows):
        return None
    name = hashlib.sha256(f"{packed.manifest.fingerprint}:{packed.manifest.crop}:{rows.tolist()}".encode()).hexdigest()
    path = cache_folder().parent / "pages" / f"{name[:24]}.png"
    if not path.exists():
        with storage_errors(path.parent):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            save_grid(path, packed.images[rows])
    return str(path)
