"""Audit: whether run folders are whole, what is wrong with those that are not, and the repair of what can be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.audit.checks import CHECKS
from engine.audit.finding import Finding
from engine.audit.packs import packed_patches
from engine.progress import Report
from engine.spec.errors import RunFolderError
from engine.spec.process import RunLock, is_locked
from engine.spec.run_folder import RunFolder
from engine.storage import storage_errors

Tree = dict[str, Any]


def answer_audit(args: Mapping[str, Any], report: Report) -> Tree:
    """What is wrong with the run folders at `runs`, and what `repair` has mended; a run at work is left alone."""
    paths, repair = [Path(path) for path in args["runs"]], bool(args.get("repair", False))
    runs = []
    for done, path in enumerate(paths):
        report("looking through runs", done, len(paths))
        runs.append(audit(RunFolder(path), repair))
    report("looking through runs", len(paths), len(paths))
    packs = _told(found := list(packed_patches()), _mend_all(found) if repair else set())
    everything = [found for each in runs for found in each["findings"]] + packs
    return {"runs": runs, "packs": packs, "problems": sum(not found["repaired"] for found in everything)}


def audit(run: RunFolder, repair: bool = False) -> Tree:
    """One run's findings. What is whole is never touched; what is mended, only while no engine is at work on it."""
    if is_locked(run.lock):
        return {"run": run.id, "at_work": True, "findings": []}
    found = [finding for check in CHECKS for finding in check(run)]
    mended = _mended(run, found) if repair and any(finding.mend for finding in found) else set()
    return {"run": run.id, "at_work": False, "findings": _told(found, mended)}


def _told(found: list[Finding], mended: set[int]) -> list[Tree]:
    return [
        {
            "path": finding.path,
            "problem": finding.problem,
            "remedy": finding.remedy,
            "can_repair": finding.mend is not None,
            "repaired": number in mended,
        }
        for number, finding in enumerate(found)
    ]


def _mended(run: RunFolder, found: list[Finding]) -> set[int]:
    """The places of findings that were mended."""
    try:
        with storage_errors(run.path), RunLock(run.lock):
            return _mend_all(found)
    # An engine has begun in the meantime, and takes care of its folder itself.
    except RunFolderError:
        return set()


def _mend_all(found: list[Finding]) -> set[int]:
    mendable = {number: finding.mend for number, finding in enumerate(found) if finding.mend is not None}
    for mend in mendable.values():
        mend()
    return set(mendable)
