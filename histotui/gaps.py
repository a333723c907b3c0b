"""How far a run's answer is from the same classifier trained on real patches."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Self

from histotui.runs import section
from histotui.summary import RunSummary

# The built-in tissue stands in for real patches.
_REAL = ("real", "tissue")

# What a classifier on real patches does not hang on.
_SYNTHETIC = ("train_on", "synthetic_proportion", "real_validation")

_Patches = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Baselines:
    """The newest finished classifiers on real patches."""

    aucs: Mapping[_Patches, Mapping[str, float]] = field(default_factory=dict)
    """One for each set of patches and each recipe."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Those of all runs, by their ids."""

    @classmethod
    def among(cls, runs: Iterable[RunSummary]) -> Self:
        """Those that these runs have."""
        runs = list(runs)
        aucs: dict[_Patches, dict[str, float]] = {}
        for run in sorted(filter(_is_baseline, runs), key=lambda run: (run.created, run.id)):
            if (auc := _auc(run.answer)) is not None:
                aucs.setdefault(_patches(run, run.fingerprint), {})[_recipe(run)] = auc
        return cls(aucs, {run.id: run.fingerprint for run in runs})

    def gap(self, run: RunSummary) -> float | None:
        """AUC of the answer less that of its own reference, else of a baseline on the same patches; None without."""
        if run.answer.get("trained_on") in _REAL:
            return None
        own = gap_to_reference(run)
        return own if own is not None else _difference(_auc(run.answer), self._auc_for(run))

    def _auc_for(self, run: RunSummary) -> float | None:
        # Configs are parsed only where there is anything to compare them with.
        if not self.aucs or not run.answer:
            return None
        here = self.aucs.get(_patches(run, run.fingerprint)) or self.aucs.get(_patches(run, self._lent(run)))
        return here.get(_recipe(run)) if here else None

    def _lent(self, run: RunSummary) -> str:
        """The fingerprint of the earlier run whose synthetic set this run trains on; it tests on that run's patches."""
        source = section(run.config, "data").get("source")
        return self.fingerprints.get(PurePath(source).name, "") if isinstance(source, str) else ""


def gap_to_reference(run: RunSummary) -> float | None:
    """AUC of the answer less that of the run's own reference; None where it lacks one of them."""
    return _difference(_auc(run.answer), _auc(run.reference))


def gap_to_baseline(run: RunSummary, runs: Iterable[RunSummary]) -> float | None:
    """`Baselines.gap` for a single run."""
    return Baselines.among(runs).gap(run)


def _is_baseline(run: RunSummary) -> bool:
    return run.state == "finished" and run.fingerprint != "" and run.answer.get("trained_on") in _REAL


def _patches(run: RunSummary, fingerprint: str) -> _Patches:
    return fingerprint, run.answer.get("n_test")


def _recipe(run: RunSummary) -> str:
    """What else decides the AUC: the classifier, and the crop, since fingerprints are those of whole patches."""
    classifier = {name: value for name, value in section(run.config, "classifier").items() if name not in _SYNTHETIC}
    return json.dumps([section(run.config, "data").get("crop"), classifier], sort_keys=True)


def _auc(score: Mapping[str, Any]) -> float | None:
    return score.get("auc")


def _difference(auc: float | None, other: float | None) -> float | None:
    return None if auc is None or other is None else auc - other
