"""Runs that take a second: every preset with a few rendered patches and the smallest networks that it can have."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from engine.spec.config import RunConfig
from engine.spec.config_parts import FitConfig, Frozen
from engine.spec.presets import PRESETS
from engine.spec.resolve import Tree, apply, dump, merge
from engine.spec.run_folder import RunFolder

SMALL: Final[Tree] = {
    "data": {"crop": 16, "tissue": {"train": 48, "test": 24, "slides": 4}},
    "synthesis": {"ratio": 0.5, "batch_size": 8},
    "classifier": {"epochs": 2, "batch_size": 8, "channels": 2, "real_validation": 8},
    "evaluation": {"bootstrap": 20},
    "quality": {"patches": 20, "neighbours": 2, "copies": 20},
    "training": {"threads": 1, "log_every": 2, "checkpoint_seconds": 0.0, "reuse": False},
    "monitoring": {"patches": 32, "passes": 1, "channels": 2, "validation_patches": 8},
}
NETWORKS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "epochs": 2,
        "batch_size": 8,
        "channels": 2,
        "latent_dim": 3,
        "embedding_dim": 4,
        "codebook_size": 8,
        "code_dim": 2,
        "components": 3,
        "blocks": 1,
        "layers": 1,
        "width": 8,
        "heads": 2,
        "sampling_steps": 2,
        "pretrain_steps": 1,
        "discriminator_steps": 2,
    }
)
"""The most that a setting of a network is, whatever the kind of the generator."""


def toy_config(preset: str, *changes: Tree) -> RunConfig:
    """The preset's config at the size of a toy, and changed."""
    config = PRESETS[preset].config
    generator = {} if config.generator is None else {"generator": _lowered(config.generator)}
    blocks = {"classifier": {"blocks": 1}} if hasattr(config.classifier, "blocks") else {}
    return apply(config, [merge(merge(SMALL, blocks), generator), *changes])


def toy_run(folder: Path, config: RunConfig) -> RunFolder:
    """A new run folder with this config."""
    folder.mkdir(mode=0o700, parents=True)
    run = RunFolder(folder)
    run.config.write_text(json.dumps(dump(config)), encoding="utf-8")
    return run


def _lowered(config: Frozen) -> Tree:
    lowered: Tree = {}
    for name, value in config:
        if isinstance(value, FitConfig):
            lowered[name] = _lowered(value)
        elif name in NETWORKS and value is not None:
            lowered[name] = min(value, NETWORKS[name])
    return lowered
