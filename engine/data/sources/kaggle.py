"""Kaggle's Histopathologic Cancer Detection: `train_labels.csv` beside `train/<id>.tif`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

import numpy as np

from engine.data.images import FileReader
from engine.data.slides import read_table
from engine.data.sources.base import CAMELYON_SIDE, UNASSIGNED, Listing, Source, digest_of, read_label
from engine.data.sources.files import files_in, is_plain_name
from engine.progress import Report
from engine.spec.config import DataConfig
from engine.spec.errors import DataError

LABELS: Final = "train_labels.csv"
FOLDER: Final = "train"
SUFFIX: Final = ".tif"


@dataclass(frozen=True, slots=True)
class Kaggle(Source):
    """Labels in a table, one TIFF per patch, no splits. An id is the SHA-1 of the patch's pixels."""

    folder: Path
    kind: ClassVar[str] = "kaggle"
    ids_are_sha1: ClassVar[bool] = True
    looks_like: ClassVar[str] = f"{LABELS} (id,label) beside {FOLDER}/<id>{SUFFIX}"

    @classmethod
    def find(cls, config: DataConfig) -> Self | None:
        folder = Path(config.source).expanduser()
        return cls(folder) if (folder / LABELS).is_file() else None

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def listing(self, report: Report) -> Listing:
        if not (self.folder / FOLDER).is_dir():
            raise DataError(f"data.source {self.folder}: {LABELS} is there, and {FOLDER}/ with its images is not")
        files = files_in(self.folder, self.folder / FOLDER, [SUFFIX])
        labels = self._labels()
        return Listing(
            ids=tuple(labels),
            labels=np.array(list(labels.values()), np.uint8),
            splits=np.full(len(labels), UNASSIGNED, np.uint8),
            side=CAMELYON_SIDE,
            digest=digest_of(self.kind, files, labels),
            unlisted=tuple(file.id for file in files if file.id[len(FOLDER) + 1 : -len(SUFFIX)] not in labels),
        )

    def reader(self, listing: Listing, scratch: Path, report: Report) -> FileReader:
        folder = str(self.folder / FOLDER)
        paths = tuple(f"{folder}/{patch}{SUFFIX}" if is_plain_name(patch) else "" for patch in listing.ids)
        return FileReader(paths, listing.known_labels, listing.side)

    def _labels(self) -> dict[str, int]:
        """The label of each id, in the table's order."""
        path = self.folder / LABELS
        labels: dict[str, int] = {}
        for line, (patch, text) in read_table(path, ("id", "label"), "data.source"):
            label = read_label(text, f"{path}, line {line}")
            if labels.setdefault(patch, label) != label:
                raise DataError(f"{path}, line {line}: id {patch} has label {label}, and another label further up")
        if not labels:
            raise DataError(f"{path}: names no patches")
        return labels
