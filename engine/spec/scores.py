"""Scores: what was trained on what, tested on what, and how it did."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from engine.spec.atomic import write_text
from engine.spec.errors import RunFolderError
from engine.spec.failpoints import Write
from engine.spec.json_file import read_json
from engine.spec.typed import conforms

Confusion = tuple[tuple[int, int], tuple[int, int]]
"""((true negatives, false positives), (false negatives, true positives))."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold on the tumour probability, and the decisions it makes."""

    threshold: float
    accuracy: float
    sensitivity: float
    specificity: float
    confusion: Confusion


@dataclass(frozen=True, slots=True)
class Roc:
    """Points of the ROC curve, thinned to what a plot can show."""

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration curve: for each bin that has patches, their mean probability, the share of tumour, how many."""

    probability: tuple[float, ...]
    observed: tuple[float, ...]
    count: tuple[int, ...]


Role = Literal["answer", "reference", "label fidelity", "epoch by real"]
"""The run's own answer; the same classifier on real patches; the real-trained classifier on synthetic patches.

`epoch by real` is the training of the answer at the epoch that real validation patches choose: it has used some.
"""


@dataclass(frozen=True, slots=True)
class Score:
    """One classifier on one set of test patches. AUC intervals are 95 % and take patches as independent."""

    trained_on: str
    """`real`, `synthetic` or `both`; `tissue` where the built-in tissue stands in for real patches.

    `reconstructed` where the patches were an autoencoder's reconstructions of training patches: a ceiling.
    """
    tested_on: str
    """`real`, `tissue`, `synthetic` or `reconstructed`."""
    role: Role
    data: str
    n_train: int
    n_train_tumour: int
    n_test: int
    n_test_tumour: int
    loss: float
    accuracy: float
    auc: float
    auc_low: float
    auc_high: float
    interval: str
    ece: float
    sensitivity: float
    specificity: float
    confusion: Confusion
    at_validation_threshold: OperatingPoint
    selected_on: str
    """The patches whose AUC chose the epoch."""
    selected_epoch: int
    roc: Roc
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None
    bootstrap_by: Literal["slide", "patch"] | None = None
    """What was resampled: slides with all of their patches, where they are known."""
    n_test_slides: int | None = None
    """Slides that the test patches are from, where they are known."""
    source_run: str | None = None
    """The earlier run that the classifier was taken from."""
    calibration: Calibration | None = None
    """None where the score was written before there was one."""


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """Everything in scores.json."""

    scores: tuple[Score, ...]
    notes: tuple[str, ...]
    """What a reader must know before comparing these numbers."""


def write_scores(path: Path, sheet: ScoreSheet) -> None:
    write_text(path, json.dumps(asdict(sheet), indent=1, allow_nan=False) + "\n", Write.SCORES)


def read_score_trees(path: Path) -> list[dict[str, Any]]:
    """The scores of a run as plain dicts, newer fields included; empty where the run has none yet."""
    try:
        saved = read_json(path, finite=True)
        return [_checked(row) for row in saved["scores"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path}: not a score sheet ({error})") from None


def _checked(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or not conforms(Score, row) or not _is_confusion(row.get("confusion")):
        raise ValueError("a score has a field of the wrong type")
    return row


def _is_confusion(value: Any) -> bool:
    rows = value if isinstance(value, list) else []
    return [list(map(type, row)) if isinstance(row, list) else row for row in rows] == [[int, int], [int, int]]


def answer(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The run's own answer among its scores."""
    return next((row for row in rows if row.get("role") == "answer"), None)


def slide_interval(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The ends of a score's interval over resampled slides; None where slides are not known."""
    if row.get("bootstrap_by") != "slide":
        return None, None
    return row.get("bootstrap_low"), row.get("bootstrap_high")


_CURVES = ("roc", "calibration", "at_validation_threshold")
COLUMNS = tuple(field.name for field in fields(Score) if field.name not in _CURVES)
