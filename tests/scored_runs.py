"""Runs that have been tested, without any training: their predictions are given."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from data_samples import Images, Labels, patches, write_folders, write_pcam
from toys import toy_context

from engine import metrics
from engine.spec.config import DataConfig, RunConfig
from engine.spec.resolve import dump
from engine.spec.run_folder import RunFolder
from engine.stages import prepare

TEST = 40
Logits = Callable[[Images, Labels], metrics.Array]


def write_sources(root: Path) -> tuple[Path, Path]:
    """The same patches as class folders and as PCam's files, which list them in another order."""
    images, labels = patches(60)
    splits = {"train": (images[TEST:], labels[TEST:]), "test": (images[:TEST], labels[:TEST])}
    write_folders(root / "folders", splits)
    write_pcam(root / "pcam", {**splits, "valid": patches(4, seed=5)})
    return root / "folders", root / "pcam"


def write_tested_run(path: Path, source: Path, logits: Logits, **data: object) -> RunFolder:
    """A run on this source whose classifier says `logits` of its test images and labels."""
    settings = {"source": str(source), "crop": 96, **data}
    context = toy_context(path, RunConfig(data=DataConfig.model_validate(settings)))
    context.folder.config.write_text(json.dumps(dump(context.config)))
    prepare.run(context)
    test = prepare.load(context).test
    labels = test.own_labels
    said = logits(np.asarray(test.images[test.rows]), labels)
    np.savez(context.folder.predictions, answer_labels=labels, answer_logits=said)
    return context.folder


def from_pixels(seed: int, help: float = 1.0) -> Logits:
    """Logits that hang on the patch and its label alone, whatever place it has."""
    weights = np.random.default_rng(seed).normal(size=96 * 96 * 3)

    def logits(images: Images, labels: Labels) -> metrics.Array:
        flat = images.reshape(len(images), -1) / 255 - 0.5
        return np.asarray(flat @ weights / 50 + help * labels, np.float64)

    return logits
