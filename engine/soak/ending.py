"""What a run ended with: everything that must be the same however often it was broken off, wall-clock time left out."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from engine.arrays import read_arrays
from engine.spec.event_log import EventReader
from engine.spec.events import Event, ImageSaved, Metrics
from engine.spec.json_file import read_json
from engine.spec.run_folder import RunFolder

Ending = Mapping[str, str]
"""A digest of each part, by its name."""

_TIMED: Final = frozenset({"seconds", "training_seconds", "train_seconds", "run", "created"})
"""Fields of results that say when, how long and where."""


def ending(run: RunFolder) -> Ending:
    """Weights, optimizers' last words, synthetic patches, pictures, predictions, results and rows of metrics."""
    found = {f"rows of {stage}": _digest(rows) for stage, rows in rows_of(run).items()}
    for path in sorted(_lasting(run)):
        found[str(path.relative_to(run.path))] = _digest(_content(path))
    return found


def differences(one: Ending, other: Ending) -> list[str]:
    """The parts in which two runs differ, or that only one has."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def rows_of(run: RunFolder) -> dict[str, list[tuple[Any, ...]]]:
    """What a run's log says that is to be there once, by stage, in its order."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for event in EventReader(run.events).read():
        if (row := _row(event)) is not None:
            rows.setdefault(str(row[0]), []).append(row[1:])
    return rows


def _row(event: Event) -> tuple[Any, ...] | None:
    match event:
        case Metrics():
            return event.stage, event.step, event.epoch, sorted(event.values.items())
        case ImageSaved():
            return event.stage, event.step, event.path, event.caption
        case _:
            return None


def _lasting(run: RunFolder) -> list[Path]:
    patterns = ("checkpoints/*/final/state.*", "samples/**/*.png", "synthetic/*", "data/*")
    files = [path for pattern in patterns for path in run.path.glob(pattern)]
    return files + [path for path in (run.scores, run.quality, run.predictions) if path.exists()]


def _content(path: Path) -> object:
    if path.suffix == ".json":
        return _timeless(read_json(path))
    if path.suffix == ".npz":
        # The archive has the time of day in it.
        return [(name, array.dtype.str, array.tolist()) for name, array in sorted(read_arrays(path).items())]
    return path.read_bytes()


def _timeless(tree: object) -> object:
    if isinstance(tree, dict):
        return {name: _timeless(value) for name, value in sorted(tree.items()) if name not in _TIMED}
    return [_timeless(value) for value in tree] if isinstance(tree, list) else tree


def _digest(content: object) -> str:
    data = content if isinstance(content, bytes) else repr(content).encode()
    return hashlib.sha256(data).hexdigest()
