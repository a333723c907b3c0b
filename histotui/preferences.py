"""What a user has settled once for all, and what the application remembers from one start to the next."""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from engine.spec.errors import ConfigError, StorageError
from engine.spec.failpoints import Write
from engine.spec.json_file import read_json
from histotui.disk import storage_errors, write_whole


@dataclass(frozen=True, slots=True)
class Settings:
    """The user's config.toml."""

    images: str = "auto"
    """How pictures are drawn: auto, kitty, sixel, halfcell, unicode or off."""
    theme: str = ""
    """The theme to begin with; empty for the one that was last chosen."""
    bell: bool = True
    """Whether the terminal's bell rings when a run ends."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Other keys for bindings, by their names as the help screen lists them."""


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered: it can be deleted at any time."""

    theme: str = ""
    filter: str = ""
    sort: str = "-created"
    preview: bool = True
    smoothing: float = 0.0
    log_axis: bool = False
    x_axis: str = "step"


def config_path() -> Path:
    """Where a user's own settings lie."""
    return _folder("XDG_CONFIG_HOME", ".config") / "config.toml"


def state_path() -> Path:
    """Where what is remembered lies."""
    return _folder("XDG_STATE_HOME", ".local/state") / "state.json"


def load_settings(path: Path) -> Settings:
    """The user's settings; ConfigError names what is wrong in the file."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from None
    known = {part.name: part for part in fields(Settings)}
    for name, value in tree.items():
        if name not in known:
            raise ConfigError(f"{path}: {name}: unknown; there are {', '.join(known)}")
        if not _is_like(value, getattr(Settings(), name)):
            raise ConfigError(f"{path}: {name}: {value!r} is not allowed here")
    return Settings(**tree)


def load_state(path: Path) -> State:
    """What was remembered; whatever cannot be understood is forgotten."""
    try:
        tree = read_json(path)
    except (OSError, ValueError):
        return State()
    fresh = State()
    kept = tree if isinstance(tree, dict) else {}
    return replace(
        fresh,
        **{
            part.name: kept[part.name]
            for part in fields(State)
            if part.name in kept and type(kept[part.name]) is type(getattr(fresh, part.name))
        },
    )


def save_state(path: Path, state: State) -> None:
    """Remember; a disk that refuses is no reason to stop, so StorageError is the caller's to ignore."""
    with storage_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The application waits for it, and what is lost with a crash is no loss.
    write_whole(path, json.dumps(asdict(state), indent=1) + "\n", Write.SETTINGS, durable=False)


class Memory:
    """The state as the application goes along, written whenever it changes."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or state_path()
        self.state = load_state(self._path)

    def remember(self, **changes: Any) -> None:
        state = replace(self.state, **changes)
        if state == self.state:
            return
        self.state = state
        try:
            save_state(self._path, state)
        except StorageError:
            # The next start begins afresh, which is no loss.
            return


def _folder(variable: str, otherwise: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / otherwise) / "histotui"


def _is_like(value: object, example: object) -> bool:
    if isinstance(example, dict):
        return isinstance(value, dict) and all(isinstance(key, str) for key in value.values())
    return type(value) is type(example)
