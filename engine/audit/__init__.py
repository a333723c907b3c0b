"""Audit: whether run folders are whole, what is wrong with those that are not, and the repair of what can be."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from engine.audit.checks import CHECKS
from engine.audit.finding import Finding
from engine.audit.packs import packed_patches
from engine.progress import Report
from engine.spec.errors import HistotuiError, RunFolderError
from engine.spec.process import RunLock, is_locked
from engine.spec.run_folder import RunFolder

Tree = dict[str, Any]
_ODD = (HistotuiError, OSError, ValueError, KeyError, TypeError, EOFError, zlib.error)
"""What a look at a file that nobody foresaw may raise: the other runs are looked at all the same."""


def answer_audit(args: Mapping[str, Any], report: Report) -> Tree:
    """What is wrong with the run folders at `runs`, and what `repair` has mended; a run at work is left alone.

    With `packs`, packed patches in the cache are looked at too.
    """
    paths, repair = [Path(path) for path in args["runs"]], bool(args.get("repair", False))
    runs = []
    for done, path in enumerate(paths):
        report("looking through runs", done, len(paths))
        runs.append(audit(RunFolder(path), repair))
    report("looking through runs", len(paths), len(paths))
    packs = list(_told(_looked("packed patches", packed_patches), repair)) if args.get("packs", True) else []
    everything = [found for each in runs for found in each["findings"]] + packs
    return {"runs": runs, "packs": packs, "problems": sum(not found["repaired"] for found in everything)}


def audit(run: RunFolder, repair: bool = False) -> Tree:
    """One run's findings. What is whole is never touched; what is mended, only while no engine is at work on it."""
    if is_locked(run.lock):
        return _at_work(run)
    if not repair:
        return {"run": run.id, "at_work": False, "findings": list(_told(_findings(run), False))}
    try:
        # Held while it is looked at too: an engine in between would make the findings those of another state.
        with RunLock(run.lock):
            return {"run": run.id, "at_work": False, "findings": list(_told(_findings(run), True))}
    except RunFolderError:
        return _at_work(run)
    except OSError as error:
        odd = Finding(run.lock.name, f"cannot be taken ({error})", "look whether the folder can be written")
        return {"run": run.id, "at_work": False, "findings": list(_told([*_findings(run), odd], False))}


def _at_work(run: RunFolder) -> Tree:
    return {"run": run.id, "at_work": True, "findings": []}


def _findings(run: RunFolder) -> list[Finding]:
    return [found for check in CHECKS for found in _looked(check.__name__, partial(check, run))]


def _looked(name: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a check finds, or that it could not be made."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except _ODD as error:
        found.append(Finding(name, f"could not be looked at ({error})", "look at it by hand"))
    return found


def _told(found: list[Finding], repair: bool) -> Iterator[Tree]:
    for finding in found:
        yield {
            "path": finding.path,
            "problem": finding.problem,
            "remedy": finding.remedy,
            "can_repair": finding.mend is not None,
            "repaired": repair and _mended(finding),
        }


def _mended(finding: Finding) -> bool:
    if finding.mend is None:
        return False
    try:
        finding.mend()
    except OSError:
        return False
    return True
