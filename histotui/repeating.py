"""The same run with several seeds, and what their AUCs come to: one run of one setting is no measurement."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.resolve import apply, dump
from engine.spec.run_folder import RunFolder
from histotui import console
from histotui.details import details
from histotui.formats import interval, number, table
from histotui.sources_now import has_changed, sources_now
from histotui.store import RunStore
from histotui.summary import RunSummary, readable

_ROLES = ("answer", "reference", "epoch by real")


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean of an AUC over seeds, and its sample standard deviation; None where one run has no spread."""

    runs: int
    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(len(values), statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def with_seeds(config: RunConfig, count: int) -> list[RunConfig]:
    """The config with its own seed and those that follow it."""
    if config.seed + count - 1 > 2**31 - 1:
        raise ConfigError(f"seed: {config.seed} leaves no room for {count} seeds; start from a smaller one")
    return [apply(config, [{"seed": config.seed + number}]) for number in range(count)]


def done_before(config: RunConfig, store: RunStore, quiet: bool = False) -> RunFolder | None:
    """A finished run of this very config on the patches that its source has now; None where there is none."""
    wanted = dump(config)
    alike = [run for run in store.summaries() if run.state == "finished" and run.config == wanted]
    now = sources_now([config], quiet) if alike else {}
    return next((run.folder for run in alike if not has_changed(run, now)), None)


def print_repeats(folders: Sequence[RunFolder], as_json: bool) -> None:
    """Each seed's AUC, then mean and spread over the seeds, of the answer and of its reference."""
    runs = [readable(folder) for folder in folders]
    spreads = {role: Spread.of(values) for role in _ROLES if (values := _aucs(runs, role))}
    if as_json:
        console.out_json({"runs": [details(folder) for folder in folders], "auc": _tree(spreads)})
        return
    header = ["SEED", "RUN", "AUC", "95 % INTERVAL", "REFERENCE"]
    for line in table(header, [_row(run) for run in runs]):
        console.out(line)
    console.out()
    for role, spread in spreads.items():
        console.out(f"{role:<{max(10, max(map(len, spreads)) + 1)}}{_words(spread)}")
    console.out_prose("The intervals are over test patches; the spread is over seeds, on the same test patches.")


def _aucs(runs: Sequence[RunSummary], role: str) -> list[float]:
    return [float(score["auc"]) for run in runs for score in run.scores if score.get("role") == role]


def _row(run: RunSummary) -> list[str]:
    answer = run.answer
    low_to_high = interval(answer.get("auc_low"), answer.get("auc_high"))
    reference = next(iter(_aucs([run], "reference")), None)
    return [str(run.config.get("seed")), run.id, number(answer.get("auc")), low_to_high, number(reference)]


def _words(spread: Spread) -> str:
    deviation = "" if spread.deviation is None else f", standard deviation {number(spread.deviation, 3)}"
    seeds = "1 seed" if spread.runs == 1 else f"{spread.runs} seeds"
    return f"AUC {number(spread.mean)} in the mean of {seeds}{deviation}"


def _tree(spreads: dict[str, Spread]) -> dict[str, Any]:
    return {
        role: {"runs": spread.runs, "mean": spread.mean, "standard_deviation": spread.deviation}
        for role, spread in spreads.items()
    }


def names_for(name: str, configs: Sequence[RunConfig]) -> Iterator[str]:
    """A name for each: a common one with its seed behind it."""
    return (f"{name} seed {config.seed}" if name else "" for config in configs)
