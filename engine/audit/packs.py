"""The check of packed patches in the cache, which are made again where they are needed."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from engine.audit.checks import require_readable
from engine.audit.finding import Finding
from engine.data.pack import DamagedPackError, open_pack
from engine.data.packing import abandoned_packs, cache_folder


def packed_patches() -> Iterator[Finding]:
    """Every pack is what was written, and nothing half-written lies beside them."""
    folder = cache_folder()
    for path in abandoned_packs(folder):
        yield Finding(str(path), "left half-written by a crash", "remove it", partial(shutil.rmtree, path))
    for path in sorted(path for path in folder.glob("[!.]*") if path.is_dir()):
        require_readable(path.glob("*"))
        if why := _damage(path):
            remedy = "remove it; it is packed again when it is needed"
            yield Finding(str(path), f"damaged ({why})", remedy, partial(_remove, path))


def _damage(path: Path) -> str:
    """What is wrong with a pack; empty where it is whole."""
    try:
        open_pack(path)
    except DamagedPackError as error:
        return str(error)
    return ""


def _remove(path: Path) -> None:
    # A run may have packed it again in the meantime.
    if _damage(path):
        shutil.rmtree(path)
