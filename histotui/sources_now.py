"""Whether runs worked on the patches that their source has now: a folder may have had others under the same path."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.spec.config import RunConfig
from engine.spec.errors import HistotuiError
from engine.spec.resolve import dump
from histotui import console
from histotui.ask import ask, hide_progress
from histotui.runs import section
from histotui.summary import RunSummary, manifest_of

_DECIDES: Final = ("source", "slides", "crop", "tissue")
"""Data settings that say which patches there are; the others divide them."""

Patches = tuple[str, str]
"""What tells patches from others, and what tells the slides that they are said to be of; empty where not known."""
Sources = Mapping[str, Patches]
"""The patches that a source has now, by the settings that name it."""


def sources_now(configs: Iterable[RunConfig], quiet: bool = False) -> Sources:
    """What the sources of these configs have now. Packs them; one that cannot be read is told of and left out."""
    trees = {_name(tree): tree for config in configs for tree in [section(dump(config), "data")]}
    found = {}
    for name, tree in trees.items():
        try:
            answer = ask("pack", {"data": tree}, hide_progress if quiet else None)
            found[name] = _patches(answer, "")
        except HistotuiError as error:
            console.say(f"warning: whether earlier runs worked on these patches cannot be checked: {error}")
    return found


def has_changed(run: RunSummary, now: Sources) -> bool:
    """Whether the run's source is known to have other patches or slides now than when the run began."""
    present = now.get(_name(section(run.config, "data")))
    if present is None:
        return False
    past = _patches(manifest_of(run.folder), "source_")
    return any(old and new and old != new for old, new in zip(past, present, strict=True))


def _patches(tree: Mapping[str, Any], prefix: str) -> Patches:
    patches, slides = (str(tree.get(f"{prefix}{name}") or "") for name in ("fingerprint", "grouping"))
    return patches, slides


def _name(data: Mapping[str, Any]) -> str:
    return json.dumps({name: data.get(name) for name in _DECIDES}, sort_keys=True)
