"""Which sources there are, and which of them a path is."""

import importlib
from pathlib import Path
from typing import Final

from engine.data.sources.base import Source
from engine.spec.config import DataConfig
from engine.spec.errors import DataError

SOURCES: Final = (
    "engine.data.sources.tissue:Tissue",
    "engine.data.sources.kaggle:Kaggle",
    "engine.data.sources.run:EarlierRun",
    "engine.data.sources.folders:ClassFolders",
    "engine.data.sources.pcam:Pcam",
)


def recognise(config: DataConfig) -> Source:
    """The source that `config.source` names; DataError says what was looked for when it is none."""
    try:
        # One after another, as HDF5 takes as long to import as a thousand patches to read.
        found = (_load(entry).find(config) for entry in SOURCES)
        source = next((source for source in found if source is not None), None)
        return source or _refuse(Path(config.source))
    except FileNotFoundError:
        raise DataError(f"data.source {config.source}: no such folder; name one of patches, or `tissue`") from None
    except NotADirectoryError:
        raise DataError(f"data.source {config.source}: a file; name the folder that it is in") from None
    except (OSError, ValueError) as error:
        raise DataError(f"data.source {config.source!r}: cannot be read ({error})") from None


def _load(entry: str) -> type[Source]:
    module, name = entry.split(":")
    kind: type[Source] = getattr(importlib.import_module(module), name)
    return kind


def _refuse(folder: Path) -> Source:
    if not any(folder.expanduser().iterdir()):
        raise DataError(f"data.source {folder}: the folder is empty")
    looked_for = "".join(f"\n  {kind.kind}: {kind.looks_like}" for kind in map(_load, SOURCES))
    raise DataError(f"data.source {folder}: no patches recognised; looked for{looked_for}")
