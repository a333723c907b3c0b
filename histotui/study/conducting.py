"""What `study` does, step by step."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.spec.errors import ConfigError, StorageError
from histotui import console
from histotui.follow import RunError
from histotui.formats import table
from histotui.store import RunStore, is_run, runs_root
from histotui.study.looking import Finding, Findings, look, look_at_present
from histotui.study.planning import Plan, Wish, default_name, plan
from histotui.study.running import Worker
from histotui.study.writing import Written, write_report

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a study is to be made and shown, which has no part in its results."""

    out: Path | None = None
    runs: Path | None = None
    dry_run: bool = False
    report_only: bool = False
    json: bool = False
    quiet: bool = False


def conduct(wish: Wish, manner: Manner) -> None:
    """Plan, make what is missing, and report; RunError at the end where runs have failed."""
    store = RunStore(runs_root(manner.runs))
    planned = plan(wish, store)
    folder = _report_folder(planned, store, manner)
    if manner.dry_run:
        _print_plan(look_at_present(planned, store, quiet=manner.quiet)[0], manner.json)
        return
    findings = look(planned, store) if manner.report_only else Worker(planned, store, manner.quiet).work()
    written = write_report(findings, folder, manner.quiet)
    _print_result(findings, written, manner.json)
    if not manner.report_only:
        _raise_if_some_failed(findings)


def _report_folder(planned: Plan, store: RunStore, manner: Manner) -> Path:
    folder = (manner.out or store.root / default_name(planned.source)).absolute()
    if any(is_run(str(path)) for path in (folder, *folder.parents)):
        raise ConfigError(f"--out {folder}: it is a run's folder, or in one; name another one")
    # Hours later would be late to find that nothing can be written there.
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageError(f"--out {folder}: {nearest} is no folder that can be written to; name another one")
    return folder


def _print_plan(findings: Findings, as_json: bool) -> None:
    left_out = {row.name: row.why_not for row in findings.plan.rows if row.why_not}
    if as_json:
        console.out_json({"cells": list(map(_tree, findings.found)), "left_out": left_out})
        return
    header = ["ROW", "CLASSIFIER", "SEED", "STATE", "RUN"]
    for line in table(header, [_cells(finding) for finding in findings.found]):
        console.out(line)
    for name, why in left_out.items():
        console.out(f"{name}: left out, {why}; --rows {name} asks for it")
    console.out()
    done = len(findings.found) - len(findings.missing)
    console.out(f"{len(findings.found)} runs, of which {done} are done")


def _cells(finding: Finding) -> list[str]:
    cell = finding.cell
    return [cell.row.name, cell.yardstick, str(cell.seed), finding.fate, finding.run.id if finding.run else ""]


def _tree(finding: Finding) -> Tree:
    return {
        "row": finding.cell.row.name,
        "classifier": finding.cell.yardstick,
        "seed": finding.cell.seed,
        "state": finding.fate,
        "run": finding.run.id if finding.run else None,
        "why": finding.why,
    }


def _print_result(findings: Findings, written: Written, as_json: bool) -> None:
    if as_json:
        cells = list(map(_tree, findings.found))
        console.out_json({"folder": str(written.folder), "cells": cells, "rows": written.rows})
        return
    for line in written.lines:
        console.out(line)
    console.out()
    console.out(f"report  {written.report}")


def _raise_if_some_failed(findings: Findings) -> None:
    failed = list(_failures(findings))
    if failed:
        raise RunError(f"{len(failed)} of {len(findings.found)} runs have no result:\n" + "\n".join(failed), 1)


def _failures(findings: Findings) -> Iterator[str]:
    for finding in findings.missing:
        if finding.fits:
            yield f"{finding.cell.name}: {finding.why}"
