"""New run: what it starts from, its settings, and what will happen; then launch, save or copy it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Checkbox, Footer, Input, Static, Tab, Tabs

from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, HistotuiError
from engine.spec.resolve import Tree, differences, dump, flatten
from engine.spec.run_folder import check_name
from histotui.ask import Asking, ask, hide_progress
from histotui.form_fields import texts_of
from histotui.formats import size
from histotui.launcher import start_engine
from histotui.screens.base import BenchScreen
from histotui.screens.prompts import Confirm, TextPrompt
from histotui.settings import TISSUE, command_for, quickened, with_absolute_paths
from histotui.starting_points import StartingPoint, built_in, earlier_runs, find_point, on_patches_of, yours
from histotui.store import RunStore, runs_root
from histotui.suggesting import SourceSuggester
from histotui.text import clean, clean_line
from histotui.user_presets import check_preset_name, preset_path, save_preset
from histotui.widgets.config_form import ConfigForm, Tick
from histotui.widgets.consequences import Changes, Consequences
from histotui.widgets.starting_list import StartingList
from histotui.widgets.top_bar import TopBar

DEBOUNCE: Final = 0.6
"""Seconds of rest after which the engine is asked."""
_WIDE: Final = 120
"""Columns from which the three panes stand side by side."""
_PANES: Final = {"points": "Start from", "form": "Settings", "consequences": "What will happen"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine says of a config: what it needs, or why it cannot begin."""

    config: RunConfig
    needs: Tree | None = None
    error: str = ""


class PaneTabs(Tabs, can_focus=False):
    """The names of the panes, for the mouse; a key goes from one to the next."""


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
        Tabs { height: 1; }
        Tabs Underline { display: none; }
        Tab.-active { text-style: bold reverse; }
        #points { width: 32; border-right: solid $panel-lighten-2; }
        #form { width: 1fr; }
        #consequences { width: 2fr; max-width: 60; border-left: solid $panel-lighten-2; }
        #form { width: 3fr; }
        &.-narrow {
            #points, #form, #consequences { width: 1fr; max-width: 100%; border: none; }
        }
    }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012 - Screen declares it as an instance's
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "launch", "Launch", id="launch", tooltip="Start the run", priority=True),
        Binding("ctrl+s", "save", "Save", id="save-preset", tooltip="Save as a preset of one's own", priority=True),
        Binding("ctrl+y", "copy", "Copy", id="copy-command", tooltip="Copy as a command", priority=True),
        # An Input deletes to its end with it.
        Binding("ctrl+k", "quick", "Quick", id="quick", tooltip="The same, smaller, or as it was", priority=True),
        Binding("ctrl+o", "next_pane", "Pane", id="next-pane", tooltip="Go to the next pane", priority=True),
        Binding("escape", "leave", "Back", id="leave-new-run"),
    ]

    class Answered(Message):
        """The engine has said what the run needs."""

        def __init__(self, asking: Asking, answer: Answer) -> None:
            super().__init__()
            self.asking, self.answer = asking, answer

    class Gathered(Message):
        """The user's presets and earlier runs have been read."""

        def __init__(self, points: tuple[StartingPoint, ...], base: StartingPoint | None, error: str) -> None:
            super().__init__()
            self.points, self.base, self.error = points, base, error

    def __init__(self, store: RunStore, base: str | None = None) -> None:
        super().__init__()
        self._store, self._wanted = store, base
        points = built_in()
        self._base = next((point for point in points if point.title == base), points[0])
        self._points = points
        self._answer: Answer | None = None
        self._asking: Asking | None = None
        self._timer: Timer | None = None
        self._warned = False
        self._pane = "points" if base is None else "form"

    def compose(self) -> ComposeResult:
        yield TopBar("new run")
        with Horizontal(id="top"):
            yield Static("Name", id="label")
            yield Input(placeholder="optional", id="name", compact=True)
            yield Tick(False, off="quick: off", on="quick: on", id="quick")
        yield Static(id="wrong")
        yield PaneTabs(*(Tab(title, id=f"tab-{pane}") for pane, title in _PANES.items()))
        with Horizontal(id="panes"):
            yield StartingList(self._points, id="points")
            yield ConfigForm(_config_of(self._base), id="form")
            yield Consequences(id="consequences")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self._show_pane(self._pane)
        self.query_one(StartingList).highlight(self._base.key)
        self._gather()
        self._consider()

    def on_resize(self) -> None:
        self._arrange()

    def on_unmount(self) -> None:
        self._call_off()

    @property
    def form(self) -> ConfigForm:
        return self.query_one(ConfigForm)

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
        self._show_pane("form")

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
        self._show_pane("form")
        self._tell(f"a classifier on the synthetic patches of {point.run}; train_on both adds real ones")

    @on(ConfigForm.Changed)
    def _changed(self, event: ConfigForm.Changed) -> None:
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

    @on(Tabs.TabActivated)
    def _tab_chosen(self, event: Tabs.TabActivated) -> None:
        tabs, pane = event.tabs, (event.tab.id or "").removeprefix("tab-")
        # Several may be on their way; only the last is where the tabs are.
        if event.tab.id == tabs.active and pane != self._pane:
            self._show_pane(pane)

    @on(Gathered)
    def _gathered(self, event: Gathered) -> None:
        self._points = event.points
        self.query_one(StartingList).show(event.points)
        runs = [point.run for point in event.points if point.run]
        self.form.suggest("data.source", SourceSuggester([TISSUE, *runs]))
        self.form.suggest("synthesis.source", SourceSuggester(runs))
        if event.error:
            self.bench.complain(event.error)
        if event.base is not None:
            self.start_from(event.base)
            self.query_one(StartingList).highlight(event.base.key)

    @on(Answered)
    def _answered(self, event: Answered) -> None:
        # Another question has been asked since; its answer is the one to wait for.
        if event.asking is self._asking:
            self._asking = None
            self._show_answer(event.answer)

    def action_quick(self) -> None:
        self.query_one("#quick", Tick).toggle()

    def action_next_pane(self) -> None:
        """Go to the pane on the right, and from the last to the first."""
        panes = list(_PANES)
        here = next((pane for pane in panes if self.query_one(f"#{pane}").has_focus_within), None)
        self._show_pane(panes[(panes.index(here or self._pane) + 1) % len(panes)])

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
        self.query_one(Consequences).show_command(command)
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
        self._wanted, self._warned = None, True
        self._tell(f"saved as {path}")
        self._gather()

    @work(exclusive=True, group="launch")
    async def action_launch(self) -> None:
        """Ask whether it fits, unless that is known, then start the engine and leave."""
        if (config := self._valid()) is None:
            return
        answer = self._answer if self._answer is not None and self._answer.config == config else None
        if answer is None:
            self._call_off()
            self._asking = Asking()
            self.query_one(Consequences).show_status("launching: asking the engine whether it fits…")
            answer = await asyncio.to_thread(self._answer_to, config, self._asking)
            self._show_answer(answer)
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
            self._show_pane("form")
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
        """Show what differs at once, and ask the engine about the rest once there is rest."""
        self._call_off()
        asked, config = self.asked, self.config
        consequences = self.query_one(Consequences)
        if asked is None or config is None:
            consequences.show_asking()
            consequences.show_status("✗ some settings are not valid; they are marked")
            return
        before = _config_of(self._base)
        by_hand = [change for change in differences(before, asked) if change[0] != "preset"]
        scaled = differences(asked, config)
        consequences.show_changes(Changes(self._base.title, tuple(by_hand), tuple(scaled)))
        if self._answer is not None and self._answer.config == config:
            self._show_answer(self._answer)
            return
        consequences.show_asking()
        self._timer = self.set_timer(DEBOUNCE, partial(self._ask, config))

    def _ask(self, config: RunConfig) -> None:
        self._asking = Asking()
        self._inquire(config, self._asking)

    @work(thread=True, group="preflight")
    def _inquire(self, config: RunConfig, asking: Asking) -> None:
        answer = self._answer_to(config, asking)
        if not asking.is_off:
            self.post_message(self.Answered(asking, answer))

    def _answer_to(self, config: RunConfig, asking: Asking) -> Answer:
        try:
            question = {
                "config": dump(with_absolute_paths(config, self._store)),
                "runs": str(self._store.root.absolute()),
            }
            return Answer(config, ask("preflight", question, hide_progress, asking))
        except HistotuiError as error:
            return Answer(config, error=str(error))

    def _show_answer(self, answer: Answer) -> None:
        self._answer = answer
        consequences = self.query_one(Consequences)
        if answer.needs is None:
            consequences.show_error(answer.error)
        else:
            consequences.show_answer(answer.needs)

    def _call_off(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        if self._asking is not None:
            self._asking.call_off()
        self._timer = self._asking = None

    @work(thread=True, group="gather")
    def _gather(self) -> None:
        """Read what else there is to start from."""
        error, base = "", None
        found: list[StartingPoint] = list(built_in())
        try:
            found += [*yours(), *earlier_runs(self._store)]
            if self._wanted is not None and self._wanted != self._base.title:
                base = find_point(self._wanted, self._store)
        except HistotuiError as problem:
            error = str(problem)
        self.post_message(self.Gathered(tuple(found), base, error))

    def _show_pane(self, pane: str) -> None:
        """Show a pane where there is room for one, and put the cursor into it."""
        self._reveal(pane)
        self.query_one(Tabs).active = f"tab-{pane}"
        target = self.query_one(f"#{pane}")
        if isinstance(target, ConfigForm):
            target.focus_field()
        else:
            self.set_focus(_first_focusable(target))

    def _reveal(self, pane: str) -> None:
        self._pane = pane
        self._arrange()

    def _arrange(self) -> None:
        """Show every pane, or one where there is no room for more. Classes would restyle every field each time."""
        narrow = self.app.size.width < _WIDE
        self.query_one(Tabs).display = narrow
        for name in _PANES:
            self.query_one(f"#{name}").display = not narrow or name == self._pane

    def _tell(self, text: str) -> None:
        self.notify(clean(text), markup=False)


def _shortage(needs: Tree) -> str:
    """What there is too little of, in the fewest words."""
    for what, need, room in (("memory", "peak_bytes", "available_bytes"), ("disk", "disk_bytes", "disk_free_bytes")):
        if needs.get(need, 0) > needs.get(room, 0):
            return f"{size(needs[need])} of {what} needed, {size(needs[room])} free"
    return ""


def _first_focusable(widget: Widget) -> Widget:
    return widget if widget.can_focus else next(child for child in widget.query(Widget) if child.can_focus)


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
