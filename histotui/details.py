"""One run in full, for people and for scripts."""

from dataclasses import asdict
from typing import Any

from engine.spec.event_log import EventReader
from engine.spec.quality import read_quality
from engine.spec.run_folder import RunFolder
from histotui import console
from histotui.formats import duration, moment
from histotui.report import print_report
from histotui.runs import LIVE, Run, Stage
from histotui.summary import RunSummary, read_tree, readable, strings
from histotui.views import losses, position, speed


def details(folder: RunFolder) -> dict[str, Any]:
    """Everything that `ls --json` has of a run, with its config, whole scores, quality, notes and warnings."""
    summary, quality = readable(folder), read_quality(folder.quality)
    return {
        **summary.tree(),
        "config": summary.config,
        "scores": list(summary.scores),
        "quality": None if quality is None else asdict(quality),
        "notes": list(strings(read_tree(folder.scores, missing_is_empty=True).get("notes"))),
        "warnings": list(folded(folder).warnings),
        "folder": str(folder.path.resolve()),
    }


def folded(folder: RunFolder) -> Run:
    """The run as its events tell it."""
    return Run().apply_all(EventReader(folder.events).read())


def print_details(folder: RunFolder) -> None:
    """State, progress and result on stdout."""
    summary, run = readable(folder), folded(folder)
    for label, value in _heading(summary, run):
        if value:
            console.out(f"{label:<10}{value}")
    for warning in run.warnings:
        console.out(f"warning: {warning}")
    console.out()
    print_report(summary)


def _heading(summary: RunSummary, run: Run) -> list[tuple[str, str]]:
    stage = run.stages.get(run.stage, Stage(run.stage))
    place = f", {summary.stage}" if summary.stage and summary.state != "finished" else ""
    progress = ", ".join(filter(None, (position(stage), losses(stage), speed(stage))))
    return [
        ("id", summary.id),
        ("name", summary.name),
        ("state", f"{summary.state}{place}"),
        ("progress", progress if summary.state in LIVE else ""),
        ("error", summary.error),
        ("created", moment(summary.created)),
        ("took", duration(summary.seconds) if summary.seconds is not None else ""),
        ("device", summary.device),
        ("tags", ", ".join(summary.tags)),
    ]
