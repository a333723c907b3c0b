"""What a source holds: everything about it for `data inspect`, and the cheap part for a look before a run."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from engine.data.duplicates import conflicting, contents, crossing, repeats
from engine.data.images import MISSING
from engine.data.pack import count_by_split, fingerprint
from engine.data.packing import cache_folder, data_config, earlier_manifest, listed
from engine.data.reading import Columns, join, read_all
from engine.data.sources.base import SPLITS, Listing, Source
from engine.progress import Report, silent
from engine.spec.config import DataConfig
from engine.storage import storage_errors

_SHOWN: Final = 20

_Counts = dict[str, tuple[int, int]]
"""Normal and tumour patches by split."""


def probe(config: DataConfig) -> dict[str, Any]:
    """What a source is and how much of it there should be, without decoding it; DataError where it cannot be used.

    `counts` by class is there where labels are known already.
    """
    source, listing = listed(config, silent)
    found = _summary(source, listing) | {"splits": _by_split(listing), "slides_known": any(listing.slides or ())}
    counts = _counts_unread(source, listing, config.crop)
    return found | ({"counts": _named(counts)} if counts else {})


def answer_inspect(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """Everything about the source of a DataConfig's tree, every patch read; broken ones are reported, not refused."""
    source, listing = listed(data_config(args.get("data", args)), report)
    columns = _read(source, listing, report)
    splits = listing.splits[columns.rows]
    found = {
        **_summary(source, listing),
        "readable": len(columns.rows),
        "counts": _named(count_by_split(columns.labels, splits)),
        "image_size": f"{listing.side}x{listing.side}",
        "fingerprint": fingerprint(columns.sha1, columns.labels, splits),
        "duplicates": _duplicates(columns, listing),
        "broken": _broken(columns, listing),
        "files_without_label": _first(list(listing.unlisted)),
        "slides": _slides(listing),
    }
    return found | ({"ids": _ids(columns, listing)} if source.ids_are_sha1 else {})


def _read(source: Source, listing: Listing, report: Report) -> Columns:
    """Everything but the images, which are read and let go."""
    cache = cache_folder()
    with storage_errors(cache):
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = TemporaryDirectory(prefix=".tmp-", dir=cache)
    with scratch as folder:
        reader = source.reader(listing, Path(folder), report)
        blocks = read_all(reader, len(listing), 0, report, f"reading {source.name}")
        return join([block.without_images() for block in blocks])


def _summary(source: Source, listing: Listing) -> dict[str, Any]:
    return {
        "layout": source.kind,
        "name": source.name,
        "provenance": listing.provenance,
        "test_provenance": listing.test_provenance or listing.provenance,
        "patches": len(listing),
        "side": listing.side,
    }


def _by_split(listing: Listing) -> dict[str, int]:
    counts = np.bincount(listing.splits, minlength=len(SPLITS)).tolist()
    return {name: count for name, count in zip(SPLITS, counts, strict=True) if count}


def _counts_unread(source: Source, listing: Listing, crop: int) -> _Counts | None:
    """Counts by what the source lists, or else by the pack of an earlier run."""
    if listing.labels is not None:
        return count_by_split(listing.labels, listing.splits)
    packed = earlier_manifest(source, listing, crop)
    return packed.counts if packed else None


def _named(counts: _Counts) -> dict[str, dict[str, int]]:
    return {name: {"normal": normal, "tumour": tumour} for name, (normal, tumour) in counts.items()}


def _duplicates(columns: Columns, listing: Listing) -> dict[str, Any]:
    numbers, splits = contents(columns.sha1), listing.splits[columns.rows]
    return {
        "repeats_within": {SPLITS[split]: count for split, count in repeats(numbers, splits).items()},
        "across_splits": crossing(numbers, splits),
        "conflicting_labels": conflicting(numbers, columns.labels),
    }


def _broken(columns: Columns, listing: Listing) -> dict[str, Any]:
    return {
        "count": len(columns.broken),
        "missing": sum(reason == MISSING for _, reason in columns.broken),
        "first": [{"id": listing.ids[row], "reason": reason} for row, reason in columns.broken[:_SHOWN]],
    }


def _first(names: list[str]) -> dict[str, Any]:
    return {"count": len(names), "first": names[:_SHOWN]}


def _slides(listing: Listing) -> dict[str, int]:
    known = [slide for slide in listing.slides or () if slide]
    return {"known": len(known), "unknown": len(listing) - len(known), "slides": len(set(known))}


def _ids(columns: Columns, listing: Listing) -> dict[str, Any]:
    """Whether each id is the SHA-1 of its patch's raw uint8 RGB bytes."""
    named = zip(columns.rows.tolist(), columns.sha1, strict=True)
    wrong = [listing.ids[row] for row, digest in named if listing.ids[row].lower() != digest.tobytes().hex()]
    return {"checked": len(columns.rows), "matching": len(columns.rows) - len(wrong), "mismatches": wrong[:_SHOWN]}
