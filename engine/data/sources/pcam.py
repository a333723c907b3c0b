"""PCam's HDF5 files, as they are or gzipped. Valid and test are what their names say, whatever checksums are about."""

import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.data.slides import read_table
from engine.data.sources.base import (
    CAMELYON_SIDE,
    SPLITS,
    UNASSIGNED,
    Broken,
    Listing,
    Patch,
    Source,
    digest_of,
)
from engine.progress import Report, silent
from engine.spec.config import DataConfig
from engine.spec.errors import DataError
from engine.storage import storage_errors

PREFIX: Final = "camelyonpatch_level_2_split_"
_PATCH: Final = (CAMELYON_SIDE, CAMELYON_SIDE, 3)
_PIECE: Final = 4 << 20
_MOST_LABELS: Final = 1 << 24
"""PCam has a quarter of a million patches; what says that it has more than so many is no table of labels."""
_BESIDE: Final = 64 << 20
"""Bytes that an HDF5 file may have beside its values."""


@dataclass(frozen=True, slots=True)
class Part:
    """One split: its images' file, and its labels, (N,) uint8."""

    split: int
    images: Path
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Pcam(Source):
    """Splits by slide, as published."""

    folder: Path
    kind: ClassVar[str] = "pcam"
    looks_like: ClassVar[str] = f"{PREFIX}{{train,valid,test}}_{{x,y}}.h5 (also .h5.gz)"

    @classmethod
    def find(cls, config: DataConfig) -> Self | None:
        folder = Path(config.source).expanduser()
        return cls(folder) if any(folder.glob(f"{PREFIX}*_[xy].h5*")) else None

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def listing(self, report: Report) -> Listing:
        parts = self._parts()
        names = [SPLITS[part.split] for part in parts]
        slides = self._slides(parts)
        return Listing(
            ids=tuple(f"{name}/{k}" for name, part in zip(names, parts, strict=True) for k in range(len(part.labels))),
            labels=np.concatenate([part.labels for part in parts]),
            splits=np.repeat(np.array([part.split for part in parts], np.uint8), [len(part.labels) for part in parts]),
            side=CAMELYON_SIDE,
            slides=slides,
            digest=digest_of(self.kind, [_stamp(part) for part in parts], slides),
        )

    def reader(self, listing: Listing, scratch: Path, report: Report) -> "Hdf5Reader":
        parts = self._parts()
        paths = tuple(_unpacked(part, scratch, report) for part in parts)
        for path, part in zip(paths, parts, strict=True):
            _check_images(path, part)
        return Hdf5Reader(paths, tuple(part.labels for part in parts))

    def _parts(self) -> list[Part]:
        parts = [part for split in range(UNASSIGNED) if (part := self._part(split)) is not None]
        if not parts or parts[0].split != 0:
            raise DataError(f"data.source {self.folder}: no {PREFIX}train_x.h5 and _y.h5 (or .h5.gz) there")
        return parts

    def _part(self, split: int) -> Part | None:
        images, labels = (self._file(split, key) for key in "xy")
        if images is None and labels is None:
            return None
        if images is None or labels is None:
            there = images or labels
            raise DataError(f"{there}: there without its other half, the images (_x) or the labels (_y)")
        return Part(split, images, _read_labels(labels))

    def _file(self, split: int, key: str) -> Path | None:
        names = [f"{PREFIX}{SPLITS[split]}_{key}.h5{ending}" for ending in ("", ".gz")]
        return next((self.folder / name for name in names if (self.folder / name).is_file()), None)

    def _slides(self, parts: list[Part]) -> tuple[str, ...] | None:
        """Slides from the published tables of each split, "" where there is none."""
        slides = [slide for part in parts for slide in self._slides_of(part)]
        return tuple(slides) if any(slides) else None

    def _slides_of(self, part: Part) -> list[str]:
        path = self.folder / f"{PREFIX}{SPLITS[part.split]}_meta.csv"
        if not path.is_file():
            return [""] * len(part.labels)
        slides = [slide for _, (slide,) in read_table(path, ("wsi",), "data.source")]
        if len(slides) != len(part.labels):
            raise DataError(f"{path}: {len(slides)} rows for {len(part.labels)} patches")
        return slides


@dataclass(frozen=True, slots=True)
class Hdf5Reader:
    """Reads rows of the splits' files, one after another."""

    paths: tuple[Path, ...]
    labels: tuple[NDArray[np.uint8], ...]
    worth_processes: ClassVar[int] = 5000

    def read(self, start: int, stop: int) -> Iterator[Patch | Broken]:
        first = 0
        for path, labels in zip(self.paths, self.labels, strict=True):
            low, high = max(start - first, 0), min(stop - first, len(labels))
            if low < high:
                yield from _read_part(path, labels, low, high)
            first += len(labels)


def _read_part(path: Path, labels: NDArray[np.uint8], start: int, stop: int) -> Iterator[Patch | Broken]:
    with _open(path) as file:
        dataset = file["x"]
        try:
            images = dataset[start:stop]
        except OSError:
            yield from (_read_one(dataset, labels, row) for row in range(start, stop))
            return
        yield from (Patch(image, int(label)) for image, label in zip(images, labels[start:stop], strict=True))


def _read_one(dataset: Any, labels: NDArray[np.uint8], row: int) -> Patch | Broken:
    try:
        return Patch(dataset[row], int(labels[row]))
    except OSError as error:
        return Broken(f"cannot be read from its HDF5 file ({error})")


@contextmanager
def _open(file: Path | BytesIO, name: str = "") -> Iterator[Any]:
    try:
        opened = h5py.File(file, "r")
    except OSError as error:
        raise DataError(f"{name or file}: not an HDF5 file, or cut short ({error})") from None
    with opened:
        yield opened


def _read_labels(path: Path) -> NDArray[np.uint8]:
    """(N,) uint8 labels of a `_y` file."""
    content = BytesIO(b"".join(_gunzipped(path, silent, _MOST_LABELS + _BESIDE))) if path.suffix == ".gz" else path
    with _open(content, str(path)) as file:
        dataset = _dataset(file, "y", path)
        if dataset.size > _MOST_LABELS or dataset.dtype.kind not in "biuf":
            raise DataError(
                f"{path}: {dataset.size} labels of type {dataset.dtype}; there may be {_MOST_LABELS}, and numbers"
            )
        if dataset.ndim == 0 or dataset.size != dataset.shape[0]:
            raise DataError(f"{path}: `y` has shape {dataset.shape}; it must have one label per patch, (N, 1, 1, 1)")
        labels = _values(dataset, path).reshape(-1)
    if not np.isin(labels, (0, 1)).all():
        wrong = labels[~np.isin(labels, (0, 1))][0]
        raise DataError(f"{path}: label {wrong}; labels are 0 (normal) and 1 (tumour)")
    return labels.astype(np.uint8)


def _values(dataset: Any, path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = dataset[()]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    return values


def _dataset(file: Any, key: str, path: Path) -> Any:
    """An array of the file whose pieces fit into memory."""
    try:
        dataset = file.get(key)
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            raise DataError(f"{path}: no dataset `{key}` in it; found {', '.join(file) or 'nothing'}")
        piece = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    # A link to itself, and types that numpy does not have.
    except (RuntimeError, TypeError, OSError) as error:
        raise DataError(f"{path}: `{key}` cannot be read ({error})") from None
    if piece > _BESIDE:
        raise DataError(f"{path}: `{key}` is stored in pieces of {piece} bytes; there may be {_BESIDE}")
    return dataset


def _check_images(path: Path, part: Part) -> None:
    with _open(path, str(part.images)) as file:
        dataset = _dataset(file, "x", part.images)
        if dataset.shape[1:] != _PATCH or dataset.dtype != np.uint8:
            raise DataError(f"{part.images}: `x` is {dataset.dtype} {dataset.shape}; it must be uint8 (N, 96, 96, 3)")
        if len(dataset) != len(part.labels):
            raise DataError(f"{part.images}: {len(dataset)} images for {len(part.labels)} labels")


def _unpacked(part: Part, scratch: Path, report: Report) -> Path:
    """The file of the images itself, or what a gzipped one holds, unpacked into `scratch`."""
    path, most = part.images, len(part.labels) * math.prod(_PATCH) + _BESIDE
    if path.suffix != ".gz":
        return path
    target = scratch / path.stem
    with storage_errors(scratch), target.open("wb") as file:
        for piece in _gunzipped(path, report, most):
            file.write(piece)
    return target


def _gunzipped(path: Path, report: Report, most: int) -> Iterator[bytes]:
    """The content of a gzipped file, piece by piece; DataError where it has more than `most` bytes."""
    left = most
    try:
        size = path.stat().st_size
        with path.open("rb") as packed, gzip.open(packed) as file:
            while piece := file.read(_PIECE):
                report(f"unpacking {path.name}", packed.tell(), size)
                left -= len(piece)
                if left < 0:
                    raise DataError(f"{path}: has more than the {most} bytes that it may have; look what it is")
                yield piece
    except EOFError:
        raise DataError(f"{path}: cut short; download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}); download it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _stamp(part: Part) -> tuple[str, int, int, str]:
    status = part.images.stat()
    return part.images.name, status.st_size, status.st_mtime_ns, hashlib.sha256(part.labels.data).hexdigest()
