"""Source: where labelled patches lie, what it holds before any is read, and how they are read."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engine.progress import Report
from engine.spec.config import DataConfig
from engine.spec.errors import DataError

Provenance = Literal["real", "tissue", "synthetic"]

SPLITS: Final = ("train", "valid", "test", "unassigned")
TRAIN, VALID, TEST, UNASSIGNED = range(4)

CAMELYON_SIDE: Final = 96


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source holds, one row per patch, known without reading a patch.

    `labels` and `splits` are (N,) uint8, `splits` being places in SPLITS; labels are None where only reading tells.
    `slides` names each patch's slide, "" where it is unknown. `digest` changes whenever the files do.
    """

    ids: tuple[str, ...]
    labels: NDArray[np.uint8] | None
    splits: NDArray[np.uint8]
    side: int
    digest: str
    slides: tuple[str, ...] | None = None
    unlisted: tuple[str, ...] = ()
    """Files that have no label."""
    provenance: Provenance = "real"
    test_provenance: Provenance | None = None
    """What the test patches are, where that is not what the training patches are."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def known_labels(self) -> NDArray[np.uint8]:
        """The labels of a source that knows them without reading its patches."""
        if self.labels is None:
            raise ValueError("only reading the patches tells their labels")
        return self.labels


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch, (side, side, 3) uint8 RGB. `sha1` is that of its full pixels where these are a crop of it."""

    pixels: NDArray[np.uint8]
    label: int
    sha1: bytes | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A patch that cannot be had, and why."""

    reason: str


class Reader(Protocol):
    """Reads rows of a listing, in this process or in workers."""

    @property
    def worth_processes(self) -> int:
        """From how many patches on processes are worth starting."""

    def read(self, start: int, stop: int) -> Iterator[Patch | Broken]: ...


class Source(ABC):
    """A place that patches come from. A new one is one file, and one line in the registry."""

    kind: ClassVar[str]
    looks_like: ClassVar[str]
    """What `recognise` looks for, in the words of an error message."""
    ids_are_sha1: ClassVar[bool] = False
    """Whether ids say what the pixels are."""

    @classmethod
    @abstractmethod
    def find(cls, config: DataConfig) -> Self | None:
        """The source at `config.source`, if it is of this kind."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What people are shown."""

    @abstractmethod
    def listing(self, report: Report) -> Listing:
        """What is there; DataError where it is not fit for use."""

    @abstractmethod
    def reader(self, listing: Listing, scratch: Path, report: Report) -> Reader:
        """A reader of the listing's rows, which may unpack what it needs into `scratch`."""


def digest_of(*parts: object) -> str:
    """A digest of plain JSON types, the same for the same values."""
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


def read_label(text: str, where: str) -> int:
    """0 or 1; DataError names the place otherwise."""
    if text not in ("0", "1"):
        raise DataError(f"{where}: label {text!r}; labels are 0 (normal) and 1 (tumour)")
    return int(text)
