"""Makes the runs of a study that are missing, one after another, and goes on where one fails."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.spec.errors import INTERRUPTED, ConfigError, RunFolderError
from engine.spec.resolve import dump
from engine.spec.run_folder import RunFolder
from histotui import console
from histotui.ask import ask, hide_progress
from histotui.follow import RunError
from histotui.formats import duration
from histotui.settings import command_for
from histotui.sources_now import Sources
from histotui.starting import shortages
from histotui.stopping import check_resumable
from histotui.store import RunStore
from histotui.study.keys import key_of
from histotui.study.looking import Finding, Findings, Refusal, first_line, look, look_at_present, seconds_left
from histotui.study.planning import Cell, Kind, Plan
from histotui.summary import RunSummary
from histotui.watching import Watch, follow_along, follow_through


@dataclass(slots=True)
class Worker:
    """Works through a plan. Ctrl-C stops the run at work with a checkpoint, and with it the study."""

    plan: Plan
    store: RunStore
    quiet: bool = False
    _refused: dict[str, Refusal] = field(default_factory=dict)
    _foreseen: dict[Kind, float] = field(default_factory=dict)
    _too_large: dict[Kind, str] = field(default_factory=dict)
    _now: Sources = field(default_factory=dict)

    def work(self) -> Findings:
        """Every run made, or the reason why not."""
        findings = self._present()
        for place, cell in enumerate(self.plan.cells, 1):
            if findings.by_cell[cell.key].fate == "done":
                continue
            # While this one was at the run before, another study may have done it, or somebody changed the patches.
            findings = self._present()
            finding = findings.by_cell[cell.key]
            if finding.fate == "done":
                continue
            self._say(f"{place} of {len(self.plan.cells)}: {cell.name}{self._left(findings)}")
            try:
                self._make(finding, findings)
            except RunError as error:
                # Whoever kills a run by Ctrl-C wants no other to begin.
                if error.exit_code == INTERRUPTED:
                    raise
                self._refuse(cell, Refusal(f"failed: {error}"))
            # What is wrong with one run is no reason to leave out the others.
            except (RunFolderError, ConfigError) as error:
                self._refuse(cell, Refusal(str(error)))
        return self._look()

    def _present(self) -> Findings:
        findings, self._now = look_at_present(self.plan, self.store, self._refused, self._now, self.quiet)
        return findings

    def _look(self) -> Findings:
        return look(self.plan, self.store, self._refused, self._now)

    def _left(self, findings: Findings) -> str:
        seconds = seconds_left(findings, self._foreseen)
        return "" if seconds is None else f", about {duration(seconds)} left for all"

    def _make(self, finding: Finding, findings: Findings) -> None:
        if finding.run is not None and finding.fate == "running":
            self._say(f"{finding.run.id} is at it already")
            follow_along(finding.run.folder, Watch(quiet=self.quiet))
        elif finding.run is not None:
            self._resume(finding.run)
        else:
            self._start(finding.cell, findings)

    def _resume(self, run: RunSummary) -> None:
        check_resumable(run.folder)
        self._say(f"going on with {run.id}")
        follow_through(lambda: run.folder, Watch(quiet=self.quiet))

    def _start(self, cell: Cell, findings: Findings) -> None:
        lender = self._lender(cell, findings)
        if cell.maker is not None and lender is None:
            made = self._refused.get(key_of(cell.maker), Refusal(""))
            self._refuse(cell, Refusal("the run that makes its patches has no result", made.fits))
            return
        config = cell.config(lender)
        if cell.maker is None and (why := self._shortage(cell)):
            self._refuse(cell, Refusal(f"does not fit: {why}", fits=False))
            return
        command = command_for(config, cell.name, self.store.root)

        def create() -> RunFolder:
            return self.store.create(config.preset, dump(config), command, cell.name)

        follow_through(create, Watch(quiet=self.quiet))

    def _lender(self, cell: Cell, findings: Findings) -> Path | None:
        """The folder of the run whose patches it takes, once that has finished."""
        made = None if cell.maker is None else findings.by_cell.get(key_of(cell.maker))
        return made.run.folder.path.resolve() if made is not None and made.run and made.fate == "done" else None

    def _shortage(self, cell: Cell) -> str:
        """What there is too little of for it, asked once for all seeds; empty where it fits."""
        if cell.kind not in self._too_large:
            question = {"config": dump(cell.template), "runs": str(self.store.root.absolute())}
            preflight = ask("preflight", question, hide_progress if self.quiet else None)
            if isinstance(seconds := preflight.get("seconds"), float):
                self._foreseen[cell.kind] = seconds
            said = [*shortages(preflight), str(preflight.get("advice") or "")]
            fits = preflight.get("fits", True)
            self._too_large[cell.kind] = "" if fits else "; ".join(filter(None, said)) or "the device is too small"
        return self._too_large[cell.kind]

    def _refuse(self, cell: Cell, refusal: Refusal) -> None:
        self._refused[cell.key] = replace(refusal, why=first_line(refusal.why))
        self._say(f"{cell.name}: {self._refused[cell.key].why}")

    def _say(self, text: str) -> None:
        if not self.quiet:
            console.say(text)
