"""Bare `histotui`: the application, on a terminal."""

import os
import sys
from pathlib import Path

from engine.spec.errors import ConfigError
from histotui import console
from histotui.preferences import config_path, load_settings
from histotui.store import runs_root


def open_application(runs: Path | None, images: str | None) -> int:
    """The application until the user leaves it; ConfigError where there is no terminal to show it on."""
    if not (console.is_terminal(sys.stdout) and sys.stdin.isatty()):
        raise ConfigError("the application needs a terminal; `histotui --help` tells what works without one")
    settings = load_settings(config_path())
    # How pictures are drawn is asked of the terminal before textual reads from it.
    from histotui.graphics import choose_graphics, forced_kind

    graphics = choose_graphics(forced_kind(images, os.environ, settings.images))
    if os.environ.get("SSH_CONNECTION"):
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    from histotui.app import run_application

    return run_application(runs_root(runs), settings, graphics)
