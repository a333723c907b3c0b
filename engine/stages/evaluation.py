"""evaluation: the classifiers tested on real patches, and the scores written down."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from engine import metrics
from engine.borrowing import RECONSTRUCTED
from engine.classifiers.predicting import predict
from engine.context import Context
from engine.data.patches import Patches
from engine.earlier_runs import lender_notes
from engine.monitoring.monitor import choice_notes
from engine.randomness import mix
from engine.spec.atomic import replacing
from engine.spec.config import EvaluationConfig
from engine.spec.events import Scored
from engine.spec.failpoints import Write
from engine.spec.run_folder import RunFolder
from engine.spec.scores import Role, Score, ScoreSheet, write_scores
from engine.stages import classifier, prepare, reference, synthesis
from engine.stages.classifier import Training
from engine.stages.prepare import RealPatches

STAGE = "evaluation"
_FEW = 20
"""Slides below which resampling them is known to fall short of 95 % (Cameron, Gelbach & Miller 2008)."""


Slides = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Test:
    """One classifier on one set of patches."""

    role: Role
    stage: str
    patches: Patches
    tested_on: str
    slides: Slides | None = None
    """A number for each patch, the same for those of one slide; None where slides are not known."""
    by_real: bool = False
    """At the epoch that real patches have chosen, and not at that of the protocol."""


def is_complete(folder: RunFolder) -> bool:
    return folder.scores.exists()


def run(context: Context) -> None:
    """Test every classifier, then write predictions.npz and, last, scores.json."""
    real = prepare.load(context)
    tests = _tests(context, real)
    report = context.reporter(STAGE)
    scores: list[Score] = []
    saved: dict[str, NDArray[Any]] = {}
    for number, test in enumerate(tests):
        report("classifiers tested", number, len(tests))
        labels, logits, training = _predict(context, test, real.train.side)
        scores.append(_score(context, test, real, labels, logits, training))
        name = test.role.replace(" ", "_")
        probabilities = metrics.probabilities(logits)
        saved |= {f"{name}_labels": labels, f"{name}_logits": logits, f"{name}_probabilities": probabilities}
    with replacing(context.folder.predictions, Write.PREDICTIONS) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **saved)  # type: ignore[arg-type]
    write_scores(context.folder.scores, ScoreSheet(tuple(scores), tuple(_notes(context, real, scores))))
    for score in scores:
        context.events.write(_scored(score))
    report("classifiers tested", len(tests), len(tests))


def _tests(context: Context, real: RealPatches) -> list[_Test]:
    """The answer first; with a reference, that on real and, where there are any, on synthetic patches."""
    real_trained = real_trained_stage(context, real)
    tested = (real.test, _test_word(real), slides_of(real.slides[real.test.rows]))
    tests = [_Test("answer", classifier.STAGE, *tested)]
    if real_trained == reference.STAGE:
        tests.append(_Test("reference", reference.STAGE, *tested))
    if context.config.has_synthetic and real_trained is not None:
        tests.append(
            _Test("label fidelity", real_trained, synthesis.load(context.folder), synthesis.word(context.folder))
        )
    if classifier.has_choice_by_real(context.folder, classifier.STAGE):
        tests.append(_Test("epoch by real", classifier.STAGE, *tested, by_real=True))
    return tests


def slides_of(slides: NDArray[np.int32]) -> Slides | None:
    """A number for each patch's slide; None where most are not known, or all patches are from one.

    A patch of an unknown slide stands alone.
    """
    known = slides >= 0
    numbers = np.where(known, slides, -1 - np.arange(len(slides), dtype=np.int64))
    return numbers if 2 * known.sum() > len(slides) and len(np.unique(numbers)) > 1 else None


def real_trained_stage(context: Context, real: RealPatches) -> str | None:
    """The stage whose classifier has seen real patches alone; none where an earlier run's synthetic set stands in."""
    if real.word == "synthetic":
        return None
    if context.config.classifier.train_on == "real":
        return classifier.STAGE
    return reference.STAGE if reference.is_complete(context.folder) else None


def _test_word(real: RealPatches) -> str:
    """What the test patches are; those of a run's synthetic set are the real ones that its run was tested on."""
    return str(real.manifest["test_provenance"])


def _predict(context: Context, test: _Test, side: int) -> tuple[NDArray[np.uint8], metrics.Array, Training]:
    model, training = classifier.load(context.folder, test.stage, context.config.classifier, side, test.by_real)
    logits = predict(context, model.to(context.device), test.patches)
    return test.patches.own_labels, logits, training


def _score(
    context: Context,
    test: _Test,
    real: RealPatches,
    labels: NDArray[np.uint8],
    logits: metrics.Array,
    training: Training,
) -> Score:
    config, probability = context.config.evaluation, metrics.probabilities(logits)
    interval = metrics.delong(labels, logits)
    point = metrics.operating_point(labels, logits, float(logit(config.threshold)))
    slides = test.slides
    low, high = _bootstrap(config, labels, logits, slides, context.config.seed)
    return Score(
        trained_on=training.trained_on,
        tested_on=test.tested_on,
        role=test.role,
        data=real.manifest["name"],
        n_train=training.n_train,
        n_train_tumour=training.n_train_tumour,
        n_test=len(labels),
        n_test_tumour=int(labels.sum()),
        loss=metrics.cross_entropy(labels, logits),
        accuracy=point.accuracy,
        auc=interval.auc,
        auc_low=interval.low,
        auc_high=interval.high,
        interval="DeLong 95 %",
        ece=metrics.calibration_error(labels, probability, config.ece_bins),
        sensitivity=point.sensitivity,
        specificity=point.specificity,
        confusion=point.confusion,
        at_validation_threshold=metrics.operating_point(labels, logits, training.cut),
        selected_on=training.selected_on,
        selected_epoch=training.selected_epoch,
        roc=metrics.roc(labels, logits),
        bootstrap_low=low,
        bootstrap_high=high,
        bootstrap_by=None if low is None else "patch" if slides is None else "slide",
        n_test_slides=None if slides is None else len(np.unique(slides)),
        source_run=training.source_run,
        calibration=metrics.calibration(labels, probability, config.ece_bins),
    )


def _bootstrap(
    config: EvaluationConfig, labels: NDArray[np.uint8], logits: metrics.Array, slides: Slides | None, seed: int
) -> tuple[float | None, float | None]:
    if not config.bootstrap:
        return None, None
    if slides is not None:
        return metrics.bootstrap_by_slide(labels, logits, slides, config.bootstrap, mix(seed, "bootstrap"))
    return metrics.bootstrap(labels, logits, config.bootstrap, mix(seed, "bootstrap"))


def _notes(context: Context, real: RealPatches, scores: list[Score]) -> list[str]:
    """What a reader must know before comparing these numbers."""
    notes = list(real.manifest["warnings"])
    if context.config.synthesis.source is not None:
        notes.append(f"The synthetic patches were made by {synthesis.maker(context.folder)}.")
    if context.config.has_synthetic:
        if synthesis.word(context.folder) != "synthetic":
            notes.append(
                "Trained on reconstructions of training patches: what this autoencoder could teach at best, "
                "a ceiling and not a generator's result."
            )
        notes += synthesis.warnings(context)
    notes += lender_notes(context.folder)
    notes += choice_notes(context.folder)
    if real.manifest["test_provenance"] == "tissue":
        notes.append("Tested on the built-in rendered tissue: says nothing about real tissue.")
    for chosen_on in sorted({score.selected_on for score in scores if _on_made(score)}):
        notes.append(f"The epoch was chosen on {chosen_on}; an AUC on synthetic ones says nothing about usefulness.")
    notes += [_of_choice_by_real(score) for score in scores if score.role == "epoch by real"]
    if scores[0].auc_low == scores[0].auc_high:
        notes.append(_of_no_width(scores[0]))
    notes.append(_of_intervals(scores[0]))
    return notes


def _on_made(score: Score) -> bool:
    return any(word in score.selected_on for word in ("synthetic", RECONSTRUCTED))


def _of_choice_by_real(score: Score) -> str:
    return (
        f"'{score.role}' is the same training at the epoch with the highest AUC on {score.selected_on}: "
        "more than synthetic patches alone could tell, and not the answer."
    )


def _of_no_width(score: Score) -> str:
    ranked = "ranked right, or every one wrong" if score.auc in (0, 1) else "given the same rank"
    return (
        f"Every pair of a normal and a tumour patch is {ranked}: DeLong's interval has no width then, and says nothing."
    )


def _of_intervals(score: Score) -> str:
    """What the intervals of the answer leave out."""
    if score.bootstrap_by != "slide":
        return (
            "Intervals take patches as independent; patches of one slide are not, so they are narrower than the truth."
        )
    few = ", and with so few is too narrow still" if (score.n_test_slides or 0) < _FEW else ""
    return (
        "DeLong's interval takes patches as independent, and patches of one slide are not: the interval by slides "
        f"resamples the {score.n_test_slides} slides of the test patches{few}."
    )


def _scored(score: Score) -> Scored:
    return Scored(
        trained_on=score.trained_on,
        tested_on=score.tested_on,
        role=score.role,
        n_test=score.n_test,
        accuracy=score.accuracy,
        auc=score.auc,
        auc_low=score.auc_low,
        auc_high=score.auc_high,
    )
