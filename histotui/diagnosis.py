"""What `doctor` finds: versions, devices, terminal and folders."""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.spec.errors import ConfigError, HistotuiError
from engine.spec.presets import user_folder
from histotui import __version__
from histotui.ask import ask
from histotui.graphics import Graphics, Kind, choose_graphics, forced_kind
from histotui.preferences import config_path, load_settings

Tree = dict[str, Any]

_PACKAGES = (
    "torch", "numpy", "scipy", "scikit-learn", "pandas", "pydantic", "typer", "rich", "textual", "h5py", "pillow",
    "safetensors", "textual-image",
)  # fmt: skip
_PICTURES: Mapping[Kind, str] = {
    "kitty": "kitty graphics",
    "sixel": "sixels",
    "halfcell": "half cells",
    "unicode": "grey letters",
    "off": "none",
}
_TMUX_LINES = {
    "for kitty and Ghostty": "set -g allow-passthrough on",
    "for any terminal with 16 million colours": "set -as terminal-features ',*:RGB'",
    "for a terminal with sixels, tmux 3.4 or newer": "set -as terminal-features ',*:sixel'",
}


def diagnose(runs: Path) -> Tree:
    """Everything that a report of a problem should hold; nothing of the environment beyond the terminal's variables."""
    return {
        "versions": _versions(),
        "devices": _devices(),
        "terminal": terminal(os.environ, sys.stdout.isatty(), _graphics),
        "folders": {name: _folder(path) for name, path in _folders(runs).items()},
    }


def terminal(variables: Mapping[str, str], on_terminal: bool, choose: Callable[[], Graphics]) -> Tree:
    """What the environment says of the terminal, how pictures are drawn in it, and what tmux lacks for better ones."""
    return {
        "stdout is a terminal": on_terminal,
        **{name: variables.get(name, "") for name in ("TERM", "COLORTERM", "TERM_PROGRAM", "NO_COLOR", "LANG")},
        "tmux": bool(variables.get("TMUX")),
        "ssh": bool(variables.get("SSH_CONNECTION")),
        **_pictures(choose, bool(variables.get("TMUX"))),
    }


def _graphics() -> Graphics:
    return choose_graphics(forced_kind(None, os.environ, load_settings(config_path()).images))


def _pictures(choose: Callable[[], Graphics], in_tmux: bool) -> Tree:
    try:
        graphics = choose()
    except ConfigError as error:
        return {"pictures": "none", "pictures because": str(error)}
    found: Tree = {"pictures": _PICTURES[graphics.kind], "pictures because": graphics.reason}
    if graphics.kind in ("kitty", "sixel"):
        found["cell in pixels"] = "{} × {}".format(*graphics.cell)
    elif in_tmux and graphics.kind == "halfcell":
        found["lines for tmux.conf, as far as they are missing"] = _TMUX_LINES
    return found


def _versions() -> Tree:
    found: Tree = {"histotui": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _devices() -> Tree:
    try:
        return ask("devices", {})
    except HistotuiError as error:
        return {"error": str(error)}


def _folders(runs: Path) -> dict[str, Path]:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return {"runs": runs, "cache": Path(cache) / "histotui", "presets": user_folder()}


def _folder(path: Path) -> Tree:
    there = path.is_dir()
    nearest = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    return {
        "path": str(path.absolute()),
        "exists": there,
        "writable": os.access(nearest, os.W_OK | os.X_OK) and nearest.is_dir(),
    }
