"""What the runs of a study come to: means and spreads over seeds, and tests of rows against each other."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from engine.spec.errors import RunFolderError
from engine.spec.scores import slide_interval
from engine.spec.study import FLOOR, Part, Row
from histotui.learning_curve import learning_curve
from histotui.repeating import Spread
from histotui.student import half_width
from histotui.study.looking import Finding, Findings
from histotui.summary import RunSummary
from histotui.worth import CurvePoint, Worth, worth

BY_REAL: Final = "epoch by real"
"""The role of a score of the epoch that real validation patches chose."""
_BY_SLIDE: Final = ("slide_low", "slide_high")
_MEANS: Final = (
    *("loss", "accuracy", "auc_low", "auc_high"), *_BY_SLIDE,
    *("sensitivity", "specificity", "ece", "n_train", "n_test"),
)  # fmt: skip
Pair = tuple[str, str]
"""The ids of two runs: the second is compared with the first."""
Verdict = Literal[
    "",
    "better than the floor",
    "not shown to beat the floor",
    "not worth its training",
    "above the floor, one seed",
    "not apart from the floor, one seed",
    "below the floor, one seed",
]
_VERDICTS: Final[Mapping[int, Verdict]] = MappingProxyType(
    {1: "better than the floor", 0: "not shown to beat the floor", -1: "not worth its training"}
)
_OF_ONE_SEED: Final[Mapping[int, Verdict]] = MappingProxyType(
    {1: "above the floor, one seed", 0: "not apart from the floor, one seed", -1: "below the floor, one seed"}
)
"""What one seed can say: of these very networks, and not of the generator."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the AUC of one row is above another's, by seed on the same test patches: means over the seeds."""

    seeds: int
    mean: float
    low: float
    high: float
    p: float
    """The largest of the seeds', of paired DeLong tests."""
    deviation: float | None = None
    """Over seeds; None where there is one."""

    @classmethod
    def of(cls, tests: Sequence[Mapping[str, Any]]) -> "Difference | None":
        """What these tests come to, one for each seed; None without any."""
        if not tests:
            return None
        mean, low, high = (statistics.fmean(test[name] for test in tests) for name in ("difference", "low", "high"))
        spread = Spread.of([test["difference"] for test in tests])
        return cls(len(tests), mean, low, high, max(test["p"] for test in tests), spread.deviation)

    @property
    def sign(self) -> int:
        """1 or -1 where it is above or below 0 by more than its errors over test patches and over seeds; else 0.

        Of one seed that over seeds is not known, and left out.
        """
        over_seeds = _over_seeds(self.deviation, self.seeds)
        if self.mean > math.hypot(self.mean - self.low, over_seeds):
            return 1
        return -1 if -self.mean > math.hypot(self.high - self.mean, over_seeds) else 0


@dataclass(frozen=True, slots=True)
class Auc:
    """An AUC over seeds; `low` and `high` are the ends of its interval over test patches, averaged over the seeds."""

    spread: Spread
    low: float
    high: float

    @classmethod
    def of(cls, scores: Sequence[Mapping[str, Any]]) -> "Auc | None":
        """That of these scores, one for each seed; None without any."""
        means = [_mean(scores, name) for name in ("auc_low", "auc_high")]
        if not scores or None in means:
            return None
        low, high = (mean or 0.0 for mean in means)
        return cls(Spread.of([float(score["auc"]) for score in scores]), low, high)


@dataclass(frozen=True, slots=True)
class Result:
    """One row with one classifier. `low` and `high`, `loss` and the like are means over the seeds that have a score."""

    row: Row
    yardstick: str
    findings: tuple[Finding, ...]
    auc: Spread | None = None
    low: float | None = None
    high: float | None = None
    means: Mapping[str, float] = field(default_factory=dict)
    over_floor: Difference | None = None
    over_real: Difference | None = None
    over_unchanged: Difference | None = None
    """To the preset as it is, where the row changes a setting of its generator."""
    by_real: Auc | None = None
    """With the epoch that real validation patches chose, which the protocol does not allow; None where none did."""
    worth: Worth | None = None
    """In real patches alone, where there is a learning curve of them."""

    @property
    def runs(self) -> tuple[RunSummary, ...]:
        """Those that have a score, by seed."""
        return tuple(found.run for found in self.findings if found.run is not None and found.fate == "done")

    @property
    def why(self) -> str:
        """Why seeds are missing, each reason once; empty where none is."""
        if self.row.why_not:
            return self.row.why_not
        reasons = [found.why for found in self.findings if found.fate != "done"]
        counted = [f"{reason} ({reasons.count(reason)} seeds)" for reason in dict.fromkeys(reasons)]
        return "; ".join(reason.replace(" (1 seeds)", "") for reason in counted)

    @property
    def verdict(self) -> Verdict:
        """What the floor says of a generator; empty without a test."""
        if self.over_floor is None:
            return ""
        return (_OF_ONE_SEED if self.over_floor.seeds == 1 else _VERDICTS)[self.over_floor.sign]


@dataclass(frozen=True, slots=True)
class Results:
    """All rows of a study with each classifier."""

    findings: Findings
    yardsticks: tuple[str, ...]
    all: tuple[Result, ...]
    curves: Mapping[str, tuple[CurvePoint, ...]] = field(default_factory=dict)
    """By classifier, the learning curve on real patches alone; empty where there are not two sizes."""
    doubts: tuple[str, ...] = ()
    """What stands against comparing the rows, and why some are not tested against each other."""

    def get(self, row: Row | str, yardstick: str) -> Result | None:
        """That of a row, by its name; None where the study has no such row."""
        name = row if isinstance(row, str) else row.name
        return next((each for each in self.all if (each.row.name, each.yardstick) == (name, yardstick)), None)

    def rows(self, *parts: Part) -> tuple[Row, ...]:
        """The rows of these parts."""
        return tuple(row for row in self.findings.plan.rows if row.part in parts)

    @property
    def stand_in(self) -> str:
        """What stood in for real patches, such as `tissue`; empty where they were real, or nothing has a score."""
        return next((run.stand_in for run in self.scored()), "")

    @property
    def has_single_seeds(self) -> bool:
        """Whether any row stands on one seed, of whose spread nothing is known."""
        return any(result.auc is not None and result.auc.runs == 1 for result in self.all)

    def scored(self) -> Iterator[RunSummary]:
        """Every run that has a score."""
        for result in self.all:
            yield from result.runs


def wanted_tests(findings: Findings, yardsticks: Sequence[str]) -> list[tuple[RunSummary, RunSummary]]:
    """The pairs of runs to be tested: each against those of its classifier and seed that its row is compared with."""
    wanted: dict[Pair, tuple[RunSummary, RunSummary]] = {}
    for row in findings.plan.rows:
        for yardstick in yardsticks:
            for other in _compared_with(row):
                for pair in _by_seed(findings, other, row, yardstick):
                    wanted[pair[0].id, pair[1].id] = pair
    return list(wanted.values())


def results(findings: Findings, yardsticks: Sequence[str], tests: Mapping[Pair, Mapping[str, Any]]) -> Results:
    """Every row with each classifier. `tests`: the paired tests that there are, by the ids of their runs."""

    def difference(other: str, row: Row, yardstick: str) -> Difference | None:
        pairs = _by_seed(findings, other, row, yardstick) if other in _compared_with(row) else []
        return Difference.of([tests[pair] for one, two in pairs if (pair := (one.id, two.id)) in tests])

    found = [
        _result(row, yardstick, findings.of(row, yardstick), difference)
        for row in findings.plan.rows
        for yardstick in yardsticks
    ]
    curves = {yardstick: _curve([each for each in found if each.yardstick == yardstick]) for yardstick in yardsticks}
    valued = [replace(each, worth=_worth(each, curves[each.yardstick])) for each in found]
    return Results(findings, tuple(yardsticks), tuple(valued), curves)


def _curve(found: Sequence[Result]) -> tuple[CurvePoint, ...]:
    """The learning curve of a classifier on real patches alone; empty where there are not two sizes."""
    real = [run for result in found if result.row.is_real for run in result.runs]
    try:
        return learning_curve(real[0], real).points if real else ()
    except RunFolderError:
        return ()


def _worth(result: Result, curve: Sequence[CurvePoint]) -> Worth | None:
    if result.auc is None or result.low is None or result.high is None or result.row.is_real or not curve:
        return None
    mean, over_seeds = result.auc.mean, _over_seeds(result.auc.deviation, result.auc.runs)
    low, high = mean - math.hypot(mean - result.low, over_seeds), mean + math.hypot(result.high - mean, over_seeds)
    return worth(mean, low, high, curve)


def _over_seeds(deviation: float | None, seeds: int) -> float:
    """Half the 95 % interval of a mean over seeds; 0 where there is one, of whose spread nothing is known."""
    return 0.0 if deviation is None else half_width(deviation, seeds - 1, seeds)


def _result(
    row: Row, yardstick: str, found: tuple[Finding, ...], difference: Callable[[str, Row, str], Difference | None]
) -> Result:
    result = Result(row, yardstick, found)
    answers = [run.answer for run in result.runs]
    if not answers:
        return result
    told = [answer | dict(zip(_BY_SLIDE, slide_interval(answer), strict=True)) for answer in answers]
    means = {name: mean for name in _MEANS if (mean := _mean(told, name)) is not None}
    return Result(
        row,
        yardstick,
        found,
        Spread.of([float(answer["auc"]) for answer in answers]),
        means.get("auc_low"),
        means.get("auc_high"),
        means,
        difference(FLOOR, row, yardstick),
        difference(row.real.name, row, yardstick),
        None if row.unchanged is None else difference(row.unchanged.name, row, yardstick),
        Auc.of([score for run in result.runs for score in run.scores if score.get("role") == BY_REAL]),
    )


def _mean(answers: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [answer[name] for answer in answers if isinstance(answer.get(name), int | float)]
    return statistics.fmean(values) if values else None


def _compared_with(row: Row) -> tuple[str, ...]:
    """The names of the rows that it is tested against."""
    floor = (FLOOR,) if row.part is Part.TABLE and not row.is_real and row.name != FLOOR else ()
    real = () if row.is_real else (row.real.name,)
    unchanged = (row.unchanged.name,) if row.unchanged else ()
    return (*floor, *real, *unchanged)


def _by_seed(findings: Findings, other: str, row: Row, yardstick: str) -> list[tuple[RunSummary, RunSummary]]:
    """Runs of two rows that have the same seed, as far as both have a score."""
    known = {row.name: row for row in findings.plan.rows}
    if other not in known:
        return []
    sides = [_scored(findings.of(each, yardstick)) for each in (known[other], row)]
    return [(sides[0][seed], run) for seed, run in sides[1].items() if seed in sides[0]]


def _scored(found: Sequence[Finding]) -> dict[int, RunSummary]:
    return {each.cell.seed: each.run for each in found if each.run is not None and each.fate == "done"}
