"""How far a run's answer is from the same classifier trained on real patches."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from histotui.summary import RunSummary

# The built-in tissue stands in for real patches.
_REAL = ("real", "tissue")

_Patches = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Baselines:
    """The newest finished classifiers on real patches, one for each set of patches."""

    aucs: Mapping[_Patches, float] = field(default_factory=dict)

    @classmethod
    def among(cls, runs: Iterable[RunSummary]) -> Self:
        """Those that these runs have."""
        trained = sorted((run for run in runs if _is_baseline(run)), key=lambda run: (run.created, run.id))
        return cls({_patches(run): auc for run in trained if (auc := _auc(run.answer)) is not None})

    def gap(self, run: RunSummary) -> float | None:
        """AUC of the answer less that of its own reference, else of a baseline on the same patches; None without."""
        if run.answer.get("trained_on") in _REAL:
            return None
        own = gap_to_reference(run)
        return own if own is not None else _difference(_auc(run.answer), self.aucs.get(_patches(run)))


def gap_to_reference(run: RunSummary) -> float | None:
    """AUC of the answer less that of the run's own reference; None where it lacks one of them."""
    return _difference(_auc(run.answer), _auc(run.reference))


def gap_to_baseline(run: RunSummary, runs: Iterable[RunSummary]) -> float | None:
    """`Baselines.gap` for a single run."""
    return Baselines.among(runs).gap(run)


def _is_baseline(run: RunSummary) -> bool:
    return run.state == "finished" and run.fingerprint != "" and run.answer.get("trained_on") in _REAL


def _patches(run: RunSummary) -> _Patches:
    return run.fingerprint, run.answer.get("n_test")


def _auc(score: Mapping[str, Any]) -> float | None:
    return score.get("auc")


def _difference(auc: float | None, other: float | None) -> float | None:
    return None if auc is None or other is None else auc - other
