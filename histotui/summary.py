"""RunSummary: what a listing says of a run, read from its folder without validating anything."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.spec.errors import HistotuiError, RunFolderError
from engine.spec.events import Event, RunFailed, RunFinished, RunStarted, Scored, read_first, read_last
from engine.spec.run_folder import RUN_ID, RunFolder
from engine.spec.scores import answer, read_score_trees
from histotui.runs import LIVE, State, expected_stages, life_of, state_of

Tree = dict[str, Any]


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
    config: Tree = field(default_factory=dict)
    scores: tuple[Tree, ...] = ()
    tags: tuple[str, ...] = ()
    error: str = ""
    """Why it failed or cannot be read."""
    exit_code: int | None = None
    """That of the run; None while it has none."""

    @property
    def id(self) -> str:
        return self.folder.id

    @property
    def answer(self) -> Tree:
        """The score that the run was made for; empty before there is one."""
        return answer(self.scores) or {}

    def tree(self) -> Tree:
        """The summary as plain JSON types, without the config and the curves."""
        return {
            "id": self.id,
            "name": self.name,
            "preset": self.preset,
            "state": self.state,
            "stage": self.stage,
            "created": datetime.fromtimestamp(self.created, UTC).isoformat().replace("+00:00", "Z"),
            "seconds": self.seconds,
            "device": self.device,
            "scores": [{key: value for key, value in score.items() if key != "roc"} for score in self.scores],
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
        state = state_of(None, life_of(folder), 0, now)
        created = created_at(folder)
        return RunSummary(
            folder, "", "", state if state in LIVE else "unreadable", "", created, None, "", error=str(error)
        )


def _readable(folder: RunFolder, now: float) -> RunSummary:
    config, meta = read_tree(folder.config), read_tree(folder.meta, missing_is_empty=True)
    first, last = read_first(folder.events), read_last(folder.events)
    created = created_at(folder)
    state = state_of(last, life_of(folder), created, now)
    return RunSummary(
        folder=folder,
        name=str(meta.get("name") or ""),
        preset=str(config.get("preset", "")),
        state=state,
        stage=_stage(last, config),
        created=created,
        seconds=_seconds(first, last, state, now),
        device=first.device if isinstance(first, RunStarted) and first.device else str(config.get("device", "")),
        config=config,
        scores=tuple(read_score_trees(folder.scores)),
        tags=strings(meta.get("tags")),
        error=last.message if isinstance(last, RunFailed) else "",
        exit_code=_exit_code(last, state),
    )


def read_tree(path: Path, missing_is_empty: bool = False) -> Tree:
    """A JSON object from a run folder; RunFolderError where there is none."""
    try:
        tree = json.loads(path.read_bytes(), parse_constant=_refuse)
    except FileNotFoundError:
        if missing_is_empty:
            return {}
        raise RunFolderError(f"{path}: missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"{path}: damaged ({error})") from None
    if not isinstance(tree, dict):
        raise RunFolderError(f"{path}: damaged (not a JSON object)")
    return tree


def strings(value: object) -> tuple[str, ...]:
    """The strings in a list from a file; none where it is no list."""
    return tuple(part for part in value if isinstance(part, str)) if isinstance(value, list) else ()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


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


def _stage(last: Event | None, config: Mapping[str, Any]) -> str:
    if isinstance(last, Scored | RunFinished):
        return expected_stages(config)[-1]
    return str(getattr(last, "stage", ""))


def _seconds(first: Event | None, last: Event | None, state: State, now: float) -> float | None:
    if isinstance(last, RunFinished):
        return last.seconds
    if first is None or last is None:
        return None
    return (now if state in LIVE else last.time) - first.time


def _exit_code(last: Event | None, state: State) -> int | None:
    if isinstance(last, RunFailed):
        return last.exit_code
    codes = {"finished": 0, "stopped": 75, "lost": HistotuiError.exit_code}
    return codes.get(state)
