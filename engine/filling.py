"""Filling: an array of images written chunk by chunk, which goes on where an earlier attempt has ended."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.context import Context, Meter
from engine.spec.atomic import write_text
from engine.spec.failpoints import Act, Write, reach
from engine.spec.json_file import read_json
from engine.storage import check_space

Chunk = Callable[[int, int], NDArray[np.uint8]]
"""The images from a start to a stop."""

_CHUNKS_PER_SAVE = 16
_PROGRESS = "progress.json"


def fill(context: Context, stage: str, path: Path, shape: tuple[int, ...], chunk: Chunk, what: str = "") -> None:
    """Write uint8 images of this shape to an npy file. Raises Stopped where the run was asked to stop."""
    size, total = context.config.synthesis.batch_size, shape[0]
    done = _read_progress(path.parent)
    images = _open_images(path, shape, resume=done > 0)
    meter = Meter(context.events, stage, total, patches_per_step=1, start=done, what=what)
    for number, start in enumerate(range(done, total, size), start=1):
        done = min(start + size, total)
        reach(Act.SAMPLE)
        images[start:done] = chunk(start, done)
        meter.show(done)
        if context.stop.requested or done == total or number % _CHUNKS_PER_SAVE == 0:
            images.flush()
            _write_progress(path.parent, done)
        context.stop.raise_if_requested()


def forget_progress(folder: Path) -> None:
    """Remove what an array that is whole no longer needs."""
    (folder / _PROGRESS).unlink(missing_ok=True)


def _open_images(path: Path, shape: tuple[int, ...], resume: bool) -> "np.memmap[Any, np.dtype[np.uint8]]":
    mode = "r+" if resume and path.exists() else "w+"
    if mode == "w+":
        # What an attempt that was killed has left takes the room that is needed now.
        path.unlink(missing_ok=True)
        check_space(path.parent, int(np.prod(shape)), "start the run under --runs on a larger disk")
    images: np.memmap[Any, np.dtype[np.uint8]] = np.lib.format.open_memmap(path, mode, np.uint8, shape)
    if mode == "w+":
        # Writing to a memory map on a disk that has filled up ends the process with SIGBUS: take the space now.
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return images


def _read_progress(folder: Path) -> int:
    try:
        return int(read_json(folder / _PROGRESS)["done"])
    except (OSError, ValueError, KeyError):
        return 0


def _write_progress(folder: Path, done: int) -> None:
    write_text(folder / _PROGRESS, json.dumps({"done": done}), Write.SYNTHETIC_PROGRESS)
