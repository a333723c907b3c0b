"""What `doctor` finds: versions, devices, terminal and folders."""

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.spec.errors import HistotuiError
from engine.spec.presets import user_folder
from histotui import __version__
from histotui.ask import ask

Tree = dict[str, Any]

_PACKAGES = (
    "torch", "numpy", "scipy", "scikit-learn", "pandas", "pydantic", "typer", "rich", "textual", "h5py", "pillow",
    "safetensors",
)  # fmt: skip


def diagnose(runs: Path) -> Tree:
    """Everything that a report of a problem should hold; nothing of the environment beyond the terminal's variables."""
    return {
        "versions": _versions(),
        "devices": _devices(),
        "terminal": terminal(os.environ, sys.stdout.isatty()),
        "folders": {name: _folder(path) for name, path in _folders(runs).items()},
    }


def terminal(variables: Mapping[str, str], on_terminal: bool) -> Tree:
    """What the environment says of the terminal, and which pictures that would allow."""
    return {
        "stdout is a terminal": on_terminal,
        **{name: variables.get(name, "") for name in ("TERM", "COLORTERM", "TERM_PROGRAM", "NO_COLOR", "LANG")},
        "tmux": bool(variables.get("TMUX")),
        "ssh": bool(variables.get("SSH_CONNECTION")),
        "pictures": _pictures(variables),
        "pictures because": _pictures_because(variables),
    }


def _pictures(variables: Mapping[str, str]) -> str:
    if variables.get("TERM", "dumb") == "dumb":
        return "none"
    if variables.get("TMUX") or not _kitty(variables):
        return "half blocks"
    return "kitty graphics"


def _pictures_because(variables: Mapping[str, str]) -> str:
    asked = "the environment alone was looked at, the terminal was not asked"
    if variables.get("TERM", "dumb") == "dumb":
        return f"TERM is {variables.get('TERM') or 'not set'}; {asked}"
    if variables.get("TMUX"):
        return f"tmux passes graphics on only where it is set up to; {asked}"
    if _kitty(variables):
        return f"TERM or TERM_PROGRAM names a terminal with kitty's protocol; {asked}"
    return f"no variable names a terminal with a graphics protocol; sixel may work all the same; {asked}"


def _kitty(variables: Mapping[str, str]) -> bool:
    names = f"{variables.get('TERM', '')} {variables.get('TERM_PROGRAM', '')}".lower()
    return any(name in names for name in ("kitty", "ghostty", "wezterm"))


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
