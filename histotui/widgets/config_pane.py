"""ConfigPane: a run's settings, with those that differ from its preset first."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from histotui.look import line


class ConfigPane(VerticalScroll):
    """Every setting of a run."""

    DEFAULT_CSS = """
    ConfigPane { padding: 0 1; }
    """

    def __init__(self, config: Mapping[str, Any], id: str | None = None) -> None:
        super().__init__(id=id)
        self._config = config

    def compose(self) -> ComposeResult:
        yield Static(Text("\n").join(settings_lines(self._config)))


def settings_lines(config: Mapping[str, Any]) -> Iterator[Text]:
    """The settings as `--set` takes them, a mark before those that the preset has otherwise."""
    # The presets' models take a tenth of a second to import.
    from engine.spec.resolve import fields, flatten
    from histotui.settings import departures, written

    changed = {path: old for path, old, _ in departures(config)}
    meanings = dict(fields())
    yield line(
        f"{len(changed)} settings differ from the preset {config.get('preset')}, marked ▸"
        if changed
        else f"as the preset {config.get('preset')} has it",
        "bold",
    )
    for path, value in flatten(dict(config)):
        mark, style = ("▸ ", "bold") if path in changed else ("  ", "")
        before = f"  (preset: {written(changed[path])})" if path in changed else ""
        yield Text.assemble(
            (mark, "yellow"),
            line(f"{path} = {written(value)}", style),
            line(before, "yellow"),
            line(f"  {meanings.get(path, '')}", "dim"),
        )
