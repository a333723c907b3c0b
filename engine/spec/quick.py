"""`--quick`: the same run at a size that two CPU cores finish in three minutes."""

from collections.abc import Mapping

from engine.spec.classifier_config import ClassifierFitConfig
from engine.spec.config import MonitoringConfig, RunConfig
from engine.spec.config_parts import FitConfig
from engine.spec.resolve import Tree

TRAIN_PATCHES = 2400
CLASSIFIER_EPOCHS = 12
CLASSIFIER_SIZE = 24
"""Channels times blocks that so many epochs are quick enough with."""
GENERATOR_EPOCHS = 10
CHANNELS = 64
LOOKED_AT = 384
PASSES = 4


def quick_changes(config: RunConfig) -> Tree:
    """Fewer patches, epochs and, in the largest networks, channels; what is smaller already stays."""
    data: Tree = {"limit": min(config.data.limit or TRAIN_PATCHES, TRAIN_PATCHES)}
    if config.data.source == "tissue":
        tissue = config.data.tissue
        data["tissue"] = {"train": min(tissue.train, TRAIN_PATCHES), "test": min(tissue.test, TRAIN_PATCHES // 4)}
    changes: Tree = {"data": data, "classifier": _classifier(config.classifier)}
    if isinstance(config.generator, FitConfig):
        changes |= {"generator": _generator(config.generator), "monitoring": _monitoring(config.monitoring)}
    return changes


def _monitoring(config: MonitoringConfig) -> Tree:
    """Smaller looks at the samples, so that more than one fits into its share of a short training."""
    return {"patches": min(config.patches, LOOKED_AT), "passes": min(config.passes, PASSES)}


def _classifier(config: ClassifierFitConfig) -> Tree:
    """Fewer epochs, and fewer channels in the largest networks."""
    fewer = min(config.channels, CHANNELS)
    size = fewer * getattr(config, "blocks", 1)
    epochs = max(1, CLASSIFIER_EPOCHS * CLASSIFIER_SIZE // max(CLASSIFIER_SIZE, size))
    return {"epochs": min(config.epochs, epochs), "channels": fewer}


def _generator(config: FitConfig) -> Tree:
    """Fewer epochs, fewer channels in the largest networks, and what this kind of generator says of itself."""
    channels, latents = getattr(config, "channels", None), getattr(config, "latent_dim", 0)
    fewer = min(channels or 0, CHANNELS)
    # A step costs about in proportion to the channels, and to the latents where these are many.
    epochs = max(1, GENERATOR_EPOCHS * 16 * 2000 // (max(16, fewer) * max(2000, latents)))
    limits = {"epochs": epochs} | ({"channels": fewer} if channels else {}) | dict(config.quick)
    return _lowered(config, limits) | _parts(config)


def _parts(config: FitConfig) -> Tree:
    """What the parts that are trained after it say of themselves."""
    return {name: _lowered(part, part.quick) for name, part in config if isinstance(part, FitConfig)}


def _lowered(config: FitConfig, limits: Mapping[str, int]) -> Tree:
    return {name: min(getattr(config, name), limit) for name, limit in limits.items()}
