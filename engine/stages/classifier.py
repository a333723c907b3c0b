"""classifier: the classifier whose test AUC is the answer, trained on real or synthetic patches, or both."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine import metrics
from engine.batches import TrainingBatches
from engine.borrowing import RECONSTRUCTED
from engine.checkpoints import CheckpointFolder, State, prefixed
from engine.classifiers import build_classifier
from engine.classifiers.base import Classifier
from engine.classifiers.predicting import predict
from engine.context import Context
from engine.data.grouping import held_out
from engine.data.patches import JoinedPatches, Patches, PatchSet
from engine.fitting import Fit
from engine.randomness import mix, permutation, seed_torch
from engine.spec.config import ClassifierConfig
from engine.spec.errors import CheckpointError, ConfigError, DataError
from engine.spec.events import Metrics
from engine.spec.run_folder import RunFolder
from engine.stages import prepare, synthesis
from engine.stages.prepare import RealPatches
from engine.trainer import Trainer

STAGE = "classifier"

_Grouped = tuple[PatchSet, NDArray[np.uint64]]
"""Patches, and for each packed row the group that must stay on one side."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a classifier is fitted on, what chooses its epoch, and what to call both."""

    fit: Patches
    validation: Patches
    trained_on: str
    selected_on: str

    @property
    def validation_word(self) -> str:
        """What metrics on the validation patches are called: only where all are real, plainly `validation`."""
        if not any(word in self.selected_on for word in ("synthetic", RECONSTRUCTED)):
            return "validation"
        return "mixed_validation" if self.trained_on == "both" else "synthetic_validation"


def is_complete(folder: RunFolder) -> bool:
    return CheckpointFolder(folder.checkpoints / STAGE).is_final


def run(context: Context) -> None:
    """Train on what the config names; keep the epoch with the highest AUC on the validation patches."""
    real = prepare.load(context)
    fit_classifier(context, STAGE, training_set(context, real, context.config.classifier.train_on))


def fit_classifier(context: Context, stage: str, patches: TrainingSet) -> None:
    """Train the configured classifier on a training set, as the stage of this name. The same recipe for every set."""
    config = context.config.classifier
    seed = mix(context.config.seed, STAGE)
    seed_torch(context.device, seed, "weights")
    model = build_classifier(config, patches.fit.side)
    batches = TrainingBatches(patches.fit, config.batch_size, seed, context.device, "classifier.batch_size")
    steps = config.epochs * batches.steps_per_epoch
    trainer = Trainer(model, batches, context.config.training, seed, context.device, steps)
    selection = _BestEpoch(context, stage, model, patches)
    fit = Fit(context, stage, trainer, config.epochs, selection)
    fit.run()
    fit.checkpoints.save_final(selection.result())


def training_set(context: Context, real: RealPatches, train_on: str) -> TrainingSet:
    """The patches to fit on and to validate on, by the config's protocol."""
    parts, trained_on = _parts(context, real, train_on)
    if context.config.classifier.validation == "official":
        whole = JoinedPatches(tuple(patches for patches, _ in parts))
        return TrainingSet(whole, _official(real), trained_on, f"the source's {real.word} validation split")
    held_out_parts = [_hold_out(context, patches, groups) for patches, groups in parts]
    fit, validation = (JoinedPatches(side) for side in zip(*held_out_parts, strict=True))
    _require_both_classes(validation)
    words = f"{real.word} and synthetic" if trained_on == "both" else trained_on
    return TrainingSet(fit, validation, trained_on, f"held-out {words} patches")


def _parts(context: Context, real: RealPatches, train_on: str) -> tuple[list[_Grouped], str]:
    """The sets that a training set is joined of, and what to call it."""
    grouped_real = (real.train, real.groups)
    if train_on == "real":
        return [grouped_real], real.word
    synthetic = synthesis.load(context.folder)
    if train_on == "both":
        proportion = context.config.classifier.synthetic_proportion
        synthetic = _share_of(synthetic, len(real.train), proportion, context.config.seed)
    if context.config.synthesis.reconstruct:
        # Each stands in the place of a real patch, and with its slide.
        return [(synthetic, real.groups[real.train.rows])], RECONSTRUCTED
    # Samples have no slides and no repeats to keep together: every one is a group.
    grouped = (synthetic, np.arange(len(synthetic.images), dtype=np.uint64))
    return ([grouped_real, grouped], "both") if train_on == "both" else ([grouped], synthesis.word(context.folder))


def _share_of(synthetic: PatchSet, real: int, proportion: float, seed: int) -> PatchSet:
    """As many synthetic patches as make this proportion of all, beside so many real ones."""
    needed = round(real * proportion / (1 - proportion))
    if needed > len(synthetic):
        raise ConfigError(
            f"classifier.synthetic_proportion {proportion} needs {needed} synthetic patches and there are "
            f"{len(synthetic)}: set synthesis.ratio to {proportion / (1 - proportion):.2f}"
        )
    return synthetic.select(permutation(len(synthetic), seed, "share")[:needed])


def _hold_out(context: Context, patches: PatchSet, groups: NDArray[np.uint64]) -> tuple[PatchSet, PatchSet]:
    return held_out(patches, groups, context.config.classifier.validation_fraction, context.config.seed)


def _official(real: RealPatches) -> PatchSet:
    if not len(real.valid):
        raise ConfigError(
            "classifier.validation is 'official' and the source has no validation split: set it to 'held-out'"
        )
    _require_both_classes(real.valid)
    return real.valid


def _require_both_classes(validation: Patches) -> None:
    if validation.tumours in (0, len(validation)):
        raise DataError(
            f"the {len(validation)} patches held out for validation have one class only and give no AUC: "
            "use more patches, or set classifier.validation_fraction"
        )


@dataclass(frozen=True, slots=True)
class Training:
    """How a classifier came to be: what it was trained on, and what chose its epoch and its cut."""

    trained_on: str
    selected_on: str
    selected_epoch: int
    validation_auc: float
    cut: float
    """The logit that best divides the validation patches."""
    n_train: int
    n_train_tumour: int
    source_run: str | None = None

    @classmethod
    def of(cls, state: State) -> Self:
        """From what is saved beside the weights; CheckpointError where another version saved something else."""
        try:
            return cls(**state.meta)
        except TypeError as error:
            raise CheckpointError(
                f"a classifier saved by another version of histotui ({error}); start a new run"
            ) from None


def load(folder: RunFolder, stage: str, config: ClassifierConfig, side: int) -> tuple[Classifier, Training]:
    """A trained classifier, and how it came to be."""
    state = CheckpointFolder(folder.checkpoints / stage).load_final()
    model = build_classifier(config, side)
    model.load_state_dict(state.part("model"))
    return model.eval(), Training.of(state)


class _BestEpoch:
    """After each epoch the AUC on the validation patches, and the weights of the best one so far."""

    def __init__(self, context: Context, stage: str, model: Classifier, patches: TrainingSet) -> None:
        self._context, self._stage, self._model, self._patches = context, stage, model, patches
        self._labels = patches.validation.own_labels
        self._weights: dict[str, Tensor] = {}
        self._best: dict[str, Any] = {"auc": -1.0, "epoch": 0, "cut": 0.0}

    def __call__(self, epoch: int, step: int) -> None:
        logits = predict(self._context, self._model, self._patches.validation)
        interval = metrics.delong(self._labels, logits)
        if interval.auc > self._best["auc"]:
            cut = metrics.best_cut(self._labels, logits)
            self._best = {"auc": interval.auc, "epoch": epoch, "cut": cut}
            self._weights = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
        prefix = self._patches.validation_word
        values = {f"{prefix}_auc": interval.auc, f"{prefix}_bce": metrics.cross_entropy(self._labels, logits)}
        self._context.events.write(Metrics(stage=self._stage, step=step, epoch=epoch, values=values))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self._weights, self._best

    def load(self, tensors: dict[str, Tensor], meta: Mapping[str, Any]) -> None:
        self._weights = {name: tensor.to(self._context.device) for name, tensor in tensors.items()}
        self._best = dict(meta)

    def result(self) -> State:
        """The best epoch's weights and what the evaluation needs to know of them."""
        training = Training(
            trained_on=self._patches.trained_on,
            selected_on=self._patches.selected_on,
            selected_epoch=self._best["epoch"],
            validation_auc=self._best["auc"],
            cut=self._best["cut"],
            n_train=len(self._patches.fit),
            n_train_tumour=self._patches.fit.tumours,
        )
        return State(prefixed("model", self._weights), asdict(training))
