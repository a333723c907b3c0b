"""The built-in tissue as a source: train and test patches, from slides of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from engine.data.sources.base import CAMELYON_SIDE, TEST, TRAIN, Broken, Listing, Patch, Source, digest_of
from engine.data.tissue import rendering
from engine.progress import Report
from engine.spec.config import DataConfig, TissueConfig
from engine.spec.resolve import Tree


@dataclass(frozen=True, slots=True)
class Tissue(Source):
    """Patches rendered from a seed; the truth about them is known."""

    config: TissueConfig
    kind: ClassVar[str] = "tissue"
    looks_like: ClassVar[str] = "the word `tissue`, for the built-in rendered patches"

    @classmethod
    def find(cls, config: DataConfig) -> Self | None:
        return cls(config.tissue) if config.source == "tissue" else None

    @property
    def name(self) -> str:
        return "built-in tissue"

    def listing(self, report: Report) -> Listing:
        counts = {TRAIN: self.config.train, TEST: self.config.test}
        places = [(split, index) for split, count in counts.items() for index in range(count)]
        tree: Tree = self.config.model_dump(mode="json")
        return Listing(
            ids=tuple(f"{'test' if split == TEST else 'train'}/{index:07d}" for split, index in places),
            labels=None,
            splits=np.array([split for split, _ in places], np.uint8),
            slides=tuple(rendering.slide_name(self.config.seed, self._slide(split, index)) for split, index in places),
            side=CAMELYON_SIDE,
            provenance="tissue",
            digest=digest_of(self.kind, rendering.VERSION, tree),
        )

    def reader(self, listing: Listing, scratch: Path, report: Report) -> "TissueReader":
        return TissueReader(self.config)

    def _slide(self, split: int, index: int) -> int:
        return rendering.slide_of(self.config.seed, split, index, self.config.slides)


@dataclass(frozen=True, slots=True)
class TissueReader:
    """Renders rows: the training patches, then the test patches."""

    config: TissueConfig
    worth_processes: ClassVar[int] = 500

    def read(self, start: int, stop: int) -> Iterator[Patch | Broken]:
        for row in range(start, stop):
            yield self._patch(row)

    def _patch(self, row: int) -> Patch:
        split, index = (TRAIN, row) if row < self.config.train else (TEST, row - self.config.train)
        pixels, label = rendering.render(self.config.seed, split, index, self.config.slides)
        return Patch(pixels, label)
