"""A user's own presets: each of those that there are, whole or broken, and a new one saved."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.failpoints import Write
from engine.spec.presets import PRESETS, Preset, load_preset, user_folder
from engine.spec.resolve import Tree, apply, steps_between
from histotui.disk import storage_errors, write_whole

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class BrokenPreset:
    """A preset that cannot be used, and why."""

    name: str
    error: str


def own_presets(folder: Path | None = None) -> Iterator[Preset | BrokenPreset]:
    """The user's presets by name; one that is broken does not hide the others."""
    for path in sorted((folder or user_folder()).glob("*.toml")):
        try:
            check_preset_name(path.stem)
            yield load_preset(path)
        except ConfigError as error:
            yield BrokenPreset(path.stem, str(error))


def check_preset_name(name: str) -> str:
    """The name, if a user's preset can have it; ConfigError otherwise."""
    if name in PRESETS:
        raise ConfigError(f"{name} is a built-in preset; choose another name")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"preset {name!r}: use 1 to 64 letters, digits and . _ - with a letter or digit first")
    return name


def preset_path(name: str, folder: Path | None = None) -> Path:
    """Where the preset of this name lies, or would."""
    return (folder or user_folder()) / f"{check_preset_name(name)}.toml"


def save_preset(name: str, config: RunConfig, folder: Path | None = None) -> Path:
    """Save a config as a preset of the user's, which replaces one of this name; ConfigError where it cannot be one."""
    path = preset_path(name, folder)
    text = _as_toml(name, config)
    with storage_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, text, Write.SETTINGS)
    return path


def _as_toml(name: str, config: RunConfig) -> str:
    """What differs from a built-in preset, as TOML that reads back as the same config."""
    wanted = config.model_copy(update={"preset": name})
    for base in (PRESETS.get(config.preset, PRESETS["baseline"]), PRESETS["baseline"]):
        tree = _changes(base.config, config)
        if _laid_over(base.config, [tree, {"preset": name}]) == wanted:
            return "\n".join([f"base = {_scalar(base.name)}", *_lines(tree)]) + "\n"
    raise ConfigError(f"preset {name!r}: a setting that is none cannot be written to a file")


def _laid_over(base: RunConfig, changes: Iterable[Tree]) -> RunConfig | None:
    """The config with changes laid over it; None where both do not go together."""
    try:
        return apply(base, changes)
    except ConfigError:
        return None


def _changes(before: RunConfig, after: RunConfig) -> Tree:
    """The settings that differ, as a tree; those that are none are left out, as TOML has no word for it."""
    tree: Tree = {}
    for path, value in steps_between(before, after):
        if path != "preset" and value is not None:
            *parents, leaf = path.split(".")
            part = tree
            for parent in parents:
                part = part.setdefault(parent, {})
            part[leaf] = value
    return tree


def _lines(tree: Tree, prefix: str = "") -> Iterator[str]:
    """Plain values, then each table under its heading."""
    for name, value in tree.items():
        if not isinstance(value, dict):
            yield f"{name} = {_scalar(value)}"
    for name, value in tree.items():
        if isinstance(value, dict):
            yield f"\n[{prefix}{name}]"
            yield from _lines(value, f"{prefix}{name}.")


def _scalar(value: Any) -> str:
    # JSON's strings, numbers and booleans are TOML's too, but for one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
