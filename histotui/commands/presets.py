"""`presets`: what there is to start from."""

import sys
from typing import Annotated

import typer

from histotui import console
from histotui.commands.options import JsonOption


def presets(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One preset with all its settings.")] = "",
    json: JsonOption = False,
) -> None:
    """List the presets, or show what one resolves to.

    Your own are TOML files under $XDG_CONFIG_HOME/histotui/presets/: settings as for `run --config`, with an optional
    `base` and `description`.

    \b
    histotui presets
    histotui presets vae-2000
    """
    from histotui.catalogue import print_preset, print_presets

    if name:
        print_preset(name, json)
    else:
        print_presets(json, console.columns(sys.stdout))
