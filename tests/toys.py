"""Small stand-ins that tests share."""

from pathlib import Path

import numpy as np
import torch

from engine.checkpoints import State
from engine.context import Context
from engine.control import StopFlag
from engine.data.patches import PatchSet
from engine.spec.config import RunConfig
from engine.spec.event_log import EventWriter
from engine.spec.run_folder import RunFolder

CPU = torch.device("cpu")


def toy_patches(count: int = 48, side: int = 16, seed: int = 0) -> PatchSet:
    """Patches whose brightness tells the class."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.uint8)
    images = rng.integers(0, 156, (count, side, side, 3)) + 100 * labels[:, None, None, None]
    return PatchSet(images.astype(np.uint8), labels, np.arange(count))


def toy_context(path: Path, config: RunConfig | None = None) -> Context:
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    return Context(folder, config or RunConfig(), CPU, EventWriter(folder.events), StopFlag())


def same(left: State, right: State) -> bool:
    """Whether two states are equal bit for bit."""
    return (
        left.meta == right.meta
        and left.tensors.keys() == right.tensors.keys()
        and all(torch.equal(left.tensors[name], right.tensors[name]) for name in left.tensors)
    )
