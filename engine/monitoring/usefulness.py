"""Usefulness: what a small classifier learns from samples, measured on real patches that are not test patches."""

from typing import Final

import numpy as np

from engine import metrics
from engine.batches import TrainingBatches
from engine.choosing import has_both_classes
from engine.classifiers import build_classifier
from engine.classifiers.base import Classifier
from engine.classifiers.predicting import predict
from engine.context import Context
from engine.data.grouping import held_out
from engine.data.patches import PatchSet
from engine.monitoring.budget import step_work
from engine.randomness import mix, permutation, seed_torch
from engine.spec.classifier_config import CnnConfig
from engine.spec.config import RunConfig, TrainingConfig
from engine.spec.errors import ConfigError
from engine.stages.prepare import RealPatches
from engine.trainer import Trainer

_BATCH: Final = 32


ONE_CLASS: Final = "the real patches held out for validation have one class only, and usefulness cannot be measured"


def require_choice(real: RealPatches, config: RunConfig) -> None:
    """ConfigError where the generator's weights are to be chosen by usefulness and that cannot be measured."""
    if config.monitoring.generator_choice == "usefulness" and validation_patches(real, config) is None:
        raise ConfigError(f"monitoring.generator_choice: {ONE_CLASS}: use more patches, or choose 'last'")


def validation_patches(real: RealPatches, config: RunConfig) -> PatchSet | None:
    """Real patches to measure usefulness on; None where there are not both classes. Test patches are never among them.

    The source's validation split, or else the training patches that a classifier on real patches would be validated
    on, whole groups or slides. The generator has been trained on the latter: a generator that copies its training
    patches looks more useful on them than it is.
    """
    validation = real.valid
    if not has_both_classes(validation):
        _, validation = held_out(real.train, real.groups, config.classifier.validation_fraction, config.seed)
    some = permutation(len(validation), config.seed, "usefulness")[: config.monitoring.validation_patches]
    validation = validation.select(np.sort(some))
    return validation if has_both_classes(validation) else None


class Usefulness:
    """The AUC on real validation patches of a small classifier that was trained on samples alone.

    The study's classifier with fewer channels. It begins with the same weights each time, so that what changes between
    two looks is the samples.
    """

    def __init__(self, context: Context, validation: PatchSet) -> None:
        self._context, self._validation = context, validation
        self._config, self._seed = context.config.monitoring, mix(context.config.seed, "usefulness")

    def of(self, samples: PatchSet) -> float:
        """Train on these samples and test. Raises Stopped where that was asked."""
        model = self._fresh(samples.side)
        trainer = self._trainer(model, samples)
        for _ in range(self._config.passes * trainer.batches.steps_per_epoch):
            self._context.stop.raise_if_requested()
            trainer.advance()
        logits = predict(self._context, model, self._validation)
        return metrics.delong(self._validation.own_labels, logits).auc

    def work(self) -> float:
        """What `of` will take, in the floating-point operations that `step_work` counts; sampling left out."""
        trainer = self._trainer(self._fresh(self._validation.side), self._validation)
        per_patch = step_work(trainer) / trainer.batches.batch_size
        # A forward pass is a third of a step.
        return per_patch * (self._config.passes * self._config.patches + len(self._validation) / 3)

    def _fresh(self, side: int) -> Classifier:
        seed_torch(self._context.device, self._seed, "weights")
        config = CnnConfig(channels=self._config.channels, learning_rate=self._config.learning_rate)
        return build_classifier(config, side)

    def _trainer(self, model: Classifier, patches: PatchSet) -> Trainer:
        device = self._context.device
        batches = TrainingBatches(patches, min(_BATCH, len(patches)), self._seed, device)
        precision = TrainingConfig(precision=self._context.config.training.precision)
        return Trainer(model, batches, precision, self._seed, device)
