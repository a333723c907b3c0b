"""prepare: the source's patches packed, divided into splits, and the division written down."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.arrays import read_arrays
from engine.context import Context
from engine.data.grouping import grouping_of
from engine.data.pack import Pack, fingerprint
from engine.data.packing import pack
from engine.data.patches import PatchSet
from engine.data.sources.base import TEST
from engine.data.splits import Division, divide
from engine.pictures import PER_CLASS, show_grid
from engine.quality.extractors import check_extractor
from engine.randomness import permutation
from engine.spec.atomic import replacing, write_text
from engine.spec.errors import DataError, RunFolderError
from engine.spec.failpoints import Write
from engine.spec.json_file import read_json
from engine.spec.run_folder import RunFolder

STAGE = "prepare"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class RealPatches:
    """The run's real patches, divided. For each packed row, `groups` says which patches must stay on one side.

    `sha1` (M, 20) uint8 is that of each packed row's uncropped pixels; `slides` (M,) is a number, -1 where unknown.
    """

    train: PatchSet
    valid: PatchSet
    test: PatchSet
    groups: NDArray[np.uint64]
    sha1: NDArray[np.uint8]
    slides: NDArray[np.int32]
    manifest: dict[str, Any]

    @property
    def word(self) -> str:
        """What to call them: `real`, or `tissue` where the built-in tissue stands in, or `synthetic`."""
        return str(self.manifest["provenance"])


def is_complete(folder: RunFolder) -> bool:
    return _manifest_path(folder).exists()


def run(context: Context) -> None:
    """Pack, divide, and write splits.npz, then manifest.json, which makes the stage complete."""
    for caution in check_extractor(context.config, context.device):
        context.warn(STAGE, caution)
    packed = pack(context.config.data, context.reporter(STAGE))
    division = divide(packed, context.config.data)
    messages = (*_left_out(packed), *division.warnings)
    for message in messages:
        context.warn(STAGE, message)
    folder = context.folder.data
    folder.mkdir(exist_ok=True)
    with replacing(folder / "splits.npz", Write.SPLITS) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file, train=division.train, valid=division.valid, test=division.test, groups=division.groups
        )
    _save_real_grid(context, packed, division)
    manifest = json.dumps(_manifest(packed, division, messages), indent=1)
    write_text(_manifest_path(context.folder), manifest + "\n", Write.DATA_MANIFEST)


@lru_cache(maxsize=1)
def load(context: Context) -> RealPatches:
    """The divided patches of a run whose prepare stage is complete, packed again where the cache has lost them."""
    manifest = read_manifest(context.folder)
    packed = pack(context.config.data, context.reporter(STAGE))
    if packed.manifest.fingerprint != manifest["source_fingerprint"]:
        raise DataError(
            f"{context.config.data.source}: its patches are not those that this run began with "
            f"({packed.manifest.fingerprint[:12]}, not {manifest['source_fingerprint'][:12]}); start a new run"
        )
    path = context.folder.data / "splits.npz"
    try:
        splits = read_arrays(path, "train", "valid", "test", "groups")
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from None
    train, valid, test = (PatchSet(packed.images, packed.labels, splits[name]) for name in ("train", "valid", "test"))
    return RealPatches(train, valid, test, splits["groups"], packed.sha1, packed.slides, manifest)


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """What a run's patches are: source, counts, fingerprint."""
    path = _manifest_path(folder)
    try:
        manifest: dict[str, Any] = read_json(path)
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from None
    return manifest


def _manifest_path(folder: RunFolder) -> Path:
    return folder.data / "manifest.json"


def _manifest(packed: Pack, division: Division, messages: Sequence[str]) -> dict[str, Any]:
    counts = {
        name: {"normal": int((packed.labels[rows] == 0).sum()), "tumour": int((packed.labels[rows] == 1).sum())}
        for name, rows in (("train", division.train), ("valid", division.valid), ("test", division.test))
    }
    return {
        "fingerprint": division.fingerprint,
        "test_fingerprint": _test_fingerprint(packed, division),
        "source_fingerprint": packed.manifest.fingerprint,
        "source_grouping": grouping_of(packed.sha1, division.groups),
        "grouping": division.grouping,
        "layout": packed.manifest.kind,
        "name": packed.manifest.name,
        "provenance": packed.manifest.provenance,
        "test_provenance": packed.manifest.test_provenance,
        "divided": division.how,
        "counts": counts,
        "broken": [{"id": name, "reason": reason} for name, reason in packed.manifest.broken],
        "files_without_label": list(packed.manifest.unlisted),
        "warnings": list(messages),
    }


def _test_fingerprint(packed: Pack, division: Division) -> str:
    """The same for the same test patches, whatever was trained on."""
    rows = division.test
    return fingerprint(packed.sha1[rows], packed.labels[rows], np.full(len(rows), TEST, np.uint8))


def _left_out(packed: Pack) -> Iterator[str]:
    """What the run goes on without: patches that cannot be read, and files that have no label."""
    broken, unlisted = packed.manifest.broken, packed.manifest.unlisted
    if broken:
        shown = "; ".join(f"{name}: {reason}" for name, reason in broken[:_NAMED])
        count = f"{len(broken)} of {packed.manifest.listed} patches"
        yield f"{count} cannot be used and are left out ({shown}{_more(broken)})"
    if unlisted:
        yield f"{len(unlisted)} files have no label and are left out ({', '.join(unlisted[:_NAMED])}{_more(unlisted)})"


def _more(names: Sequence[object]) -> str:
    return f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""


def _save_real_grid(context: Context, packed: Pack, division: Division) -> None:
    """Real training patches in the rows of a sample grid, to lay beside the generated ones."""
    rows = division.train[permutation(len(division.train), context.config.seed, "grid")]
    chosen = np.concatenate([rows[packed.labels[rows] == label][:PER_CLASS] for label in (0, 1)])
    show_grid(context, STAGE, 0, packed.images[chosen], "training patches")
