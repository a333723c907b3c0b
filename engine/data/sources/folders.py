"""Class folders: `{train,valid,test}/{0,1}/*.png`, or `normal` and `tumor`, with or without splits."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

import numpy as np

from engine.data.images import SUFFIXES, FileReader, image_size
from engine.data.sources.base import TEST, TRAIN, UNASSIGNED, VALID, Listing, Provenance, Source, digest_of
from engine.data.sources.files import ImageFile, files_in
from engine.progress import Report
from engine.spec.config import DataConfig
from engine.spec.errors import DataError
from engine.spec.json_file import read_json

ORIGIN: Final = "histotui.json"
_SPLIT_FOLDERS: Final = {"train": TRAIN, "valid": VALID, "val": VALID, "validation": VALID, "test": TEST}
CLASSES: Final = {"0": 0, "normal": 0, "1": 1, "tumor": 1, "tumour": 1}
_SIZES_LOOKED_AT: Final = 15


@dataclass(frozen=True, slots=True)
class ClassFolders(Source):
    """Images whose folder is their label. All have the size that most of them have."""

    folder: Path
    kind: ClassVar[str] = "class folders"
    looks_like: ClassVar[str] = (
        "{train,valid,test}/{0,1}/ or {0,1}/ (also val, normal, tumor) with .png, .jpg or .tif images"
    )

    @classmethod
    def find(cls, config: DataConfig) -> Self | None:
        folder = Path(config.source).expanduser()
        return cls(folder) if any(_class_folders(folder)) else None

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def listing(self, report: Report) -> Listing:
        rows = [
            (split, label, image)
            for split, label, folder in _class_folders(self.folder)
            for image in files_in(self.folder, folder, SUFFIXES)
        ]
        if not rows:
            raise DataError(f"data.source {self.folder}: its class folders hold no {', '.join(SUFFIXES)} images")
        images = [image for _, _, image in rows]
        return Listing(
            ids=tuple(image.id for image in images),
            labels=np.array([label for _, label, _ in rows], np.uint8),
            splits=np.array([split for split, _, _ in rows], np.uint8),
            side=self._side(images),
            digest=digest_of(self.kind, self._provenance(), images),
            provenance=self._provenance(),
        )

    def reader(self, listing: Listing, scratch: Path, report: Report) -> FileReader:
        folder = str(self.folder)
        return FileReader(tuple(f"{folder}/{name}" for name in listing.ids), listing.known_labels, listing.side)

    def _provenance(self) -> Provenance:
        """Real, unless an export of a run's patches says otherwise."""
        try:
            origin = read_json(self.folder / ORIGIN)
        except (OSError, ValueError):
            return "real"
        return "synthetic" if isinstance(origin, dict) and origin.get("provenance") == "synthetic" else "real"

    def _side(self, images: list[ImageFile]) -> int:
        """Side of the most common size among a few images from all over the source; the first of them when in doubt."""
        step = max(1, len(images) // _SIZES_LOOKED_AT)
        found = (image_size(self.folder / image.id) for image in images[::step])
        sizes = Counter(size for size in found if size)
        if not sizes:
            raise DataError(
                f"{self.folder / images[0].id}: not an image that can be read, nor are others of {self.folder}"
            )
        ((width, height), _) = sizes.most_common(1)[0]
        if width != height:
            raise DataError(f"data.source {self.folder}: images of {width}x{height} pixels; patches are square")
        return width


def _class_folders(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Split, label and path of each class folder; those under splits, or else those at the top."""
    split = [(code, label, path) for name, code in _SPLIT_FOLDERS.items() for label, path in _classes(folder / name)]
    yield from split or ((UNASSIGNED, label, path) for label, path in _classes(folder))


def _classes(folder: Path) -> Iterator[tuple[int, Path]]:
    return ((label, folder / name) for name, label in CLASSES.items() if (folder / name).is_dir())
