"""A run's synthetic set as PNG files in class folders, for other programs."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from PIL import Image

from engine.data.sources.folders import ORIGIN
from engine.data.sources.run import SyntheticSet, open_synthetic
from engine.progress import Report
from engine.spec.errors import DataError
from engine.spec.failpoints import Moment, Write, reach
from engine.spec.run_folder import RunFolder
from engine.storage import storage_errors

_BLOCK: Final = 64


def answer_export(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """Write the synthetic set of the run at `run` into `folder`, which is there as a whole afterwards or not at all."""
    run, folder = RunFolder(Path(args["run"])), Path(args["folder"])
    _refuse_in_use(folder)
    synthetic = open_synthetic(run)
    with storage_errors(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with storage_errors(folder):
            reach(f"{Write.EXPORT}.{Moment.BEGUN}")
            _write(synthetic, run, temporary, report)
            temporary.chmod(0o755)
            reach(f"{Write.EXPORT}.{Moment.WRITTEN}")
            temporary.rename(folder)
            reach(f"{Write.EXPORT}.{Moment.NAMED}")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    tumours = int(synthetic.labels.sum())
    return {
        "folder": str(folder),
        "patches": len(synthetic.labels),
        "normal": len(synthetic.labels) - tumours,
        "tumour": tumours,
    }


def _refuse_in_use(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise DataError(f"{folder}: there already and not an empty folder; name another")


def _write(synthetic: SyntheticSet, run: RunFolder, folder: Path, report: Report) -> None:
    for label in ("0", "1"):
        (folder / label).mkdir()
    origin = {"provenance": "synthetic", "run": run.id}
    (folder / ORIGIN).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
    count = len(synthetic.labels)
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        try:
            for start in range(0, count, _BLOCK):
                report("writing PNG files", start, count)
                list(executor.map(partial(_save, synthetic, folder), range(start, min(start + _BLOCK, count))))
        finally:
            executor.shutdown(cancel_futures=True)
    report("writing PNG files", count, count)


def _save(synthetic: SyntheticSet, folder: Path, row: int) -> None:
    Image.fromarray(synthetic.images[row]).save(folder / str(synthetic.labels[row]) / f"{row:07d}.png")
