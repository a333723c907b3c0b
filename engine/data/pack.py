"""Pack: a source's patches in arrays on disk, and the check that they are what was written."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import look_at, open_array
from engine.data.patches import PatchSet
from engine.data.sources.base import SPLITS
from engine.spec.json_file import read_json

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_SAMPLES: Final = 64
_SAMPLE_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """One array's file as it was written. `sha256` is over evenly spread samples where the file is large."""

    shape: tuple[int, ...]
    dtype: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pack says of itself."""

    kind: str
    provenance: str
    test_provenance: str
    name: str
    side: int
    crop: int
    fingerprint: str
    """SHA-256 over all patches' (sha1, label, split), sorted: the same for the same patches in any layout."""
    listed: int
    """Patches that the source lists, broken ones included."""
    counts: dict[str, tuple[int, int]]
    """Normal and tumour patches by split."""
    broken: tuple[tuple[str, str], ...]
    """Id and reason of each patch that could not be read."""
    unlisted: tuple[str, ...]
    """Files that have no label."""
    slide_names: tuple[str, ...]
    arrays: dict[str, ArrayFile]
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Pack:
    """Every readable patch of a source, centre crops, memory-mapped read-only; N rows in the source's order.

    `images` (N, crop, crop, 3) uint8; `labels` (N,) uint8; `splits` (N,) uint8 places in SPLITS; `slides` (N,) int32
    places in `manifest.slide_names`, -1 where unknown; `sha1` (N, 20) uint8 of the uncropped pixels; `ids` (N,) bytes.
    """

    folder: Path
    manifest: Manifest
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    splits: NDArray[np.uint8]
    slides: NDArray[np.int32]
    sha1: NDArray[np.uint8]
    ids: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.labels)

    def names(self, rows: NDArray[np.int64]) -> list[str]:
        """The ids of these rows."""
        return [name.decode("utf-8", "backslashreplace") for name in self.ids[rows].tolist()]

    def patches(self, rows: NDArray[np.int64]) -> PatchSet:
        """The set of these rows."""
        return PatchSet(self.images, self.labels, rows)


ARRAYS: Final = ("images", "labels", "splits", "slides", "sha1", "ids")


class DamagedPackError(Exception):
    """A pack that is not what was written; it is made again."""


def array_path(folder: Path, name: str) -> Path:
    return folder / ("patches.npy" if name == "images" else f"{name}.npy")


def describe_array(path: Path) -> ArrayFile:
    """Shape, type, size and digest of an array's file; DamagedPackError where the header is not a plain array's."""
    try:
        (header, _), size = look_at(path), path.stat().st_size
    except (OSError, ValueError) as error:
        raise DamagedPackError(f"{path.name}: {error}") from None
    return ArrayFile(header.shape, header.dtype.str, size, _sampled_sha256(path, size))


def _sampled_sha256(path: Path, size: int) -> str:
    with path.open("rb") as file:
        if size <= _SAMPLES * _SAMPLE_BYTES:
            return hashlib.sha256(file.read()).hexdigest()
        digest = hashlib.sha256()
        for sample in range(_SAMPLES):
            file.seek((size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def write_manifest(path: Path, manifest: Manifest) -> None:
    path.write_text(json.dumps(asdict(manifest), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_manifest(path: Path) -> Manifest:
    """DamagedPackError where it is not one of this version."""
    try:
        tree = read_json(path)
        tree["counts"] = {str(name): (int(pair[0]), int(pair[1])) for name, pair in tree["counts"].items()}
        tree["broken"] = tuple((str(name), str(reason)) for name, reason in tree["broken"])
        tree["unlisted"] = tuple(map(str, tree["unlisted"]))
        tree["slide_names"] = tuple(map(str, tree["slide_names"]))
        tree["arrays"] = {name: _array_file(saved) for name, saved in tree["arrays"].items()}
        manifest = Manifest(**tree)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise DamagedPackError(f"{path}: {error}") from None
    if manifest.format != FORMAT or set(manifest.arrays) != set(ARRAYS):
        raise DamagedPackError(f"{path}: of another version")
    return manifest


def _array_file(saved: dict[str, Any]) -> ArrayFile:
    return ArrayFile(tuple(map(int, saved["shape"])), str(saved["dtype"]), int(saved["size"]), str(saved["sha256"]))


def open_pack(folder: Path) -> Pack:
    """The pack in a folder, every array checked before it is mapped; DamagedPackError where one is not as written."""
    manifest = read_manifest(folder / MANIFEST)
    for name, written in manifest.arrays.items():
        if describe_array(array_path(folder, name)) != written:
            raise DamagedPackError(f"{name}: not what was written")
    _check_shapes(manifest)
    arrays = {name: open_array(array_path(folder, name)) for name in ARRAYS}
    return Pack(folder, manifest, **arrays)


def _check_shapes(manifest: Manifest) -> None:
    count, crop = manifest.arrays["labels"].shape[0], manifest.crop
    width = manifest.arrays["ids"].dtype
    expected = {
        "images": ((count, crop, crop, 3), "|u1"),
        "labels": ((count,), "|u1"),
        "splits": ((count,), "|u1"),
        "slides": ((count,), "<i4"),
        "sha1": ((count, 20), "|u1"),
        "ids": ((count,), width),
    }
    if (
        any((array.shape, array.dtype) != expected[name] for name, array in manifest.arrays.items())
        or width[:2] != "|S"
    ):
        raise DamagedPackError("arrays of unexpected shape")


def count_by_split(labels: NDArray[np.uint8], splits: NDArray[np.uint8]) -> dict[str, tuple[int, int]]:
    """Normal and tumour patches of each split that has any."""
    table = np.bincount(splits.astype(np.int64) * 2 + labels, minlength=2 * len(SPLITS)).reshape(-1, 2)
    return {
        name: (int(normal), int(tumour))
        for name, (normal, tumour) in zip(SPLITS, table, strict=True)
        if normal + tumour
    }


def fingerprint(sha1: NDArray[np.uint8], labels: NDArray[np.uint8], splits: NDArray[np.uint8]) -> str:
    """SHA-256 over the sorted rows of (sha1, label, split)."""
    return digest_of_rows(sha1, labels, splits)


def digest_of_rows(*columns: NDArray[np.uint8]) -> str:
    """SHA-256 over the sorted rows of these columns, (N,) or (N, D): the same in whatever order they are."""
    rows = np.column_stack(columns)
    order = np.lexsort(rows.T[::-1])
    return hashlib.sha256(np.ascontiguousarray(rows[order]).data).hexdigest()
