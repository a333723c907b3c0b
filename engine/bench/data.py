"""Reading patches: batches from the packed array, and packing Kaggle's tifs."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from engine.arrays import open_array
from engine.batches import HostGather
from engine.bench.timing import Goal, Result, compare
from engine.data.packing import pack
from engine.data.patches import PatchSet
from engine.progress import silent
from engine.spec.config import DataConfig

SIDE = 96


def gather_against_copy(folder: Path, patches: int = 20_000, batch: int = 256, crop: int = 64) -> Result:
    """Random batches from a memory map against copies of as many contiguous bytes of it."""
    images = packed_noise(folder / "patches.npy", patches, crop)
    own = PatchSet(images, np.zeros(patches, np.uint8), np.arange(patches))
    rng, gather_batch = np.random.default_rng(0), HostGather(own, batch)
    out = np.empty((batch, crop, crop, 3), np.uint8)
    images.sum()  # both find the file in the page cache

    def gather() -> None:
        positions = rng.integers(0, patches, batch)
        gather_batch(positions, torch.from_numpy(positions))

    def copy() -> None:
        start = int(rng.integers(0, patches - batch))
        np.copyto(out, images[start : start + batch])

    meaning = f"batches of {batch} random patches per second, against copies of the same bytes"
    return compare("batch gather", gather, copy, meaning, Goal("at least", 0.6), rounds=40, times=20)


def packing_against_pillow(folder: Path, patches: int = 8000, crop: int = 64) -> Result:
    """`pack` on Kaggle's layout against a loop of Pillow on one core; the arrays must be equal."""
    ids = write_kaggle(folder / "kaggle", patches)
    config = DataConfig(source=str(folder / "kaggle"), crop=crop)
    packed = pack(config, silent, folder / "first")
    if not np.array_equal(packed.images[np.argsort(packed.ids)], pillow_loop(folder / "kaggle", ids, crop)):
        raise AssertionError("packed patches differ from what Pillow reads")
    caches = (folder / f"cache-{number}" for number in range(100))
    return compare(
        "packing tifs",
        lambda: pack(config, silent, next(caches)),
        lambda: pillow_loop(folder / "kaggle", ids, crop),
        f"{patches} Kaggle tifs packed, hashed and written, against reading them with Pillow on one core",
        Goal("at least", 4.0),
        rounds=5,
    )


def packed_noise(path: Path, patches: int, side: int) -> NDArray[np.uint8]:
    """A memory-mapped array of random patches."""
    rng = np.random.default_rng(0)
    array = np.lib.format.open_memmap(path, "w+", np.uint8, (patches, side, side, 3))
    for start in range(0, patches, 1000):
        chunk = array[start : start + 1000]
        chunk[:] = rng.integers(0, 256, chunk.shape, np.uint8)
    array.flush()
    opened: NDArray[np.uint8] = open_array(path)
    return opened


def write_kaggle(folder: Path, patches: int) -> list[str]:
    """Random patches as Kaggle has them: single-strip uncompressed tifs and train_labels.csv; the sorted ids."""
    rng = np.random.default_rng(1)
    (folder / "train").mkdir(parents=True)
    ids = []
    for _ in range(patches):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        ids.append(hashlib.sha1(pixels.tobytes(), usedforsecurity=False).hexdigest())
        Image.fromarray(pixels).save(folder / "train" / f"{ids[-1]}.tif")
    with (folder / "train_labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        writer.writerows((name, number % 2) for number, name in enumerate(ids))
    return sorted(ids)


def pillow_loop(folder: Path, ids: list[str], crop: int) -> NDArray[np.uint8]:
    """What a plain loop would do."""
    edge = (SIDE - crop) // 2
    inside = slice(edge, edge + crop)
    return np.stack([np.asarray(Image.open(folder / "train" / f"{name}.tif"))[inside, inside] for name in ids])
