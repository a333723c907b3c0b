"""What a new run can start from: built-in presets, the user's own, and the newest earlier runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, HistotuiError, RunFolderError
from engine.spec.presets import PRESETS, Preset
from engine.spec.resolve import apply, dump, load
from engine.spec.run_folder import RunFolder
from histotui.store import RunStore
from histotui.summary import summarize
from histotui.user_presets import own_presets

Group = Literal["Built in", "Yours", "Earlier runs"]
NEWEST: Final = 50


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """A config to begin with. `config` is None where it cannot be read; the description then says why."""

    key: str
    title: str
    group: Group
    description: str
    config: RunConfig | None
    run: str = ""
    """The id of the run that it is, if it is one."""


@dataclass(frozen=True, slots=True)
class Found:
    """All that there is to start from, and why some of it could not be read."""

    points: tuple[StartingPoint, ...]
    error: str = ""


def gather(store: RunStore) -> Found:
    """Read the user's presets and the runs; never raises."""
    points, error = list(built_in()), ""
    try:
        points += [*yours(), *earlier_runs(store)]
    except HistotuiError as problem:
        error = str(problem)
    return Found(tuple(points), error)


def built_in() -> tuple[StartingPoint, ...]:
    """The built-in presets."""
    return tuple(_of_preset(preset, "Built in") for preset in PRESETS.values())


def yours(folder: Path | None = None) -> Iterator[StartingPoint]:
    """The user's own presets."""
    for preset in own_presets(folder):
        if isinstance(preset, Preset):
            yield _of_preset(preset, "Yours")
        else:
            yield StartingPoint(f"own:{preset.name}", preset.name, "Yours", preset.error, None)


def earlier_runs(store: RunStore, newest: int = NEWEST) -> Iterator[StartingPoint]:
    """The newest runs, newest first."""
    return map(of_run, reversed(store.folders()[-newest:]))


def of_run(folder: RunFolder) -> StartingPoint:
    """A run as something to start another one from."""
    try:
        config, error = load(folder.config), ""
    except (ConfigError, OSError) as problem:
        config, error = None, str(problem)
    summary = summarize(folder)
    result = f", {summary.result}" if summary.result else ""
    description = error or f"{summary.preset}, {summary.state}{result}. {folder.id}"
    return StartingPoint(f"run:{folder.id}", summary.name or folder.id, "Earlier runs", description, config, folder.id)


def find_point(reference: str, store: RunStore) -> StartingPoint:
    """The preset or run of this name or id; ConfigError or RunFolderError where there is neither."""
    points = (*built_in(), *yours())
    found = next((point for point in points if point.title == reference), None)
    if found is None:
        found = of_run(store.find(reference))
    if found.config is None:
        raise RunFolderError(found.description) if found.run else ConfigError(found.description)
    return found


def on_patches_of(run: str, config: RunConfig) -> RunConfig:
    """A classifier alone, trained on what this run has made and tested on the real patches that it was tested on."""
    synthesis = {"source": run, "ratio": config.synthesis.ratio, "classes": config.synthesis.classes}
    changes = {"data": dump(config)["data"], "synthesis": synthesis, "classifier": {"train_on": "synthetic"}}
    return apply(PRESETS["baseline"].config, [changes])


def _of_preset(preset: Preset, group: Group) -> StartingPoint:
    return StartingPoint(f"{group}:{preset.name}", preset.name, group, preset.description, preset.config)
