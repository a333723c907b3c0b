"""Scoring and logging: AUC with its interval, and events."""

import os
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from engine import metrics
from engine.bench.timing import Goal, Result, compare
from engine.spec.event_log import EventWriter
from engine.spec.events import Metrics

KAGGLE_TEST = 57_458


def delong_against_scikit_learn() -> Result:
    """AUC with its interval against scikit-learn's AUC alone, on as many scores as Kaggle's test set has patches."""
    rng = np.random.default_rng(0)
    labels = (rng.random(KAGGLE_TEST) < 0.4).astype(np.uint8)
    scores = rng.normal(size=KAGGLE_TEST) + labels
    return compare(
        "AUC with DeLong",
        lambda: metrics.delong(labels, scores),
        lambda: roc_auc_score(labels, scores),
        f"{KAGGLE_TEST:,} scores: AUC with its interval, against scikit-learn's AUC alone",
        Goal("at most", 1.0),
        rounds=15,
        times=3,
    )


def event_against_write(folder: Path, events: int = 5000) -> Result:
    """Appending events against writing lines of the same length."""
    values = {"recon": 399.12345678, "kl": 32.1234567, "grad_norm": 1.23456}
    path = folder / "events.jsonl"
    with EventWriter(path) as writer:
        writer.write(Metrics(stage="generator", step=0, epoch=1, values=values))
    line = path.read_bytes()
    made = iter([Metrics(stage="generator", step=step, epoch=1, values=values) for step in range(1, 20 * events)])
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with EventWriter(path) as writer:
        result = compare(
            "event append",
            lambda: writer.write(next(made)),
            lambda: os.write(descriptor, line),
            "a metrics event serialised and appended, against writing as many bytes",
            Goal("at most", 3.0),
            rounds=15,
            times=events,
        )
    os.close(descriptor)
    return result
