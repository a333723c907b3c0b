"""From the options of `run` to one validated RunConfig, and back to a command that makes it again."""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.presets import PRESETS, StudyResult, find_preset
from engine.spec.quick import quick_changes
from engine.spec.resolve import (
    Tree,
    apply,
    differences,
    dump,
    flatten,
    load,
    parse_override,
    read_toml,
    steps_between,
    validate,
)
from histotui.runs import section
from histotui.store import RunStore

TISSUE = "tissue"
KAGGLE_TEST = 55_000
"""Patches that the study tested on."""
Difference = tuple[str, Any, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asked `run` for."""

    preset: str
    data: str | None = None
    device: str | None = None
    overrides: tuple[str, ...] = ()
    config: Path | None = None
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """The config that a request comes to, and what `--quick` changed in it."""

    config: RunConfig
    quickened: tuple[Difference, ...] = ()


def settle(request: Request, store: RunStore) -> Settled:
    """The config: `--set` over `--config` over the preset over the defaults; ConfigError names what is wrong."""
    overrides = list(_overrides(request))
    changes = [read_toml(request.config)] if request.config else []
    asked = with_absolute_paths(apply(base_config(request.preset, store), [*changes, *overrides]), store)
    if not request.quick:
        return Settled(asked)
    config = with_absolute_paths(quickened(asked, overrides), store)
    return Settled(config, tuple(differences(asked, config)))


def quickened(asked: RunConfig, overrides: Iterable[Tree]) -> RunConfig:
    """The config at `--quick`'s size; overrides are laid on top, before anything is checked."""
    return apply(asked, [quick_changes(asked), *overrides])


def command_for(config: RunConfig, name: str = "", runs: Path | None = None) -> str:
    """The command that makes this config again, whatever file, preset of the user or earlier run it came from."""
    base = PRESETS.get(config.preset, PRESETS["baseline"])
    words = ["histotui", "run", "--preset", base.name]
    for path, value in steps_between(base.config, config):
        words += _option(path, value)
    words += ["--name", name] if name else []
    words += ["--runs", str(runs.resolve())] if runs else []
    return shlex.join(words)


def study_beside(config: Mapping[str, Any]) -> StudyResult | None:
    """What the study measured with this generator and these training patches; None where it has no such row."""
    preset = PRESETS.get(str(config.get("preset")))
    if preset is None or preset.study is None:
        return None
    return preset.study if _key(dump(preset.config)) == _key(with_defaults(config)) else None


def with_defaults(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config with settings that there were none of when it was saved; as it is where it is no config any more."""
    try:
        return dump(validate(dict(config)))
    except ConfigError:
        return config


def departures(config: Mapping[str, Any]) -> list[Difference]:
    """Settings in which a saved config differs from its built-in preset, those of place and seed left out."""
    preset = PRESETS.get(str(config.get("preset")))
    if preset is None:
        return []
    old, new = dict(flatten(dump(preset.config))), dict(flatten(dict(config)))
    skipped = ("data.source", "data.tissue.", "data.slides", "device", "seed", "training.")
    return [
        (path, old.get(path), new[path]) for path in new if new[path] != old.get(path) and not path.startswith(skipped)
    ]


def lent_by(config: Mapping[str, Any]) -> str:
    """The id of the earlier run that a saved config takes its synthetic patches from; empty where it takes none."""
    source = section(config, "synthesis").get("source")
    return Path(source).name if isinstance(source, str) else ""


def written(value: Any) -> str:
    """A setting's value as `--set` reads it."""
    if value is None:
        return "none"
    if isinstance(value, str) and parse_override(f"x={value}") == {"x": value}:
        return value
    return json.dumps(value, ensure_ascii=False)


def base_config(preset: str, store: RunStore) -> RunConfig:
    """The config of a preset, or of an earlier run; ConfigError where there is neither."""
    try:
        return find_preset(preset).config
    except ConfigError:
        try:
            folder = store.find(preset)
        except RunFolderError:
            folder = None
        if folder is None:
            raise
        return load(folder.config)


def _overrides(request: Request) -> Iterator[Tree]:
    if request.data is not None:
        yield {"data": {"source": request.data}}
    if request.device is not None:
        yield {"device": request.device}
    yield from map(parse_override, request.overrides)


def with_absolute_paths(config: RunConfig, store: RunStore) -> RunConfig:
    """The config with paths that mean the same from any folder; RunFolderError where an earlier run is not there."""
    changes: Tree = {}
    if config.data.source != TISSUE:
        changes["source"] = absolute_source(config.data.source, store)
    if config.data.slides is not None:
        changes["slides"] = str(_expanded(config.data.slides).resolve())
    lent = config.synthesis.source
    synthesis = {} if lent is None else {"source": str(_earlier_run(lent, store))}
    extractor = config.quality.features
    quality = {} if extractor is None else {"features": str(_expanded(extractor).resolve())}
    parts = {"data": changes, "synthesis": synthesis, "quality": quality}
    return apply(config, [parts]) if any(parts.values()) else config


def absolute_source(source: str, store: RunStore) -> str:
    path = _expanded(source)
    if not path.exists() and "/" not in source:
        try:
            return str(store.find(source).path.resolve())
        except RunFolderError:
            pass
    return str(path.resolve())


def _earlier_run(reference: str, store: RunStore) -> Path:
    """The folder of the run that a path, an id, a name or `@last` means."""
    path = _expanded(reference)
    return (path if path.exists() else store.find(reference).path).resolve()


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: no such user; write the path in full") from None


def _option(path: str, value: Any) -> list[str]:
    if path == "data.source" and isinstance(value, str):
        return ["--data", value]
    return ["--device", value] if path == "device" else ["--set", f"{path}={written(value)}"]


def _key(config: Mapping[str, Any]) -> tuple[Any, ...]:
    generator = section(config, "generator")
    trained_on = section(config, "classifier").get("train_on")
    reconstructs = bool(section(config, "synthesis").get("reconstruct"))
    shares = tuple(section(config, "data").get(name, 1.0) for name in ("train_share", "tumour_share"))
    networks = tuple(generator.get(name) for name in ("kind", "loss", "latent_dim", "channels", "prior", "conditional"))
    return (*networks, trained_on, reconstructs, shares)
