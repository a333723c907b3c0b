"""The test patches that a run's classifier is most sure of and wrong about."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from engine.comparing import Predictions, Tested, read_predictions, tested_patches
from engine.data.packing import cache_folder
from engine.pictures import save_grid
from engine.progress import Report
from engine.spec.errors import ConfigError
from engine.spec.resolve import load
from engine.spec.run_folder import RunFolder
from engine.storage import storage_errors

MOST: Final = 64
COLUMNS: Final = 4
KINDS: Final = ("false_positives", "false_negatives")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One test patch: its place among the predictions, its label, P(tumour), and its id in the source."""

    index: int
    label: int
    probability: float
    id: str


def answer_mistakes(args: dict[str, Any], report: Report) -> dict[str, Any]:
    """The `n` surest false positives and negatives of `run`, a folder: rows, and a grid of each as PNG in the cache."""
    run, number = RunFolder(Path(args["run"])), int(args.get("n", 8))
    if not 1 <= number <= MOST:
        raise ConfigError(f"n: {number}; it must be from 1 to {MOST}")
    predictions, threshold = read_predictions(run), load(run.config).evaluation.threshold
    tested = tested_patches(run, report)
    answer: dict[str, Any] = {"threshold": threshold}
    for kind, places in zip(KINDS, surest(predictions, threshold, number), strict=True):
        rows = [asdict(mistake) for mistake in describe(predictions, tested, places)]
        answer[kind] = {"picture": _picture(run, kind, tested, places), "rows": rows}
    return answer


def surest(predictions: Predictions, threshold: float, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the surest false positives, then of the surest false negatives, the worst first."""
    labels, logits = predictions.labels, predictions.logits
    order = np.argsort(logits, kind="stable")
    called = logits[order] >= logit(threshold)
    positives, negatives = order[called & (labels[order] == 0)], order[~called & (labels[order] == 1)]
    return positives[::-1][:number], negatives[:number]


def describe(predictions: Predictions, tested: Tested, places: NDArray[np.int64]) -> Sequence[Mistake]:
    """These places as rows."""
    names = tested.pack.names(tested.rows[places])
    probabilities = expit(predictions.logits[places])
    return [
        Mistake(int(place), int(predictions.labels[place]), float(probability), name)
        for place, probability, name in zip(places, probabilities, names, strict=True)
    ]


def _picture(run: RunFolder, kind: str, tested: Tested, places: NDArray[np.int64]) -> str | None:
    if not len(places):
        return None
    # Outside the run folder, which only its engine writes; by path, as an id may occur in two folders of runs.
    place = hashlib.sha256(str(run.path.resolve()).encode()).hexdigest()[:8]
    path = cache_folder().parent / "mistakes" / f"{run.id}-{place}-{kind}-{len(places)}.png"
    with storage_errors(path.parent):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        save_grid(path, tested.pack.images[tested.rows[places]], COLUMNS)
    return str(path)
