"""synthesis: the synthetic training set, in the class ratio of the real one."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine import metrics
from engine.batches import to_bytes
from engine.context import Context, Meter
from engine.data.patches import PatchSet
from engine.generators.base import Generator
from engine.randomness import generator as rng_at
from engine.randomness import permutation
from engine.spec.errors import RunFolderError
from engine.spec.run_folder import RunFolder
from engine.stages import generator, prepare
from engine.storage import check_space, sync, sync_tree

STAGE = "synthesis"
_CHUNKS_PER_SAVE = 16
_CLASS_WORDS = ("normal", "tumour")
_COMPARED = 512
_COLLAPSED = 0.25
"""Share of the real patches' diversity below which a class is called collapsed."""


def is_complete(folder: RunFolder) -> bool:
    return (folder.synthetic / "manifest.json").exists()


def run(context: Context) -> None:
    """Sample chunk by chunk into a folder that is renamed when it is whole. Each chunk depends on the seed alone."""
    real, partial = prepare.load(context).train, context.folder.path / "synthetic.partial"
    labels = synthetic_labels(real, context.config.synthesis.ratio, context.config.seed)
    partial.mkdir(exist_ok=True)
    _sample_all(context, generator.load(context), labels, partial, real.side)
    np.save(partial / "labels.npy", labels, allow_pickle=False)
    manifest = _manifest(context, labels) | {"diversity": diversity(_read(partial), real)}
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    (partial / "progress.json").unlink(missing_ok=True)
    sync_tree(partial)
    shutil.rmtree(context.folder.synthetic, ignore_errors=True)
    partial.rename(context.folder.synthetic)
    sync(context.folder.path)
    for warning in collapse_warnings(context.folder):
        context.warn(STAGE, warning)


def load(folder: RunFolder) -> PatchSet:
    """A run's synthetic patches, memory mapped."""
    try:
        return _read(folder.synthetic)
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{folder.synthetic}: the synthetic patches cannot be read ({error})") from None


def _read(folder: Path) -> PatchSet:
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    return PatchSet(images, labels, np.arange(len(labels)))


def diversity(synthetic: PatchSet, real: PatchSet) -> dict[str, float]:
    """For each class, how much synthetic patches differ from each other, as a share of how much real ones do."""
    return {
        word: metrics.spread(_some(synthetic, label)) / max(metrics.spread(_some(real, label)), 1e-9)
        for label, word in enumerate(_CLASS_WORDS)
    }


def _some(patches: PatchSet, label: int) -> NDArray[np.uint8]:
    """Up to _COMPARED patches of a class."""
    some: NDArray[np.uint8] = patches.images[patches.rows[patches.own_labels == label][:_COMPARED]]
    return some


def collapse_warnings(folder: RunFolder) -> list[str]:
    """What to say of classes whose synthetic patches are nearly all the same."""
    shares = json.loads((folder.synthetic / "manifest.json").read_text(encoding="utf-8"))["diversity"]
    return [
        f"the generator has collapsed: its {word} patches differ from each other {share:.0%} as much as real ones do"
        for word, share in shares.items()
        if share < _COLLAPSED
    ]


def synthetic_labels(real: PatchSet, ratio: float, seed: int) -> NDArray[np.uint8]:
    """`ratio` labels for each real one, class by class, shuffled, (N,) uint8."""
    tumours, normals = (max(1, round(ratio * count)) for count in (real.tumours, len(real) - real.tumours))
    labels = np.repeat(np.array([0, 1], np.uint8), [normals, tumours])
    return labels[permutation(len(labels), seed, "synthetic labels")]


def _sample_all(context: Context, model: Generator, labels: NDArray[np.uint8], folder: Path, side: int) -> None:
    size = context.config.synthesis.batch_size
    done = _read_progress(folder)
    images = _open_images(folder / "images.npy", (len(labels), side, side, 3), resume=done > 0)
    meter = Meter(context.events, STAGE, len(labels), patches_per_step=1, start=done)
    for number, start in enumerate(range(done, len(labels), size), start=1):
        images[start : start + size] = _sample(context, model, labels[start : start + size], start)
        done = min(start + size, len(labels))
        meter.show(done)
        if context.stop.requested or done == len(labels) or number % _CHUNKS_PER_SAVE == 0:
            images.flush()
            _write_progress(folder, done)
        context.stop.raise_if_requested()


@torch.no_grad()
def _sample(context: Context, model: Generator, labels: NDArray[np.uint8], start: int) -> NDArray[np.uint8]:
    on_device = torch.from_numpy(labels.astype(np.int64)).to(context.device)
    samples = model.sample(on_device, rng_at(context.config.seed, STAGE, start))
    patches: NDArray[np.uint8] = to_bytes(samples).cpu().numpy()
    return patches


def _open_images(path: Path, shape: tuple[int, ...], resume: bool) -> "np.memmap[Any, np.dtype[np.uint8]]":
    mode = "r+" if resume and path.exists() else "w+"
    size = int(np.prod(shape))
    if mode == "w+":
        check_space(path.parent, size, "start the run under --runs on a larger disk")
    images: np.memmap[Any, np.dtype[np.uint8]] = np.lib.format.open_memmap(path, mode, np.uint8, shape)
    if mode == "w+":
        # Writing to a memory map on a disk that has filled up ends the process with SIGBUS: take the space now.
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    return images


def _read_progress(folder: Path) -> int:
    try:
        return int(json.loads((folder / "progress.json").read_text(encoding="utf-8"))["done"])
    except (OSError, ValueError, KeyError):
        return 0


def _write_progress(folder: Path, done: int) -> None:
    temporary = folder / "progress.tmp"
    temporary.write_text(json.dumps({"done": done}), encoding="utf-8")
    temporary.replace(folder / "progress.json")


def _manifest(context: Context, labels: NDArray[np.uint8]) -> dict[str, Any]:
    return {
        "count": len(labels),
        "tumour": int(labels.sum()),
        "preset": context.config.preset,
        "seed": context.config.seed,
        "run": context.folder.id,
        "crop": context.config.data.crop,
    }
