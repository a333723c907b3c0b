"""ConfigPane: a run's settings, with those that differ from its preset first."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from histotui.look import line
from histotui.text import clean_line


class ConfigPane(VerticalScroll):
    """Every setting of a run."""

    DEFAULT_CSS = """
    ConfigPane { padding: 0 1; }
    """

    def __init__(self, config: Mapping[str, Any], id: str | None = None) -> None:
        super().__init__(id=id)
        self._config = config

    def compose(self) -> ComposeResult:
        yield Static(settings_table(self._config))

    def show(self, config: Mapping[str, Any]) -> None:
        """Show these settings, where they are others: a run that was launched just now is not listed yet."""
        if config != self._config:
            self._config = config
            self.query_one(Static).update(settings_table(config))


def settings_table(config: Mapping[str, Any]) -> Group:
    """The settings as `--set` takes them, first and marked those that the preset has otherwise."""
    # The presets' models take a tenth of a second to import.
    from engine.spec.resolve import fields, flatten
    from histotui.settings import departures

    changed = {path: old for path, old, _ in departures(config)}
    meanings = dict(fields())
    table = Table.grid(padding=(0, 2, 0, 0))
    for path, value in sorted(flatten(dict(config)), key=lambda setting: setting[0] not in changed):
        table.add_row(_setting(path, value, changed), Text(clean_line(meanings.get(path, "")), style="dim"))
    for column in table.columns:
        column.no_wrap, column.overflow = False, "fold"
    return Group(line(_differences(changed, clean_line(str(config.get("preset")))), "bold"), table)


def _differences(changed: Mapping[str, Any], preset: str) -> str:
    if not changed:
        return f"as the preset {preset} has it"
    settings = "setting differs" if len(changed) == 1 else "settings differ"
    return f"{len(changed)} {settings} from the preset {preset}, marked ▸"


def _setting(path: str, value: object, changed: Mapping[str, Any]) -> Text:
    from histotui.settings import written

    if path not in changed:
        return Text(clean_line(f"  {path} = {written(value)}"))
    before = clean_line(f"  (preset: {written(changed[path])})")
    return Text.assemble(("▸ ", "yellow"), (clean_line(f"{path} = {written(value)}"), "bold"), (before, "yellow"))
