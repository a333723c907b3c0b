"""HistoTUI: the application. Screens show what the follow worker reads; runs never depend on it."""

import asyncio
import gc
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from textual import work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.reactive import var
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import get_current_worker

from engine.spec.errors import HistotuiError
from engine.spec.run_folder import RunFolder
from histotui.devices import DeviceLoad, DeviceMeter
from histotui.graphics import Graphics
from histotui.keys import OrderedKeys
from histotui.look import THEMES, Sanitizer, joined
from histotui.operations import Operation
from histotui.preferences import Memory, Settings
from histotui.runs import LIVE
from histotui.store import RunStore
from histotui.summary import RunSummary
from histotui.text import clean
from histotui.watcher import Engines, News, Snapshot, Watcher

_FOLLOW_SECONDS = 0.25
_DEVICE_SECONDS = 2.0
_NEXT_IMAGES = "Draw pictures in the next way that there is"


class HistoTUI(OrderedKeys):
    """Themes, global keys, the follow worker, and what screens share."""

    CSS_PATH = "histotui.tcss"
    TITLE = "histotui"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (140, "-very-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "help", "Help", id="help", key_display="?"),
        Binding("ctrl+q", "quit", "Quit", id="quit", show=False, priority=True),
        Binding("ctrl+g", "cycle_images", "Images", id="images", show=False, tooltip=_NEXT_IMAGES),
    ]

    # Plain variables that can be watched: a reactive one of the application's repaints the whole screen.
    listing: var[tuple[RunSummary, ...] | None] = var(None)
    """Every run, newest first; None before the first look."""
    snapshots: var[Mapping[str, Snapshot]] = var(MappingProxyType({}))
    """The runs whose events are followed, by id."""
    devices: var[tuple[DeviceLoad, ...]] = var(())

    def __init__(
        self,
        store: RunStore,
        graphics: Graphics,
        settings: Settings | None = None,
        memory: Memory | None = None,
    ) -> None:
        super().__init__()
        self.store, self.graphics = store, graphics
        self.settings = settings or Settings()
        self.memory = memory or Memory()
        self.engines = Engines()
        self._watcher = Watcher(store)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self._first_theme()
        if self.settings.keys:
            self.set_keymap(dict(self.settings.keys))

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), Sanitizer()]

    def get_key_display(self, binding: Binding) -> str:
        # A field takes the question mark for itself.
        return "F1" if binding.id == "help" and isinstance(self.focused, Input) else super().get_key_display(binding)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        yield SystemCommand("Images", _NEXT_IMAGES, self.action_cycle_images)

    def on_mount(self) -> None:
        # Importing every screen takes longer than showing the first.
        from histotui.screens.runs import RunsScreen

        self._leave_on_signals()
        self.theme_changed_signal.subscribe(self, lambda theme: self.memory.remember(theme=theme.name))
        self.push_screen(RunsScreen())
        self._follow()
        self._measure_devices()

    def _leave_on_signals(self) -> None:
        """Give the terminal back before a signal ends the process, which Textual does for SIGINT alone."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            try:
                loop.add_signal_handler(number, partial(self.exit, return_code=128 + number))
            except (NotImplementedError, ValueError, RuntimeError):
                # Only the main thread hears signals, and tests may run in another.
                return

    @work(group="follow")
    async def _follow(self) -> None:
        """The one reader of run folders: a thread reads, this loop changes what screens see."""
        while True:
            self._watcher.follow(self._followed())
            self._take(await asyncio.to_thread(self._watcher.read))
            self.engines.reap()
            await asyncio.sleep(_FOLLOW_SECONDS)

    @work(group="devices")
    async def _measure_devices(self) -> None:
        meter = await asyncio.to_thread(DeviceMeter)
        while True:
            self.devices = await asyncio.to_thread(meter.read)
            await asyncio.sleep(_DEVICE_SECONDS)

    def _followed(self) -> set[str]:
        return {name for screen in self.screen_stack for name in getattr(screen, "followed", ())}

    def _take(self, news: News) -> None:
        if news.error:
            self.complain(news.error)
        if news.snapshots:
            kept = {name: snapshot for name, snapshot in self.snapshots.items() if name in self._followed()}
            self.snapshots = MappingProxyType({**kept, **news.snapshots})
        if news.listing is not None:
            before, self.listing = self.listing, news.listing
            self._announce_ends(before or (), news.listing)

    def _announce_ends(self, before: Iterable[RunSummary], now: Iterable[RunSummary]) -> None:
        # A short run may begin and end between two looks.
        states = {run.id: run.state for run in before}
        for run in now:
            if run.state not in LIVE and states.get(run.id, run.state) != run.state:
                self._announce_end(run)

    def _announce_end(self, run: RunSummary) -> None:
        name = clean(run.name or run.id)
        if run.state == "finished":
            said = joined([f"{name} has finished", run.result], ": ")
            self.notify(clean(said), markup=False)
        else:
            self.notify(clean(f"{name}: {run.state}. {run.error}"), severity="warning", timeout=15, markup=False)
        if self.settings.bell:
            self.bell()

    @work(thread=True, group="operations")
    def perform(self, operation: Operation, changed: Sequence[RunFolder]) -> None:
        """Do something to these runs that may take a while in a thread, and tell how it went."""
        show: Callable[[str], None] = partial(self.notify, markup=False)
        try:
            said = operation()
        except HistotuiError as error:
            said, show = str(error), self.complain
        if get_current_worker().is_cancelled:
            return
        self.call_from_thread(show, clean(said))
        self._watcher.look_again([folder.id for folder in changed])

    def complain(self, message: str) -> None:
        """Show an error that the user can act on."""
        self.notify(clean(message), severity="error", timeout=12, markup=False)

    def copy(self, text: str, what: str) -> None:
        """Put text on the terminal's clipboard and show it too, since the clipboard may be out of reach."""
        self.copy_to_clipboard(text)
        self.notify(clean(text), title=f"{what} copied", timeout=12, markup=False)

    def copy_command(self, run_id: str) -> None:
        """Copy the command that makes a run again."""
        try:
            command = self.folder(run_id).command.read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            self.complain(f"{run_id}: its command cannot be read ({error.strerror})")
        else:
            self.copy(command, "command")

    def folder(self, run_id: str) -> RunFolder:
        """The folder of the run with this id."""
        return RunFolder(self.store.root / run_id)

    def summary(self, run_id: str) -> RunSummary | None:
        """The run as the listing has it."""
        return next((run for run in self.listing or () if run.id == run_id), None)

    def open_run(self, run_id: str) -> None:
        """Show one run."""
        from histotui.screens.run import RunScreen

        self.push_screen(RunScreen(run_id))

    @work
    async def new_run(self, base: str | None = None) -> None:
        """Configure a run, like an earlier one if one is named, and show it once it is launched."""
        from histotui.screens.new_run import NewRunScreen
        from histotui.starting_points import find_point

        try:
            point = None if base is None else await asyncio.to_thread(find_point, base, self.store)
        except HistotuiError as error:
            self.complain(str(error))
            return
        launched = await self.push_screen_wait(NewRunScreen(self.store, point))
        if launched:
            self._watcher.look_again([launched])
            self.open_run(launched)

    def compare(self, ids: Sequence[str]) -> None:
        """Put runs side by side."""
        from histotui.screens.compare import CompareScreen

        self.push_screen(CompareScreen(self.store, ids, self.graphics))

    def browse_data(self, source: str | None = None) -> None:
        """Look at the patches of a source."""
        from histotui.screens.data import DataScreen

        self.push_screen(DataScreen(source))

    def action_help(self) -> None:
        from histotui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.screen.active_bindings.values()))

    def action_cycle_images(self) -> None:
        from histotui.widgets.picture import Picture

        pictures = self.screen.query(Picture)
        for picture in pictures:
            picture.cycle()
        if pictures:
            self.notify(f"pictures are drawn as {pictures.first().kind}", markup=False)

    def _first_theme(self) -> str:
        wanted = self.settings.theme or self.memory.state.theme
        return wanted if wanted in self.available_themes else THEMES[0].name


def _collect_less() -> None:
    """Leave alone what stays for good: half of a repaint's time is the search for cycles among thousands of strips."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def run_application(root: Path, settings: Settings, graphics: Graphics) -> int:
    """The application until the user leaves it; the exit code."""
    application = HistoTUI(RunStore(root), graphics, settings)
    _collect_less()
    application.run()
    return application.return_code or 0
