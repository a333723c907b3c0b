"""A trial: one toy run that is broken off again and again, looked at after each fault, and compared at its end."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engine.checkpoints import CheckpointFolder
from engine.soak import faults
from engine.soak.ending import Ending, differences, ending, rows_of
from engine.soak.engines import Engines
from engine.soak.faults import DAMAGES, FAULTS, Ended, killed_at
from engine.spec.errors import HistotuiError
from engine.spec.event_log import EventReader
from engine.spec.events import CheckpointSaved
from engine.spec.process import is_locked
from engine.spec.run_folder import RunFolder

Breaking = Callable[[Engines, RunFolder, "Findings"], None]
Fault = Callable[[Engines, RunFolder], Ended]
MOST_FAULTS = 4
"""Of one run."""
GRACE = 5.0
"""Seconds after an engine's end in which its children may end as well."""


@dataclass(slots=True)
class Findings:
    """What trials have found so far."""

    runs: int = 0
    exact: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    """How often each was injected and met."""
    resumed: int = 0
    records_lost: int = 0
    orphans: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.problems and self.exact == self.runs > 0

    def met(self, fault: str, times: int = 1) -> None:
        """Count a fault."""
        self.faults[fault] = self.faults.get(fault, 0) + times

    def add(self, other: "Findings") -> None:
        """Count another's in."""
        self.runs += other.runs
        self.exact += other.exact
        for name, times in other.faults.items():
            self.met(name, times)
        self.resumed += other.resumed
        self.records_lost += other.records_lost
        self.orphans += other.orphans
        self.problems += other.problems


def try_out(engines: Engines, run: RunFolder, whole: Ending, breaking: Breaking) -> Findings:
    """Break a run off, let it end, and compare it with how it ends undisturbed."""
    found = Findings(runs=1)
    try:
        breaking(engines, run, found)
        _finish(engines, run, whole, found)
    except TimeoutError as error:
        found.problems.append(f"{run.path}: {error}")
    return found


def break_off(engines: Engines, run: RunFolder, found: Findings, rng: random.Random) -> None:
    """Up to MOST_FAULTS times by faults at random, with damage to what they leave."""
    for _ in range(rng.randrange(1, MOST_FAULTS + 1)):
        name = rng.choice(list(FAULTS))
        if not _suffer(engines, run, found, name, _decided(FAULTS[name], rng)):
            return
        damage = rng.choice([*DAMAGES, "none"])
        if damage in DAMAGES and DAMAGES[damage](run, rng):
            found.met(damage)


def _decided(fault: faults.Fault, rng: random.Random) -> Fault:
    """The fault, with what its decisions follow from."""
    return lambda engines, run: fault(engines, run, rng)


def kill_at(failpoint: str, engines: Engines, run: RunFolder, found: Findings) -> None:
    """Once, at this failpoint; where it is reached often, a few steps on."""
    _suffer(engines, run, found, "killed at a failpoint", partial(killed_at, failpoint))


def _suffer(engines: Engines, run: RunFolder, found: Findings, name: str, fault: Fault) -> bool:
    """Let a fault happen and look at what it leaves; whether it ended the run."""
    before, refused = rows_of(run), _refusals(run)
    ended = fault(engines, run)
    found.resumed += bool(before)
    # One that its run has not come to, or that came after its end, was no fault.
    if ended.exit_code or _refusals(run) > refused:
        found.met(name)
    _look(run, before, ended.pid, found)
    return ended.exit_code != 0


def _finish(engines: Engines, run: RunFolder, whole: Ending, found: Findings) -> None:
    before = rows_of(run)
    code = engines.finish(run)
    found.resumed += 1
    if code:
        found.problems.append(f"{run.path}: ended with {code} where nothing was in its way; see its log.txt")
        return
    _lost(run, before, found)
    differing = differences(ending(run), whole)
    if differing:
        found.problems.append(f"{run.path}: ended differently in {', '.join(differing)}")
    found.exact += not differing


def _look(run: RunFolder, before: dict[str, list[tuple[object, ...]]], pid: int, found: Findings) -> None:
    """Once an engine has ended: is its lock free, are its rows there, does a checkpoint load, is nothing left of it."""
    if is_locked(run.lock):
        found.problems.append(f"{run.path}: locked though its engine has ended")
    if left := _left_of(pid):
        found.orphans += len(left)
        found.problems.append(f"{run.path}: left {', '.join(left)}")
    _lost(run, before, found)
    for stage in sorted(_saved(run)):
        try:
            folder = CheckpointFolder(run.checkpoints / stage)
            state = folder.load_final() if folder.is_final else folder.load_latest()[0]
        except HistotuiError as error:
            found.problems.append(f"{run.path}: {error}")
        else:
            if state is None:
                found.problems.append(f"{run.path}: stage {stage} has said that it saved a checkpoint, and none loads")


def _lost(run: RunFolder, before: dict[str, list[tuple[object, ...]]], found: Findings) -> None:
    now = rows_of(run)
    lost = sum(len(rows) - len(common(rows, now.get(stage, []))) for stage, rows in before.items())
    if lost:
        found.records_lost += lost
        found.problems.append(f"{run.path}: {lost} rows of its log are gone")


def common(one: list[tuple[object, ...]], other: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """The rows with which both begin."""
    count = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return one[: min(count, len(other))]


def _saved(run: RunFolder) -> set[str]:
    return {event.stage for event in EventReader(run.events).read() if isinstance(event, CheckpointSaved)}


def _refusals(run: RunFolder) -> int:
    """Checkpoints that a disk has refused without ending the run, so far."""
    if not run.log.exists():
        return 0
    return run.log.read_text(encoding="utf-8", errors="replace").count("checkpoint not saved, training goes on")


def _left_of(session: int) -> list[str]:
    """The processes of a session that do not end by themselves: git, asked for the commit, outlives a killed engine."""
    until = time.monotonic() + GRACE
    while (left := processes_of(session)) and time.monotonic() < until:
        time.sleep(0.02)
    return [f"process {pid} ({_command(pid)})" for pid in left]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return "ended"


def processes_of(session: int) -> list[int]:
    """The processes of a session, by their numbers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found
