"""`--quick`: the same run at a size that two CPU cores finish in three minutes."""

from engine.spec.config import RunConfig
from engine.spec.resolve import Tree, apply

TRAIN_PATCHES = 2400
CLASSIFIER_EPOCHS = 12
GENERATOR_EPOCHS = 10
CHANNELS = 64


def quick(config: RunConfig) -> RunConfig:
    """The config with fewer patches, epochs and, in the largest networks, channels; what is smaller already stays."""
    data: Tree = {"limit": min(config.data.limit or TRAIN_PATCHES, TRAIN_PATCHES)}
    if config.data.source == "tissue":
        tissue = config.data.tissue
        data["tissue"] = {"train": min(tissue.train, TRAIN_PATCHES), "test": min(tissue.test, TRAIN_PATCHES // 4)}
    changes: Tree = {"data": data, "classifier": {"epochs": min(config.classifier.epochs, CLASSIFIER_EPOCHS)}}
    if config.generator is not None:
        channels = min(config.generator.channels, CHANNELS)
        # A step costs about in proportion to the channels, and to the latents where these are many.
        cost = max(16, channels) * max(2000, config.generator.latent_dim)
        epochs = max(1, GENERATOR_EPOCHS * 16 * 2000 // cost)
        changes["generator"] = {"channels": channels, "epochs": min(config.generator.epochs, epochs)}
    return apply(config, [changes])
