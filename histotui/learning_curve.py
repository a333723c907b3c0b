"""The learning curve of real patches alone, gathered from finished runs, and what another run is worth by it."""

import math
import shlex
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.resolve import validate
from histotui import console
from histotui.formats import count, interval, number, table
from histotui.runs import section
from histotui.student import half_width
from histotui.summary import RunSummary, manifest_of
from histotui.worth import CurvePoint, Worth, worth

_REAL: Final = ("real", "tissue")
_FREE: Final = {
    "train_on": "real",
    "synthetic_proportion": 0.5,
    "real_validation": 0,
    "epochs": 1,
    "batch_size": 32,
}
"""What the classifiers of a curve may differ in from that of the run: few patches need more epochs, small batches."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Measured:
    """One run on real patches alone."""

    patches: int
    epochs: int
    seeds: tuple[int, int]
    auc: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Points by size, with the epochs of each, and what their intervals are over."""

    points: tuple[CurvePoint, ...]
    epochs: tuple[int, ...]
    over: str


def learning_curve(run: RunSummary, others: Iterable[RunSummary]) -> LearningCurve:
    """The curve of the same classifier on the same test patches; RunFolderError where there are not two sizes.

    Where one size was run with different epochs, those with the most count: the epoch is chosen among them.
    """
    sizes: dict[int, list[_Measured]] = {}
    for measured in _measured(run, others):
        sizes.setdefault(measured.patches, []).append(measured)
    if len(sizes) < 2:
        raise RunFolderError(
            f"{run.id}: no learning curve: of runs on real patches alone, with the same classifier and the same test "
            f"patches, there {'is one size' if sizes else 'are none'} and two are needed; make them with "
            f"`histotui run --preset baseline{_data_option(run)} --set data.train_share=0.1` and the settings of this "
            "run's classifier"
        )
    kept = [_with_most_epochs(sizes[size]) for size in sorted(sizes)]
    spread = _common_deviation(kept)
    points = tuple(_point(runs, spread) for runs in kept)
    over = "test patches" if spread is None else "runs with other seeds, their spread taken as the same at every size"
    return LearningCurve(points, tuple(runs[0].epochs for runs in kept), over)


def _data_option(run: RunSummary) -> str:
    source = str(section(run.config, "data").get("source", ""))
    return "" if source in ("", "tissue") else f" --data {shlex.quote(source)}"


def _measured(run: RunSummary, others: Iterable[RunSummary]) -> Iterator[_Measured]:
    """Each finished run that the curve is made of, the newest where two have the same seeds."""
    recipe, tested = _recipe(_config(run)), _tested(run)
    if not tested:
        raise RunFolderError(f"{run.id}: its data/manifest.json does not say what it was tested on; run it again")
    found: dict[tuple[int, int, tuple[int, int]], _Measured] = {}
    for other in sorted(others, key=lambda each: (each.created, each.id)):
        if other.state != "finished" or other.answer.get("trained_on") not in _REAL or _tested(other) != tested:
            continue
        try:
            config = _config(other)
        except ConfigError:
            continue
        measured = _of(other, config)
        if measured is not None and _recipe(config) == recipe and config.data.tumour_share == 1:
            found[measured.patches, measured.epochs, measured.seeds] = measured
    yield from found.values()


def _of(run: RunSummary, config: RunConfig) -> _Measured | None:
    """What a run measured; None where its files do not say it."""
    patches = sum(section(section(manifest_of(run.folder), "counts"), "train").values())
    auc, low, high = (run.answer.get(name) for name in ("auc", "auc_low", "auc_high"))
    if not (patches and isinstance(auc, float) and isinstance(low, float) and isinstance(high, float)):
        return None
    return _Measured(patches, config.classifier.epochs, (config.seed, config.data.share_seed), auc, low, high)


def _config(run: RunSummary) -> RunConfig:
    return validate(dict(run.config))


def _recipe(config: RunConfig) -> tuple[object, int]:
    """What decides the AUC beside patches, seed and epochs."""
    return config.classifier.model_copy(update=_FREE), config.data.crop


def _tested(run: RunSummary) -> str:
    return str(manifest_of(run.folder).get("test_fingerprint") or "")


def _with_most_epochs(runs: Sequence[_Measured]) -> list[_Measured]:
    most = max(run.epochs for run in runs)
    return [run for run in runs if run.epochs == most]


def _common_deviation(sizes: Sequence[Sequence[_Measured]]) -> tuple[float, int] | None:
    """The standard deviation over runs of one size, pooled over sizes, and its degrees of freedom."""
    repeated = [[run.auc for run in runs] for runs in sizes if len(runs) > 1]
    freedom = sum(len(aucs) - 1 for aucs in repeated)
    if not freedom:
        return None
    return math.sqrt(sum(statistics.variance(aucs) * (len(aucs) - 1) for aucs in repeated) / freedom), freedom


def _point(runs: Sequence[_Measured], spread: tuple[float, int] | None) -> CurvePoint:
    """The mean of a size's runs with Student's interval; that over test patches where no size was run twice."""
    mean = statistics.fmean(run.auc for run in runs)
    if spread is None:
        return CurvePoint(runs[0].patches, mean, runs[0].low, runs[0].high)
    deviation, freedom = spread
    reach = half_width(deviation, freedom, len(runs))
    return CurvePoint(runs[0].patches, mean, max(0.0, mean - reach), min(1.0, mean + reach), len(runs))


def print_worth(run: RunSummary, others: Iterable[RunSummary], as_json: bool) -> None:
    """What a run is worth, and the curve that says so, on stdout."""
    if not run.answer:
        raise RunFolderError(f"{run.id}: no score to read the curve with: the run is {run.state}")
    curve = learning_curve(run, others)
    low, high = run.answer["auc_low"], run.answer["auc_high"]
    found = worth(run.answer["auc"], low, high, curve.points)
    if as_json:
        console.out_json(_tree(run, found, curve))
        return
    console.out(f"{run.id}: trained on {run.answer['trained_on']}, {run.result} {interval(low, high)}")
    console.out(str(found))
    console.out()
    rows = [_cells(point, epochs) for point, epochs in zip(curve.points, curve.epochs, strict=True)]
    for line in table(["REAL PATCHES", "RUNS", "EPOCHS", "AUC", "95 % INTERVAL"], rows):
        console.out(line)
    console.out()
    for note in _notes(curve):
        console.out_prose(f"- {note}")


def _cells(point: CurvePoint, epochs: int) -> list[str]:
    low_to_high = interval(point.low, point.high)
    return [count(point.patches), str(point.runs), str(epochs), number(point.auc), low_to_high]


def _notes(curve: LearningCurve) -> Iterator[str]:
    yield (
        "The same classifier on real patches alone, tested on the same patches. Means are made to rise (isotonic "
        "regression) and joined by straight lines in the logarithm of the patches; what is held out to choose the "
        "epoch counts as well."
    )
    yield (
        f"The run's interval is over test patches, the curve's over {curve.over}; a number of patches is in the "
        "interval where the two AUCs differ by no more than both half widths, added in quadrature."
    )


def _tree(run: RunSummary, found: Worth, curve: LearningCurve) -> Row:
    names = ("patches", "runs", "auc", "low", "high")
    return {
        "run": run.id,
        "trained_on": run.answer["trained_on"],
        "auc": run.answer["auc"],
        "auc_low": run.answer["auc_low"],
        "auc_high": run.answer["auc_high"],
        "worth": found.tree() | {"words": str(found)},
        "curve": [
            {name: getattr(point, name) for name in names} | {"epochs": epochs}
            for point, epochs in zip(curve.points, curve.epochs, strict=True)
        ],
        "notes": list(_notes(curve)),
    }
