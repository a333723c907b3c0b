"""classifier: the classifier whose test AUC is the answer, trained on real or synthetic patches, or both."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.batches import TrainingBatches
from engine.borrowing import RECONSTRUCTED
from engine.checkpoints import CheckpointFolder, State, prefixed
from engine.choosing import EpochChoice, has_both_classes
from engine.classifiers import build_classifier
from engine.classifiers.base import Classifier
from engine.classifiers.predicting import predict
from engine.context import Context
from engine.data.grouping import held_out
from engine.data.patches import JoinedPatches, Patches, PatchSet
from engine.fitting import Fit
from engine.randomness import mix, permutation, seed_torch
from engine.spec.classifier_config import ClassifierConfig
from engine.spec.errors import CheckpointError, ConfigError, DataError
from engine.spec.events import Metrics
from engine.spec.run_folder import RunFolder
from engine.stages import prepare, synthesis
from engine.stages.prepare import RealPatches
from engine.trainer import Trainer

STAGE = "classifier"
BY_REAL: Final = "by_real"
"""Where in a checkpoint the epoch is that real patches have chosen."""

_Grouped = tuple[PatchSet, NDArray[np.uint64]]
"""Patches, and for each packed row the group that must stay on one side."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a classifier is fitted on, what chooses its epoch, and what to call both."""

    fit: Patches
    validation: Patches
    trained_on: str
    selected_on: str
    real_validation: Patches | None = None
    """Real patches that choose another epoch, beside those that choose the answer's."""
    real_selected_on: str = ""

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


def training_set(context: Context, real: RealPatches, train_on: str, synthetic: PatchSet | None = None) -> TrainingSet:
    """The patches to fit on and to validate on, by the config's protocol. `synthetic`: for those that the run has."""
    parts, trained_on = _parts(context, real, train_on, synthetic)
    if context.config.classifier.validation == "official":
        whole = JoinedPatches(tuple(patches for patches, _ in parts))
        return TrainingSet(whole, _official(real), trained_on, f"the source's {real.word} validation split")
    held_out_parts = [_hold_out(context, patches, groups) for patches, groups in parts]
    fit, validation = (JoinedPatches(side) for side in zip(*held_out_parts, strict=True))
    _require_both_classes(validation)
    words = f"{real.word} and synthetic" if trained_on == "both" else trained_on
    selected_on = f"held-out {words} patches"
    if train_on == "real":
        return TrainingSet(fit, validation, trained_on, selected_on)
    return TrainingSet(fit, validation, trained_on, selected_on, *_real_validation(context, real, len(fit)))


def _real_validation(context: Context, real: RealPatches, fitted: int) -> tuple[Patches | None, str]:
    """Real patches that a classifier on synthetic ones is not fitted on, and what they are; none where too few are.

    At most a fifth as many as are fitted on: to look at them takes a forward pass, and a step about three.
    """
    most = min(context.config.classifier.real_validation, fitted // 5)
    if real.word == "synthetic":
        return None, ""
    own, words = real.valid, f"of the source's {real.word} validation split"
    if not len(own):
        # The same that the real part of a mixed training set is without.
        own, words = _hold_out(context, real.train, real.groups)[1], f"held-out {real.word} patches"
        words += ", which the generator has seen"
    some = own.select(np.sort(permutation(len(own), context.config.seed, "real validation")[:most]))
    return (some, f"{len(some):,} {words}") if has_both_classes(some) else (None, "")


def held_back(context: Context, real: RealPatches) -> PatchSet:
    """The real patches that choose the epoch of a classifier on real patches: it is fitted on none of them."""
    if context.config.classifier.validation == "official":
        return _official(real)
    return _hold_out(context, real.train, real.groups)[1]


def _parts(
    context: Context, real: RealPatches, train_on: str, synthetic: PatchSet | None
) -> tuple[list[_Grouped], str]:
    """The sets that a training set is joined of, and what to call it."""
    grouped_real = (real.train, real.groups)
    if train_on == "real":
        return [grouped_real], real.word
    word = "synthetic" if synthetic is not None else synthesis.word(context.folder)
    synthetic = synthesis.load(context.folder) if synthetic is None else synthetic
    if train_on == "both":
        proportion = context.config.classifier.synthetic_proportion
        synthetic = _share_of(synthetic, len(real.train), proportion, context.config.seed)
    if word == RECONSTRUCTED and synthesis.is_of_training_patches(context.folder, real):
        # Each stands in the place of a real patch, and with its slide.
        return [(synthetic, real.groups[real.train.rows])], RECONSTRUCTED
    # Samples have no slides and no repeats to keep together: every one is a group.
    grouped = (synthetic, np.arange(len(synthetic.images), dtype=np.uint64))
    return ([grouped_real, grouped], "both") if train_on == "both" else ([grouped], word)


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
    if not has_both_classes(validation):
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
    def of(cls, meta: Mapping[str, Any]) -> Self:
        """From what is saved beside the weights; CheckpointError where another version saved something else."""
        try:
            return cls(**{name: value for name, value in meta.items() if name != BY_REAL})
        except TypeError as error:
            raise CheckpointError(
                f"a classifier saved by another version of histotui ({error}); start a new run"
            ) from None


def load(
    folder: RunFolder, stage: str, config: ClassifierConfig, side: int, by_real: bool = False
) -> tuple[Classifier, Training]:
    """A trained classifier, and how it came to be; with `by_real` at the epoch that real patches have chosen."""
    state = CheckpointFolder(folder.checkpoints / stage).load_final()
    model = build_classifier(config, side)
    model.load_state_dict(state.part(BY_REAL if by_real else "model"))
    return model.eval(), Training.of(state.meta[BY_REAL] if by_real else state.meta)


def has_choice_by_real(folder: RunFolder, stage: str) -> bool:
    """Whether real patches have chosen an epoch as well."""
    return BY_REAL in CheckpointFolder(folder.checkpoints / stage).final_meta()


class _BestEpoch:
    """After each epoch the AUC on validation patches, and the weights of the best one so far.

    Real patches may choose another epoch beside it; they change nothing of the first choice.
    """

    def __init__(self, context: Context, stage: str, model: Classifier, patches: TrainingSet) -> None:
        self._context, self._stage, self._model, self._patches = context, stage, model, patches
        self._choice = EpochChoice(patches.validation, patches.validation_word)
        real = patches.real_validation
        self._by_real = None if real is None else EpochChoice(real, "validation")

    def __call__(self, epoch: int, step: int) -> None:
        values: dict[str, float] = {}
        for choice in filter(None, (self._choice, self._by_real)):
            logits = predict(self._context, self._model, choice.patches)
            values |= choice.consider(epoch, logits, self._model)
        self._context.events.write(Metrics(stage=self._stage, step=step, epoch=epoch, values=values))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, meta = prefixed("own", self._choice.weights), {"own": self._choice.best}
        if self._by_real is not None:
            tensors |= prefixed(BY_REAL, self._by_real.weights)
            meta[BY_REAL] = self._by_real.best
        return tensors, meta

    def load(self, tensors: dict[str, Tensor], meta: Mapping[str, Any]) -> None:
        if "own" not in meta:
            raise CheckpointError("a checkpoint of the classifier by another version of histotui; start a new run")
        state = State({name: tensor.to(self._context.device) for name, tensor in tensors.items()}, meta)
        for name, choice in (("own", self._choice), (BY_REAL, self._by_real)):
            if choice is not None:
                choice.load(state.part(name), meta[name])

    def result(self) -> State:
        """The weights of the best epoch and how it came to be; likewise those that real patches have chosen."""
        tensors = prefixed("model", self._choice.weights)
        meta = asdict(self._training(self._choice, self._patches.selected_on))
        if self._by_real is not None:
            tensors |= prefixed(BY_REAL, self._by_real.weights)
            meta[BY_REAL] = asdict(self._training(self._by_real, self._patches.real_selected_on))
        return State(tensors, meta)

    def _training(self, choice: EpochChoice, selected_on: str) -> Training:
        return Training(
            trained_on=self._patches.trained_on,
            selected_on=selected_on,
            selected_epoch=choice.best["epoch"],
            validation_auc=choice.best["auc"],
            cut=choice.best["cut"],
            n_train=len(self._patches.fit),
            n_train_tumour=self._patches.fit.tumours,
        )
