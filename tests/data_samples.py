"""Small sources of every layout, made from the same patches."""

import csv
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.data.pack import Pack
from engine.data.packing import pack
from engine.spec import resolve
from engine.spec.config import DataConfig, RunConfig
from engine.spec.generator_config import VaeConfig

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]
PCAM = "camelyonpatch_level_2_split_"


def patches(count: int, seed: int = 0, side: int = 96) -> tuple[Images, Labels]:
    """Noise, each patch unlike every other, and alternating labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return images, (np.arange(count) % 2).astype(np.uint8)


def sha1(pixels: Images) -> str:
    return hashlib.sha1(pixels.tobytes()).hexdigest()


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def write_kaggle(root: Path, images: Images, labels: Labels) -> list[str]:
    """The layout of Kaggle's download; returns the ids."""
    (root / "train").mkdir(parents=True)
    ids = [sha1(image) for image in images]
    for name, image in zip(ids, images, strict=True):
        Image.fromarray(image).save(root / "train" / f"{name}.tif")
    write_table(root / "train_labels.csv", ["id", "label"], list(zip(ids, labels.tolist(), strict=True)))
    return ids


def write_folders(
    root: Path, splits: Mapping[str, tuple[Images, Labels]], classes: Sequence[str] = ("0", "1"), suffix: str = "png"
) -> None:
    """Class folders; the split "" puts them at the top."""
    for split, (images, labels) in splits.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / split / classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number:04d}.{suffix}")


def write_pcam(root: Path, splits: Mapping[str, tuple[Images, Labels]], packed: bool = False) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for split, (images, labels) in splits.items():
        for key, array in (("x", images), ("y", labels.reshape(-1, 1, 1, 1))):
            path = root / f"{PCAM}{split}_{key}.h5"
            with h5py.File(path, "w") as file:
                file.create_dataset(key, data=array, chunks=(min(4, len(array)), *array.shape[1:]), compression="gzip")
            if packed:
                path.with_suffix(".h5.gz").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()


def write_run(root: Path, data: DataConfig, images: Images, labels: Labels) -> None:
    """What is needed of a run folder whose synthetic set is complete."""
    config = RunConfig(data=data, generator=VaeConfig())
    (root / "synthetic").mkdir(parents=True)
    (root / "config.json").write_text(json.dumps(resolve.dump(config)), encoding="utf-8")
    (root / "events.jsonl").touch()
    np.save(root / "synthetic" / "images.npy", images)
    np.save(root / "synthetic" / "labels.npy", labels)
    (root / "synthetic" / "manifest.json").write_text("{}", encoding="utf-8")


def packed(folder: Path, **settings: object) -> Pack:
    """The uncropped pack of a folder."""
    return pack(DataConfig.model_validate({"source": str(folder), "crop": 96, **settings}))
