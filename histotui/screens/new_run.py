"""New run: what it starts from, its settings, and what will happen; then launch, save or copy it."""

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox, Footer, Input, Static

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, HistotuiError
from engine.spec.resolve import Tree, differences, dump, flatten
from engine.spec.run_folder import check_name
from histotui.form_fields import texts_of
from histotui.formats import size
from histotui.launcher import start_engine
from histotui.screens.base import BenchScreen
from histotui.screens.prompts import Confirm, TextPrompt
from histotui.settings import TISSUE, command_for, quickened, with_absolute_paths
from histotui.starting_points import Found, StartingPoint, built_in, gather, on_patches_of
from histotui.store import RunStore, runs_root
from histotui.suggesting import SourceSuggester
from histotui.text import clean, clean_line
from histotui.user_presets import check_preset_name, preset_path, save_preset
from histotui.widgets.config_form import ConfigForm, Tick
from histotui.widgets.consequences import Changes
from histotui.widgets.forecast import Forecast
from histotui.widgets.panes import WIDE, Panes
from histotui.widgets.starting_list import StartingList
from histotui.widgets.top_bar import TopBar

_PANES: Final = {"points": "Start from", "form": "Settings", "consequences": "What will happen"}


class NewRunScreen(BenchScreen[str | None]):
    """Configure and launch a run; gives the new run's id, or None where it was left."""

    DEFAULT_CSS = """
    NewRunScreen {
        #top { height: 1; padding: 0 1; }
        #label { width: 6; color: $text-muted; }
        #name { width: 1fr; max-width: 52; background: $surface; }
        #name.-wrong { color: $text-error; }
        #quick { width: auto; margin-left: 2; background: transparent; }
        #wrong { height: auto; padding: 0 1; color: $text-error; display: none; }
        #wrong.-shown { display: block; }
        #points { width: 32; border-right: solid $panel-lighten-2; }
        #form { width: 1fr; }
        #consequences { width: 2fr; max-width: 60; border-left: solid $panel-lighten-2; }
        #form { width: 3fr; }
        &.-narrow {
            #points, #form, #consequences { width: 1fr; max-width: 100%; border: none; }
        }
    }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - Screen declares it as an instance's
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "launch", "Launch", id="launch", tooltip="Start the run", priority=True),
        Binding("ctrl+s", "save", "Save", id="save-preset", tooltip="Save as a preset of one's own", priority=True),
        Binding("ctrl+y", "copy", "Copy", id="copy-command", tooltip="Copy as a command", priority=True),
        # An Input deletes to its end with it.
        Binding("ctrl+k", "quick", "Quick", id="quick", tooltip="The same, smaller, or as it was", priority=True),
        Binding("ctrl+o", "next_pane", "Pane", id="next-pane", tooltip="Go to the next pane", priority=True),
        Binding("escape", "leave", "Back", id="leave-new-run"),
    ]

    class Gathered(Message):
        """The user's presets and earlier runs have been read."""

        def __init__(self, found: Found) -> None:
            super().__init__()
            self.found = found

    def __init__(self, store: RunStore, base: StartingPoint | None = None) -> None:
        super().__init__()
        self._store, self._is_chosen = store, base is not None
        presets = built_in()
        self._base = base or presets[0]
        self._points = presets if self._base in presets else (*presets, self._base)
        self._warned = self._launching = False

    def compose(self) -> ComposeResult:
        yield TopBar("new run")
        with Horizontal(id="top"):
            yield Static("Name", id="label")
            yield Input(placeholder="optional", id="name", compact=True)
            yield Tick(False, off="quick: off", on="quick: on", id="quick")
        yield Static(id="wrong")
        with Panes(_PANES):
            yield StartingList(self._points, id="points")
            yield ConfigForm(_config_of(self._base), id="form")
            yield Forecast(self._store, id="consequences")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.panes.show("form" if self._is_chosen else "points")
        self.query_one(StartingList).highlight(self._base.key)
        self._gather()
        self._consider()

    def on_resize(self) -> None:
        self.panes.fit()

    @property
    def form(self) -> ConfigForm:
        return self.query_one(ConfigForm)

    @property
    def panes(self) -> Panes:
        return self.query_one(Panes)

    @property
    def forecast(self) -> Forecast:
        return self.query_one(Forecast)

    @property
    def asked(self) -> RunConfig | None:
        """The settings in the form; None where they are not valid."""
        return self.form.reading.config

    @property
    def config(self) -> RunConfig | None:
        """The run that would be launched: the form's settings, scaled down where that is wanted."""
        asked = self.asked
        if asked is None or not self.query_one("#quick", Tick).value:
            return asked
        return quickened(asked, [_part(asked, self.form.edited)])

    def start_from(self, point: StartingPoint) -> None:
        """Fill the form with a preset or an earlier run."""
        if point.config is None:
            self.bench.complain(point.description)
            return
        self._base, self._warned = point, False
        self.form.show(point.config)

    @on(StartingList.Chosen)
    def _chosen(self, event: StartingList.Chosen) -> None:
        self.start_from(event.point)
        self.panes.show("form")

    @on(StartingList.DataChosen)
    def _data_chosen(self, event: StartingList.DataChosen) -> None:
        """A classifier alone, trained on what an earlier run has made and tested on that run's real patches."""
        point = self.query_one(StartingList).point(event.key)
        if point is None or not point.run:
            self.bench.complain("that is a preset; only an earlier run has patches of its own")
            return
        if point.config is None:
            self.bench.complain(point.description)
            return
        self.start_from(self._points[0])
        config = on_patches_of(point.run, point.config)
        changed = {path for path, _, _ in differences(_config_of(self._base), config)}
        texts = texts_of(dump(config), self.form.fields)
        self.form.set_values({path: text for path, text in texts.items() if path in changed})
        self.panes.show("form")
        self._tell(f"a classifier on the synthetic patches of {point.run}; train_on both adds real ones")

    @on(ConfigForm.Changed)
    def _changed(self, event: ConfigForm.Changed) -> None:
        # What was warned of, or saved, was what stood there before.
        self._warned = False
        self._consider()

    @on(Checkbox.Changed, "#quick")
    def _quick_changed(self) -> None:
        self._consider()

    @on(Input.Changed, "#name")
    def _name_changed(self, event: Input.Changed) -> None:
        error = self._name_error()
        event.input.set_class(bool(error), "-wrong")
        wrong = self.query_one("#wrong", Static)
        wrong.update(Content(f"✗ {error}"))
        wrong.set_class(bool(error), "-shown")

    @on(Gathered)
    def _gathered(self, event: Gathered) -> None:
        found = event.found
        self._points = found.points
        self.query_one(StartingList).show(found.points)
        runs = [point.run for point in found.points if point.run]
        self.form.suggest("data.source", SourceSuggester([TISSUE, *runs]))
        self.form.suggest("synthesis.source", SourceSuggester(runs))
        if found.error:
            self.bench.complain(found.error)

    def action_quick(self) -> None:
        self.query_one("#quick", Tick).toggle()

    def action_next_pane(self) -> None:
        self.panes.show_next()

    def action_leave(self) -> None:
        if self.form.edited and not self._warned:
            self._warned = True
            self._tell("the settings are not saved; escape again leaves them, ctrl+s saves them")
            return
        self.dismiss(None)

    @work(exclusive=True, group="copy")
    async def action_copy(self) -> None:
        if (config := self._valid()) is None:
            return
        try:
            command = self._command(await asyncio.to_thread(with_absolute_paths, config, self._store))
        except HistotuiError as error:
            self.bench.complain(str(error))
            return
        self.forecast.show_command(command)
        self.bench.copy(command, "Command")

    @work(exclusive=True, group="save")
    async def action_save(self) -> None:
        """Ask for a name and save what would be launched."""
        if (config := self._valid()) is None:
            return
        hint = "letters, digits and . _ -"
        name = await self.app.push_screen_wait(TextPrompt("Save as preset", hint=hint, check=check_preset_name))
        if name is None:
            return
        replaces = await asyncio.to_thread(preset_path(name).exists)
        if replaces and not await self.app.push_screen_wait(Confirm(f"Replace your preset {name}?")):
            return
        try:
            path = await asyncio.to_thread(save_preset, name, config)
        except HistotuiError as error:
            self.bench.complain(str(error))
            return
        self._warned = True
        self._tell(f"saved as {path}")
        self._gather()

    @work(group="launch")
    async def action_launch(self) -> None:
        """Launch once, however often the key comes: a start that is on its way cannot be called back."""
        if self._launching:
            return
        self._launching = True
        try:
            await self._launch_valid()
        finally:
            self._launching = False

    async def _launch_valid(self) -> None:
        """Ask whether it fits, unless that is known, then start the engine and leave."""
        if (config := self._valid()) is None:
            return
        answer = await self.forecast.answer_to(config)
        if answer.error:
            self.bench.complain(answer.error)
        elif await self._is_wanted(answer.needs or {}):
            await self._start(config)

    async def _is_wanted(self, needs: Tree) -> bool:
        """Whether to start: it fits, or the user will have it all the same."""
        if needs.get("fits", True):
            return True
        return await self.app.push_screen_wait(Confirm("It does not fit. Start it all the same?", _shortage(needs)))

    async def _start(self, config: RunConfig) -> None:
        try:
            run_id = await asyncio.to_thread(self._launch, config)
        except HistotuiError as error:
            self.bench.complain(str(error))
        else:
            self.dismiss(run_id)

    def _launch(self, config: RunConfig) -> str:
        """Create the folder and start the engine on it."""
        config = with_absolute_paths(config, self._store)
        name = self.query_one("#name", Input).value.strip()
        folder = self._store.create(config.preset, dump(config), self._command(config), name)
        self.bench.engines.add(start_engine(folder))
        return folder.id

    def _command(self, config: RunConfig) -> str:
        root = self._store.root
        elsewhere = root.resolve() != runs_root(None).resolve()
        return command_for(config, self.query_one("#name", Input).value.strip(), root if elsewhere else None)

    def _valid(self) -> RunConfig | None:
        """What would be launched; None, and the cursor where it is wrong, where it cannot be."""
        if self._name_error():
            self.query_one("#name", Input).focus()
            self.bench.complain(self._name_error())
            return None
        if self.asked is None:
            self.panes.show("form")
            self.form.focus_first_error()
            reading = self.form.reading
            self.bench.complain(
                next(iter((*reading.general, *(f"{path}: {said}" for path, said in reading.errors.items()))))
            )
        return self.config

    def _name_error(self) -> str:
        name = self.query_one("#name", Input).value.strip()
        try:
            check_name(name or "none")
        except ConfigError as error:
            return clean_line(str(error))
        return ""

    def _consider(self) -> None:
        """Show what differs, and what the engine says of it."""
        asked, config = self.asked, self.config
        if asked is not None and config is not None:
            before = _config_of(self._base)
            by_hand = [change for change in differences(before, asked) if change[0] != "preset"]
            scaled = differences(asked, config)
            self.forecast.show_changes(Changes(self._base.title, tuple(by_hand), tuple(scaled)))
        self.forecast.consider(config)

    @work(thread=True, group="gather")
    def _gather(self) -> None:
        """Read what else there is to start from."""
        self.post_message(self.Gathered(gather(self._store)))

    def _tell(self, text: str) -> None:
        self.notify(clean(text), markup=False)


def _shortage(needs: Tree) -> str:
    """What there is too little of, in the fewest words."""
    for what, need, room in (("memory", "peak_bytes", "available_bytes"), ("disk", "disk_bytes", "disk_free_bytes")):
        if needs.get(need, 0) > needs.get(room, 0):
            return f"{size(needs[need])} of {what} needed, {size(needs[room])} free"
    return ""


def _config_of(point: StartingPoint) -> RunConfig:
    if point.config is None:
        raise ConfigError(point.description)
    return point.config


def _part(config: RunConfig, paths: Iterable[str]) -> dict[str, Any]:
    """The settings at these paths as a tree to lay over another."""
    values = dict(flatten(dump(config)))
    tree: dict[str, Any] = {}
    for path in sorted(set(paths) & values.keys(), key=lambda path: not path.endswith(".kind")):
        *parents, leaf = path.split(".")
        part = tree
        for parent in parents:
            part = part.setdefault(parent, {})
        part[leaf] = values[path]
    return tree
