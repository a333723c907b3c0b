"""RunSummary: what a listing says of a run, read from its folder without validating anything."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.spec.errors import HistotuiError, RunFolderError
from engine.spec.event_log import parse_event, read_first, read_last
from engine.spec.events import (
    Event,
    Progress,
    Queued,
    RunFailed,
    RunFinished,
    RunStarted,
    Scored,
    StageFinished,
    StageStarted,
)
from engine.spec.json_file import read_json
from engine.spec.run_folder import RUN_ID, RunFolder
from engine.spec.scores import answer, read_score_trees
from histotui.formats import number
from histotui.runs import LIVE, STALLED, State, expected_stages, life_of, silence_of, state_of

Tree = dict[str, Any]

CURVES = frozenset({"roc", "calibration"})
"""What a score has for plots, many times as long as the rest of it."""

_TAIL = 1 << 14


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run as `ls` and `show` have it. `created` is in seconds since the epoch, `seconds` how long it worked."""

    folder: RunFolder
    name: str
    preset: str
    state: State
    stage: str
    created: float
    seconds: float | None
    device: str
    config: Mapping[str, Any] = field(default_factory=dict)
    scores: Sequence[Tree] = ()
    """Without their curves where the summary comes from an index."""
    tags: tuple[str, ...] = ()
    error: str = ""
    """Why it failed or cannot be read."""
    exit_code: int | None = None
    """That of the run; None while it has none."""
    notes: str = ""
    """What people wrote about it."""
    progress: Progress | None = None
    """How far the present stage is; None where the run does not live or has not said."""
    fingerprint: str = ""
    """That of the patches it worked on; empty before there is a score."""

    @property
    def id(self) -> str:
        return self.folder.id

    @property
    def answer(self) -> Tree:
        """The score that the run was made for; empty before there is one."""
        return answer(self.scores) or {}

    @property
    def stand_in(self) -> str:
        """What stood in for real patches where the answer was tested, such as `tissue`; empty where they were real."""
        tested = str(self.answer.get("tested_on", "real"))
        return "" if tested == "real" else tested

    @property
    def ceiling(self) -> str:
        """`ceiling` where an autoencoder's reconstructions were trained on, no generator's samples; else empty."""
        return "ceiling" if self.answer.get("trained_on") == "reconstructed" else ""

    @property
    def result(self) -> str:
        """The answer in words, such as `test AUC on tissue 0.7503`; empty before there is one."""
        where = f" on {self.stand_in}" if self.stand_in else ""
        what = "ceiling of the test AUC" if self.ceiling else "test AUC"
        return f"{what}{where} {number(self.answer.get('auc'))}" if self.answer else ""

    @property
    def reference(self) -> Tree:
        """The score of the same classifier on real patches; empty where the run has none."""
        return self._score("reference")

    @property
    def epoch_by_real(self) -> Tree:
        """The score at the epoch that real validation patches chose; empty where none did."""
        return self._score("epoch by real")

    def _score(self, role: str) -> Tree:
        return next((score for score in self.scores if score.get("role") == role), {})

    @property
    def created_text(self) -> str:
        """When it was created, as in ISO 8601 and UTC."""
        return datetime.fromtimestamp(self.created, UTC).isoformat().replace("+00:00", "Z")

    def tree(self) -> Tree:
        """The summary as plain JSON types, without the config and the curves."""
        return {
            "id": self.id,
            "name": self.name,
            "preset": self.preset,
            "state": self.state,
            "stage": self.stage,
            "created": self.created_text,
            "seconds": self.seconds,
            "device": self.device,
            "scores": without_curves(self.scores),
            "tags": list(self.tags),
            "error": self.error,
            "exit_code": self.exit_code,
        }


def summarize(folder: RunFolder, now: float | None = None) -> RunSummary:
    """The run in this folder, as unreadable where that is so."""
    now = time.time() if now is None else now
    try:
        return _readable(folder, now)
    except RunFolderError as error:
        state = state_of(None, life_of(folder), now)
        created = created_at(folder)
        return RunSummary(
            folder, "", "", state if state in LIVE else "unreadable", "", created, None, "", error=str(error)
        )


def readable(folder: RunFolder) -> RunSummary:
    """The run's summary; RunFolderError where it cannot be read."""
    summary = summarize(folder)
    if not summary.config:
        raise RunFolderError(f"{folder.id}: {summary.error}")
    return summary


def _readable(folder: RunFolder, now: float) -> RunSummary:
    config, meta = read_tree(folder.config), read_tree(folder.meta, missing_is_empty=True)
    first, last = read_first(folder.events), read_last(folder.events)
    created = created_at(folder)
    life = life_of(folder)
    silence = silence_of(folder, last, life, created, now)
    state = state_of(last, life, silence)
    scores = tuple(read_score_trees(folder.scores))
    return RunSummary(
        folder=folder,
        name=str(meta.get("name") or ""),
        preset=str(config.get("preset", "")),
        state=state,
        stage=_stage(last, config),
        created=created,
        # What passes for silence where the clock was set is none.
        seconds=_seconds(first, last, min(silence, STALLED) if state in LIVE else 0.0),
        device=_device(folder, first, config),
        config=config,
        scores=scores,
        tags=strings(meta.get("tags")),
        error=last.message if isinstance(last, RunFailed) else "",
        exit_code=_exit_code(last, state),
        notes=str(meta.get("notes") or ""),
        progress=latest_progress(folder.events) if state in LIVE else None,
        fingerprint=fingerprint(folder) if scores else "",
    )


def without_curves(scores: Sequence[Tree]) -> list[Tree]:
    """The scores as a listing has them."""
    return [{key: value for key, value in score.items() if key not in CURVES} for score in scores]


def fingerprint(folder: RunFolder) -> str:
    """What tells a run's patches from all others; empty where it is not known."""
    return str(manifest_of(folder).get("fingerprint") or "")


def latest_progress(path: Path) -> Progress | None:
    """How far the present stage is, from the end of a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    said = (parse_event(line) for line in reversed(lines))
    last = next((event for event in said if isinstance(event, Progress | StageStarted | StageFinished)), None)
    return last if isinstance(last, Progress) else None


def fraction_done(run: RunSummary) -> float | None:
    """How much of the whole run is done, each stage counted the same; None where nothing has begun."""
    if run.state == "finished":
        return 1.0
    stages = expected_stages(run.config)
    if run.stage not in stages:
        return None
    step, total = (run.progress.step, run.progress.total) if run.progress else (0, 0)
    return (stages.index(run.stage) + (min(step / total, 1.0) if total > 0 else 0.0)) / len(stages)


def read_tree(path: Path, missing_is_empty: bool = False) -> Tree:
    """A JSON object from a run folder; RunFolderError where there is none."""
    try:
        tree = read_json(path, finite=True)
    except FileNotFoundError:
        if missing_is_empty:
            return {}
        raise RunFolderError(f"{path}: missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"{path}: damaged ({error})") from None
    if not isinstance(tree, dict):
        raise RunFolderError(f"{path}: damaged (not a JSON object)")
    return tree


def read_tree_or_nothing(path: Path) -> Tree:
    """A JSON object from a run folder; empty where it is missing or cannot be read."""
    try:
        return read_tree(path, missing_is_empty=True)
    except RunFolderError:
        return {}


def manifest_of(folder: RunFolder) -> Tree:
    """What a run's patches are; empty where it does not say."""
    return read_tree_or_nothing(folder.data / "manifest.json")


def strings(value: object) -> tuple[str, ...]:
    """The strings in a list from a file; none where it is no list."""
    return tuple(part for part in value if isinstance(part, str)) if isinstance(value, list) else ()


def created_at(folder: RunFolder) -> float:
    """When the run was made: by its id, else by its folder. Seconds since the epoch."""
    if match := RUN_ID.fullmatch(folder.id):
        try:
            # strptime takes ten times as long, which a listing of many runs would show.
            return datetime.fromisoformat(f"{match['stamp'].replace('-', 'T')}+00:00").timestamp()
        except ValueError:
            pass
    try:
        return folder.path.stat().st_mtime
    except OSError:
        return 0.0


def _device(folder: RunFolder, first: Event | None, config: Mapping[str, Any]) -> str:
    """In words, once the run has one; before, what was asked for."""
    if isinstance(first, RunStarted) and first.device:
        return first.device
    # A run that had to wait did not know it when it started.
    said = read_tree_or_nothing(folder.environment)
    return f"{said['device']} ({said.get('device_name')})" if "device" in said else str(config.get("device", ""))


def _stage(last: Event | None, config: Mapping[str, Any]) -> str:
    if isinstance(last, Scored):
        return "evaluation"
    if isinstance(last, RunFinished):
        return expected_stages(config)[-1]
    if isinstance(last, Queued):
        return last.words
    return str(getattr(last, "stage", ""))


def _seconds(first: Event | None, last: Event | None, silence: float) -> float | None:
    if isinstance(last, RunFinished):
        return last.seconds
    if first is None or last is None:
        return None
    # A run that was taken up again may have been so after the clock was set back.
    return max(0.0, last.time + silence - first.time)


def _exit_code(last: Event | None, state: State) -> int | None:
    if isinstance(last, RunFailed):
        return last.exit_code
    codes = {"finished": 0, "stopped": 75, "lost": HistotuiError.exit_code}
    return codes.get(state)
