"""Reading a whole source in blocks, on all cores, in order."""

import dataclasses
import hashlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.data.sources.base import Broken, Patch, Reader
from engine.progress import Report
from engine.spec.errors import EnvironmentFault

BLOCK: Final = 128
_PATIENCE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a source, the broken ones left out.

    `rows` (n,) int64, `images` (n, crop, crop, 3) uint8, `labels` (n,) uint8, `sha1` (n, 20) uint8 of the full pixels.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    sha1: NDArray[np.uint8]
    broken: tuple[tuple[int, str], ...]
    stop: int

    def without_images(self) -> "Block":
        return dataclasses.replace(self, images=self.images[:0].copy())


@dataclass(frozen=True, slots=True)
class Columns:
    """What was read of a source beside the images: one row per readable patch, and the rows that are broken."""

    rows: NDArray[np.int64]
    labels: NDArray[np.uint8]
    sha1: NDArray[np.uint8]
    broken: tuple[tuple[int, str], ...]


def join(blocks: list[Block]) -> Columns:
    """The columns of all blocks."""
    return Columns(
        np.concatenate([block.rows for block in blocks]),
        np.concatenate([block.labels for block in blocks]),
        np.concatenate([block.sha1 for block in blocks]),
        tuple(pair for block in blocks for pair in block.broken),
    )


def read_block(reader: Reader, crop: int, start: int, stop: int) -> Block:
    """Read, hash and crop the rows from `start` to `stop`."""
    images = np.empty((stop - start, crop, crop, 3), np.uint8)
    rows: list[int] = []
    labels = bytearray()
    digests = bytearray()
    broken: list[tuple[int, str]] = []
    for row, patch in enumerate(reader.read(start, stop), start):
        if isinstance(patch, Broken):
            broken.append((row, patch.reason))
            continue
        images[len(rows)] = centre(patch.pixels, crop)
        rows.append(row)
        labels.append(patch.label)
        digests += pixel_sha1(patch)
    return Block(
        np.array(rows, np.int64),
        images[: len(rows)],
        np.frombuffer(labels, np.uint8),
        np.frombuffer(digests, np.uint8).reshape(-1, 20),
        tuple(broken),
        stop,
    )


def centre(pixels: NDArray[np.uint8], crop: int) -> NDArray[np.uint8]:
    """The middle (crop, crop, 3) of a patch."""
    edge = (len(pixels) - crop) // 2
    return pixels[edge : edge + crop, edge : edge + crop]


def pixel_sha1(patch: Patch) -> bytes:
    """SHA-1 of the raw uint8 RGB bytes, which is what Kaggle's ids are."""
    return patch.sha1 or hashlib.sha1(np.ascontiguousarray(patch.pixels).data, usedforsecurity=False).digest()


def read_all(reader: Reader, count: int, crop: int, report: Report, what: str) -> Generator[Block, None, None]:
    """Every block in order, read ahead on all cores; `report` may stop it between blocks."""
    executor = _executor(reader, count)
    ahead: deque[Future[Block]] = deque()
    done = 0
    try:
        report(what, 0, count)
        for start in range(0, count, BLOCK):
            ahead.append(_submit(executor, reader, crop, start, min(start + BLOCK, count)))
            if len(ahead) >= 3 * _cores():
                yield (block := _result(ahead.popleft(), report, what, done, count))
                done = block.stop
        while ahead:
            yield (block := _result(ahead.popleft(), report, what, done, count))
            done = block.stop
        report(what, count, count)
    except BrokenProcessPool:
        raise EnvironmentFault(f"{what}: a worker process was killed, perhaps for lack of memory") from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _result(future: Future[Block], report: Report, what: str, done: int, count: int) -> Block:
    report(what, done, count)
    while True:
        try:
            return future.result(_PATIENCE)
        except NotYet:
            report(what, done, count)


def _executor(reader: Reader, count: int) -> Executor:
    # Threads that take turns at small files are slower than one alone.
    if count < reader.worth_processes or _cores() == 1:
        return ThreadPoolExecutor(1)
    # The parent may hold a CUDA context and locks, which a forked child would share.
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(_cores(), spawn, _prepare_worker, (reader,))


def _submit(executor: Executor, reader: Reader, crop: int, start: int, stop: int) -> Future[Block]:
    if isinstance(executor, ProcessPoolExecutor):
        return executor.submit(_read_in_worker, crop, start, stop)
    return executor.submit(read_block, reader, crop, start, stop)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# A worker's own, set once: a reader may hold the paths of 200,000 files, too many to send with every block.
_worker_readers: list[Reader] = []


def _prepare_worker(reader: Reader) -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker_readers.append(reader)


def _read_in_worker(crop: int, start: int, stop: int) -> Block:
    return read_block(_worker_readers[-1], crop, start, stop)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
