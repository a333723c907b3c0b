"""Writing a pack: images streamed to their file as they are read, everything else once it is known."""

import os
import shutil
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from engine.data.pack import (
    ARRAYS,
    MANIFEST,
    Manifest,
    array_path,
    count_by_split,
    describe_array,
    fingerprint,
    write_manifest,
)
from engine.data.reading import Block, Columns, join, read_all
from engine.data.sources.base import Listing, Source
from engine.progress import Report
from engine.spec.errors import DataError
from engine.spec.failpoints import Act, reach
from engine.storage import storage_errors

_BLOCKS_PER_SYNC = 8


def write_pack(source: Source, listing: Listing, crop: int, folder: Path, report: Report) -> None:
    """Read a whole source and write its pack into an empty folder."""
    scratch = folder / "scratch"
    with storage_errors(folder):
        scratch.mkdir()
    reader = source.reader(listing, scratch, report)
    reading = read_all(reader, len(listing), crop, report, f"packing {source.name}")
    with closing(reading) as blocks:
        columns = _write_images(array_path(folder, "images"), blocks, len(listing), crop)
    if not len(columns.rows):
        row, reason = columns.broken[0]
        raise DataError(f"{source.name}: none of its {len(listing)} patches can be read; {listing.ids[row]}: {reason}")
    with storage_errors(folder):
        shutil.rmtree(scratch)
        _write_columns(folder, listing, columns)
        write_manifest(folder / MANIFEST, _manifest(source, listing, columns, crop, folder))


def _write_images(path: Path, blocks: Iterable[Block], count: int, crop: int) -> Columns:
    kept: list[Block] = []
    synced: list[Future[None]] = []
    # What is written goes to the disk while the next is read, and the last sync has little left to do.
    with storage_errors(path.parent), path.open("wb") as file, ThreadPoolExecutor(1) as syncing:
        file.write(_header(count, crop))
        for number, block in enumerate(blocks, start=1):
            reach(Act.PACK_BLOCK)
            file.write(block.images.data)
            kept.append(block.without_images())
            if number % _BLOCKS_PER_SYNC == 0:
                synced.append(syncing.submit(os.fdatasync, file.fileno()))
        for sync in synced:
            sync.result()
        columns = join(kept)
        file.seek(0)
        file.write(_header(len(columns.rows), crop))
    return columns


def _header(count: int, crop: int) -> bytes:
    """The npy header for so many images; all have one size, as numpy leaves room in it for the number to grow."""
    buffer = BytesIO()
    header: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": (count, crop, crop, 3)}
    npy.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def _write_columns(folder: Path, listing: Listing, columns: Columns) -> None:
    rows = columns.rows
    names = slide_names(listing)
    code = {name: place for place, name in enumerate(names)}
    slides = [code.get(name, -1) for name in listing.slides] if listing.slides else [-1] * len(listing)
    ids = [listing.ids[row].encode("utf-8", "surrogateescape") for row in rows.tolist()]
    arrays: dict[str, NDArray[Any]] = {
        "labels": columns.labels,
        "splits": listing.splits[rows],
        "slides": np.array(slides, "<i4")[rows],
        "sha1": columns.sha1,
        "ids": np.array(ids, np.bytes_),
    }
    for name, array in arrays.items():
        np.save(array_path(folder, name), array, allow_pickle=False)


def slide_names(listing: Listing) -> tuple[str, ...]:
    return tuple(sorted(set(listing.slides or ()) - {""}))


def _manifest(source: Source, listing: Listing, columns: Columns, crop: int, folder: Path) -> Manifest:
    splits = listing.splits[columns.rows]
    return Manifest(
        kind=source.kind,
        provenance=listing.provenance,
        test_provenance=listing.test_provenance or listing.provenance,
        name=source.name,
        side=listing.side,
        crop=crop,
        fingerprint=fingerprint(columns.sha1, columns.labels, splits),
        listed=len(listing),
        counts=count_by_split(columns.labels, splits),
        broken=tuple((listing.ids[row], reason) for row, reason in columns.broken),
        unlisted=listing.unlisted,
        slide_names=slide_names(listing),
        arrays={name: describe_array(array_path(folder, name)) for name in ARRAYS},
    )
