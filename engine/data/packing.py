"""Packing: a source's patches read once, cropped, and kept in a cache that is keyed by what the source contains."""

import os
import shutil
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from engine.data.grouping import grouping_of, patch_groups
from engine.data.pack import FORMAT, MANIFEST, DamagedPackError, Manifest, Pack, open_pack, read_manifest
from engine.data.slides import with_slides
from engine.data.sources import recognise
from engine.data.sources.base import Listing, Source, digest_of
from engine.data.writing import write_pack
from engine.progress import Report, silent
from engine.spec.atomic import sync, sync_tree
from engine.spec.config import DataConfig, RunConfig
from engine.spec.errors import ConfigError, DataError, StorageError
from engine.spec.failpoints import Moment, Write, reach
from engine.spec.process import is_locked, locked
from engine.spec.resolve import dump, merge, validate
from engine.storage import check_space, storage_errors

_TEMPORARY: Final = ".tmp-"
_ABANDONED_SECONDS: Final = 3600
_SHOWN: Final = 3


def pack(config: DataConfig, report: Report = silent, cache: Path | None = None) -> Pack:
    """The packed patches of `config.source`, from the cache where they are there already.

    DataError names what is wrong with the source, and the patches that are broken where these are too many.
    """
    source, listing = listed(config, report)
    check_crop(config.crop, listing.side)
    folder = (cache or cache_folder()) / _key(source, listing, config.crop)
    packed = _cached(folder) or _build(source, listing, config.crop, folder, report)
    _check_broken(packed.manifest, config)
    return packed


def listed(config: DataConfig, report: Report) -> tuple[Source, Listing]:
    """The source and what is there, before any patch is read."""
    source = recognise(config)
    listing = with_slides(source.listing(report), config.slides)
    if not len(listing):
        raise DataError(f"data.source {config.source}: it lists no patches")
    return source, listing


def earlier_manifest(source: Source, listing: Listing, crop: int) -> Manifest | None:
    """What the pack in the cache says of itself, its arrays not looked at; None where there is no such pack."""
    try:
        return read_manifest(cache_folder() / _key(source, listing, crop) / MANIFEST)
    except DamagedPackError:
        return None


def cache_folder() -> Path:
    """Where packs are kept: $XDG_CACHE_HOME/histotui/packed, by default under ~/.cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "histotui" / "packed"


def check_crop(crop: int, side: int) -> None:
    if crop > side:
        largest = side // 16 * 16
        raise ConfigError(
            f"data.crop: {crop} is more than the patches have, {side}x{side} pixels; set it to at most {largest}"
        )


def answer_pack(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """Pack the source of `data`, a DataConfig's tree, and say where the pack is and what is in it."""
    packed = pack(data_config(args.get("data", {})), report)
    manifest = packed.manifest
    return {
        "folder": str(packed.folder),
        "layout": manifest.kind,
        "name": manifest.name,
        "provenance": manifest.provenance,
        "fingerprint": manifest.fingerprint,
        "grouping": grouping_of(packed.sha1, patch_groups(packed)),
        "crop": manifest.crop,
        "patches": len(packed),
        "counts": {name: list(pair) for name, pair in manifest.counts.items()},
        "broken": len(manifest.broken),
        "bytes": sum(array.size for array in manifest.arrays.values()),
    }


def data_config(tree: dict[str, Any]) -> DataConfig:
    """A DataConfig from a tree of its own settings; ConfigError names the fields that are wrong."""
    return validate(merge(dump(RunConfig()), {"data": tree})).data


def _key(source: Source, listing: Listing, crop: int) -> str:
    return digest_of(FORMAT, source.kind, listing.digest, crop)[:32]


def _cached(folder: Path) -> Pack | None:
    try:
        return open_pack(folder)
    except DamagedPackError:
        return None


def _build(source: Source, listing: Listing, crop: int, folder: Path, report: Report) -> Pack:
    cache = folder.parent
    with storage_errors(cache):
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_abandoned(cache)
        check_space(cache, len(listing) * crop * crop * 3, "set XDG_CACHE_HOME to a larger disk")
        temporary = Path(mkdtemp(prefix=_TEMPORARY, dir=cache))
    try:
        with locked(temporary):
            with storage_errors(cache):
                reach(f"{Write.PACK}.{Moment.BEGUN}")
            write_pack(source, listing, crop, temporary, report)
            with storage_errors(cache):
                _publish(temporary, folder)
        return open_pack(folder)
    except DamagedPackError as error:
        raise StorageError(f"{folder}: what was written reads back differently ({error})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, folder: Path) -> None:
    """Put a finished pack in its place, unless another process has been quicker."""
    reach(f"{Write.PACK}.{Moment.WRITTEN}")
    sync_tree(temporary)
    if folder.exists():
        if _cached(folder) is not None:
            return
        folder.rename(temporary.with_name(f"{temporary.name}-damaged"))
        shutil.rmtree(temporary.with_name(f"{temporary.name}-damaged"), ignore_errors=True)
    try:
        temporary.rename(folder)
    except OSError:
        if _cached(folder) is None:
            raise
    reach(f"{Write.PACK}.{Moment.NAMED}")
    sync(folder.parent)


def _remove_abandoned(cache: Path) -> None:
    """Remove what processes that were killed have left behind."""
    for folder in abandoned_packs(cache):
        shutil.rmtree(folder, ignore_errors=True)


def abandoned_packs(cache: Path) -> list[Path]:
    """What was begun and will not be ended: nobody holds it, and no live process goes so long without writing."""
    begun = sorted(cache.glob(f"{_TEMPORARY}*"))
    # Locks are not seen on every file system, and the clock may have been set: neither is enough.
    old = [folder for folder in begun if time.time() - _last_write(folder) > _ABANDONED_SECONDS]
    return [folder for folder in old if not is_locked(folder)]


def _last_write(folder: Path) -> float:
    try:
        return max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
    except OSError:
        return time.time()


def _check_broken(manifest: Manifest, config: DataConfig) -> None:
    """DataError where more patches are broken than the configuration allows."""
    broken, listed = len(manifest.broken), manifest.listed
    if not broken or (config.broken == "skip" and broken <= config.broken_limit * listed):
        return
    shown = "".join(f"\n  {name}: {reason}" for name, reason in manifest.broken[:_SHOWN])
    more = f"\n  and {broken - _SHOWN} more" if broken > _SHOWN else ""
    allowed = (
        "data.broken is 'refuse'" if config.broken == "refuse" else f"data.broken_limit is {config.broken_limit:g}"
    )
    raise DataError(
        f"data.source {config.source}: {broken} of {listed} patches cannot be used, and {allowed}; "
        f"mend or remove them, or change that setting{shown}{more}"
    )
