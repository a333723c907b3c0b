"""An earlier run: its synthetic set to train on, and the test patches of its own source to test on."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from engine.arrays import open_array
from engine.data.pack import DamagedPackError, Pack, describe_array
from engine.data.packing import pack
from engine.data.sources.base import TEST, TRAIN, Broken, Listing, Patch, Provenance, Source, digest_of
from engine.data.splits import divide
from engine.progress import Report
from engine.spec.config import DataConfig
from engine.spec.errors import ConfigError, DataError
from engine.spec.json_file import read_json
from engine.spec.resolve import load
from engine.spec.run_folder import RunFolder

IMAGES: Final = "images.npy"
LABELS: Final = "labels.npy"
LEARNED_FROM: Final = "learned_from.npy"


@dataclass(frozen=True, slots=True)
class EarlierRun(Source):
    """Synthetic patches are trained on and never tested on: the test patches are those of the run's own source."""

    run: RunFolder
    kind: ClassVar[str] = "run"
    looks_like: ClassVar[str] = f"a run's config.json and synthetic/{IMAGES}"

    @classmethod
    def find(cls, config: DataConfig) -> Self | None:
        run = RunFolder(Path(config.source).expanduser())
        return cls(run) if run.config.is_file() and run.events.is_file() else None

    @property
    def name(self) -> str:
        return f"synthetic set of {self.run.path.resolve().name}"

    def listing(self, report: Report) -> Listing:
        synthetic = open_synthetic(self.run)
        self._refuse_reconstructions()
        packed, test = _test_patches(self.run, report)
        if packed.manifest.crop != synthetic.side:
            raise DataError(
                f"data.source {self.run.path}: its synthetic patches have {synthetic.side} pixels "
                f"and its test patches {packed.manifest.crop}"
            )
        status = (self.run.synthetic / IMAGES).stat()
        stamp, made = (status.st_size, status.st_mtime_ns), len(synthetic.labels)
        return Listing(
            ids=(*(f"train/{row}" for row in range(made)), *(f"test/{name}" for name in packed.names(test))),
            labels=np.concatenate([synthetic.labels, packed.labels[test]]),
            splits=np.repeat(np.array([TRAIN, TEST], np.uint8), [made, len(test)]),
            side=synthetic.side,
            digest=digest_of(self.kind, stamp, synthetic.labels.tolist(), packed.folder.name, test.tolist()),
            provenance="synthetic",
            test_provenance=cast(Provenance, packed.manifest.test_provenance),
        )

    def _refuse_reconstructions(self) -> None:
        try:
            manifest = read_json(self.run.synthetic / "manifest.json")
        except (OSError, ValueError):
            return
        if isinstance(manifest, dict) and manifest.get("patches", "synthetic") != "synthetic":
            raise DataError(
                f"data.source {self.run.path}: its patches are reconstructions of training patches and no samples; "
                "name it in synthesis.source, which says so with the result"
            )

    def reader(self, listing: Listing, scratch: Path, report: Report) -> "RunReader":
        return RunReader(open_synthetic(self.run), *_test_patches(self.run, report))


@dataclass(frozen=True, slots=True)
class SyntheticSet:
    """What a run has made: `images` (N, side, side, 3) uint8, mapped from disk, and `labels` (N,) uint8."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @property
    def side(self) -> int:
        return int(self.images.shape[1])


@dataclass(frozen=True, slots=True)
class RunReader:
    """Reads rows: the synthetic patches, then the test patches."""

    synthetic: SyntheticSet
    pack: Pack
    test: NDArray[np.int64]
    worth_processes: ClassVar[int] = sys.maxsize  # copying mapped pages needs no help

    def read(self, start: int, stop: int) -> Iterator[Patch | Broken]:
        made = len(self.synthetic.labels)
        for row in range(start, stop):
            yield self._made(row) if row < made else self._test(int(self.test[row - made]))

    def _made(self, row: int) -> Patch:
        return Patch(self.synthetic.images[row], int(self.synthetic.labels[row]))

    def _test(self, row: int) -> Patch:
        return Patch(self.pack.images[row], int(self.pack.labels[row]), self.pack.sha1[row].tobytes())


def open_synthetic(run: RunFolder) -> SyntheticSet:
    """The synthetic set of a run; DataError where there is none that can be used."""
    images, labels = (_open_array(run.synthetic / name) for name in (IMAGES, LABELS))
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise DataError(f"{run.synthetic / IMAGES}: shape {images.shape}; it must be (N, side, side, 3)")
    if labels.shape != images.shape[:1] or not np.isin(labels, (0, 1)).all():
        raise DataError(
            f"{run.synthetic / LABELS}: it must have one label, 0 or 1, for each of the {len(images)} patches"
        )
    return SyntheticSet(images, np.array(labels))


def open_learned_from(run: RunFolder) -> NDArray[np.uint8] | None:
    """SHA-1 of the real patches that the generator of a run's synthetic set was trained on, (N, 20) uint8.

    None where the set does not say.
    """
    path = run.synthetic / LEARNED_FROM
    if not path.exists():
        return None
    sha1 = _open_array(path)
    if sha1.ndim != 2 or sha1.shape[1] != 20:
        raise DataError(f"{path}: shape {sha1.shape}; it must be (N, 20)")
    return np.array(sha1)


def _open_array(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise DataError(
            f"{path}: not there, so the run has not made its synthetic set; `histotui resume {path.parents[1].name}` "
            "goes on with one that was stopped"
        )
    try:
        described = describe_array(path)
    except DamagedPackError as error:
        raise DataError(f"{path.parent}: damaged, {error}") from None
    if described.dtype != "|u1":
        raise DataError(f"{path}: {described.dtype} values; they must be uint8")
    return open_array(path)


def _test_patches(run: RunFolder, report: Report) -> tuple[Pack, NDArray[np.int64]]:
    """The pack of the run's own source and the rows that it was tested on."""
    try:
        config = load(run.config).data
    except (ConfigError, OSError) as error:
        raise DataError(f"data.source {run.path}: {error}") from None
    try:
        packed = pack(config, report)
        return packed, divide(packed, config).test
    except (DataError, ConfigError) as error:
        raise DataError(
            f"data.source {run.path}: the run's own test patches are needed, and they cannot be had any more: {error}"
        ) from None
