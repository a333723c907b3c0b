"""Foresight: what would end a run late, or be missing at its end, is found before the generator's first step."""

import numpy as np

from engine.batches import require_a_batch
from engine.context import Context
from engine.data.patches import PatchSet
from engine.latents import BATCH_SIZE
from engine.monitoring.usefulness import require_choice
from engine.quality import copying
from engine.quality.extractors import check_features
from engine.quality.features import label_free_space
from engine.quality.fidelity import needs
from engine.spec.config import RunConfig
from engine.stages import classifier, prepare, synthesis
from engine.stages.prepare import RealPatches


def require_later_stages(context: Context) -> None:
    """ConfigError or DataError where the patches that there will be are not enough for a stage behind the generator."""
    config, real = context.config, prepare.load(context)
    if (prior := config.latent_prior) is not None:
        require_a_batch(len(real.train), prior.batch_size, BATCH_SIZE)
    require_choice(real, config)
    _require_training_set(context, real, config.classifier.train_on)
    if config.evaluation.reference:
        _require_training_set(context, real, "real")


def shortage(context: Context) -> str:
    """The measures of quality that the patches that there will be are too few for, in a sentence; empty without any."""
    config, real = context.config, prepare.load(context)
    if not config.measures_quality:
        return ""
    sets = (real.test, real.train, _stand_in(config, real))
    counts = [min(int((patches.own_labels == label).sum()) for patches in sets) for label in (0, 1)]
    fewest = min(config.quality.patches, *counts)
    features = check_features(label_free_space(context.device), config.data.crop, context.device)
    short = [str(need) for need in needs(features, config.quality.neighbours) if need.patches > fewest]
    if (need := copying.need()).patches > len(real.test):
        short.append(f"{need} test patches")
    if not short:
        return ""
    return (
        f"there will be {fewest} patches of a class to measure quality by, and some of it will be left out: "
        f"{', '.join(short)}; use more patches, or change quality.patches and quality.neighbours"
    )


def _require_training_set(context: Context, real: RealPatches, train_on: str) -> None:
    patches = classifier.training_set(context, real, train_on, _stand_in(context.config, real))
    require_a_batch(len(patches.fit), context.config.classifier.batch_size, "classifier.batch_size")


def _stand_in(config: RunConfig, real: RealPatches) -> PatchSet:
    """As many patches of each class as will be made, all of them the same."""
    made = synthesis.synthetic_labels(real.train, config.synthesis, config.seed)
    labels = real.train.own_labels if config.synthesis.reconstruct else made
    blank = np.zeros((1, *real.train.images.shape[1:]), np.uint8)
    return PatchSet(np.broadcast_to(blank, (len(labels), *blank.shape[1:])), labels, np.arange(len(labels)))
