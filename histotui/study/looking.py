"""What has become of each run of a study, by a look into the folder of runs."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from engine.spec.study import Row
from histotui import console
from histotui.formats import NOTHING
from histotui.runs import LIVE
from histotui.sources_now import Sources, sources_now
from histotui.store import RunStore
from histotui.study.keys import Library, key_of
from histotui.study.planning import Cell, Kind, Plan
from histotui.summary import RunSummary
from histotui.text import clean_line, fit

_WIDEST: Final = 160
Fate = Literal["done", "running", "to resume", "to do"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run was not made, or has no result though it was tried."""

    why: str
    fits: bool = True
    """False where the device is too small for it, which is no failure."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One run of a study and what has become of it."""

    cell: Cell
    run: RunSummary | None = None
    why: str = ""
    """Why there is no result."""
    fits: bool = True

    @property
    def fate(self) -> Fate:
        """What is to be done about it."""
        if self.run is None:
            return "to do"
        if self.run.state == "finished":
            return "done"
        return "running" if self.run.state in LIVE else "to resume"


@dataclass(frozen=True, slots=True)
class Findings:
    """All runs of a study in its order, and why those have no result that were refused."""

    plan: Plan
    found: tuple[Finding, ...]
    by_cell: Mapping[str, Finding] = field(default_factory=dict)

    def of(self, row: Row, yardstick: str) -> tuple[Finding, ...]:
        """A row's runs with one classifier, by seed."""
        return tuple(self.by_cell[cell.key] for cell in self.plan.of(row, yardstick))

    @property
    def missing(self) -> tuple[Finding, ...]:
        """Those without a result."""
        return tuple(finding for finding in self.found if finding.fate != "done")


def look(
    plan: Plan, store: RunStore, refused: Mapping[str, Refusal] | None = None, now: Sources | None = None
) -> Findings:
    """What there is of a study. `refused`: by key, why runs were not made; `now`: what its sources have."""
    library, refused = Library.of(store.summaries(), now), refused or {}
    found = tuple(_find(cell, library, refused) for cell in plan.cells)
    return Findings(plan, found, {finding.cell.key: finding for finding in found})


def look_at_present(
    plan: Plan,
    store: RunStore,
    refused: Mapping[str, Refusal] | None = None,
    before: Sources | None = None,
    quiet: bool = False,
) -> tuple[Findings, Sources]:
    """As `look`, with what the study's sources have by now; runs on what they had `before` are told of."""
    findings = look(plan, store, refused, before)
    if not any(finding.run for finding in findings.found):
        return findings, before or {}
    now = sources_now((cell.template for cell in plan.cells), quiet)
    present = look(plan, store, refused, now)
    if old := len(present.missing) - len(findings.missing):
        console.say(
            f"warning: {old} of {len(findings.found)} runs were made on other patches than {plan.source} has now; they "
            "are to be made again"
        )
    return present, now


def _find(cell: Cell, library: Library, refused: Mapping[str, Refusal]) -> Finding:
    run = library.runs.get(cell.key)
    if run is not None and run.state == "finished":
        return Finding(cell, run)
    refusal = refused.get(cell.key) or Refusal(_why(cell, run, library))
    return Finding(cell, run, refusal.why, refusal.fits)


def _why(cell: Cell, run: RunSummary | None, library: Library) -> str:
    if run is not None:
        return first_line(f"{run.state}: {run.error}" if run.error else str(run.state))
    lender = None if cell.maker is None else library.runs.get(key_of(cell.maker))
    if lender is not None and lender.state == "failed":
        return "the run that makes its patches failed"
    return "not run yet"


def first_line(text: str) -> str:
    """The first line of what an error says, fit for a table's cell."""
    return fit(clean_line(text.strip().partition("\n")[0]), _WIDEST) or NOTHING


def seconds_left(findings: Findings, foreseen: Mapping[Kind, float]) -> float | None:
    """Seconds that the missing runs will take; None where nothing is known of any run.

    Of each, what runs of its kind took in the mean, else what is foreseen of them, else the mean of all that is known.
    """
    took = {kind: statistics.fmean(seconds) for kind, seconds in _durations(findings).items()}
    known = {**foreseen, **took}
    if not known:
        return None
    usual = statistics.fmean(known.values())
    return sum(known.get(finding.cell.kind, usual) for finding in findings.missing)


def _durations(findings: Findings) -> dict[Kind, list[float]]:
    durations: dict[Kind, list[float]] = {}
    for finding in findings.found:
        if finding.fate == "done" and finding.run is not None and finding.run.seconds is not None:
            durations.setdefault(finding.cell.kind, []).append(finding.run.seconds)
    return durations
