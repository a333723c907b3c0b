"""Runs: the home screen, every run of the store and what can be done to it."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import DataTable, Footer, Input, Label

from engine.spec.errors import ConfigError
from engine.spec.first_run import FIRST_PRESET
from engine.spec.run_folder import RunFolder
from histotui import operations
from histotui.filters import matching
from histotui.look import line
from histotui.preferences import State
from histotui.runs import RESUMABLE
from histotui.screens.prompts import Choice, Confirm
from histotui.screens.run_actions import RunActions
from histotui.sorting import sort
from histotui.summary import RunSummary, summarize
from histotui.text import clean
from histotui.widgets.run_preview import RunPreview
from histotui.widgets.run_table import COLUMNS, RunTable, gaps_of, run_line
from histotui.widgets.top_bar import TopBar

_NO_RUNS = f"""There are no runs here yet.

  n   configure and launch the first one
  D   look at patches, yours or the built-in tissue's
  ?   every key

From a script: histotui run --preset {FIRST_PRESET} --quick"""


class RunsScreen(RunActions):
    """The table of runs with a preview of the highlighted one."""

    DEFAULT_CSS = """
    RunsScreen #filter { display: none; height: 1; border: none; padding: 0 1; background: $surface; }
    RunsScreen.-filtering #filter { display: block; }
    RunsScreen #status { width: 1fr; height: 1; padding: 0 1; color: $text-muted; }
    RunsScreen.-wrong #status { height: auto; color: $text-error; }
    RunsScreen #empty { height: 1fr; padding: 1 3; display: none; }
    RunsScreen.-empty #empty { display: block; }
    RunsScreen.-empty Horizontal { display: none; }
    RunsScreen RunPreview { display: none; }
    RunsScreen.-preview.-very-wide RunPreview { display: block; }
    """
    AUTO_FOCUS = "#runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New", id="new", tooltip="Configure and launch a run"),
        Binding("c", "compare", "Compare", id="compare", tooltip="Put the selected runs side by side"),
        Binding("s", "stop", "Stop", id="stop", tooltip="Stop with a checkpoint"),
        Binding("r,R", "resume", "Resume", id="resume", show=False, tooltip="Go on from the last checkpoint"),
        Binding("slash", "filter", "Filter", id="filter", key_display="/"),
        Binding("x,delete", "trash", "Trash", id="trash", show=False, tooltip="Move to the trash"),
        Binding("D", "data", "Data", id="data", tooltip="Look at patches"),
        Binding("l,L", "like", "Like this", id="like", show=False, tooltip="Configure a run like this one"),
        Binding("u", "restore", "Restore", id="restore", show=False, tooltip="Bring a run back from the trash"),
        Binding("e", "rename", "Rename", id="rename", show=False),
        Binding("t", "tag", "Tags", id="tags", show=False, tooltip="Change the tags of the selected runs"),
        Binding("m", "note", "Note", id="note", show=False, tooltip="Write a note"),
        Binding("y", "copy", "Copy command", id="copy", show=False, tooltip="Copy the command that makes it again"),
        Binding("less_than_sign", "sort(-1)", "Sort by the column to the left", id="sort-left", show=False),
        Binding("greater_than_sign", "sort(1)", "Sort by the column to the right", id="sort-right", show=False),
        Binding("exclamation_mark", "reverse", "Reverse the order", id="reverse", show=False),
        Binding("p", "preview", "Preview", id="preview", show=False, tooltip="Show or hide the preview"),
        Binding("escape", "clear", "Clear filter and selection", id="clear", show=False),
        Binding("q", "app.quit", "Quit", id="leave"),
    ]

    def compose(self) -> ComposeResult:
        yield TopBar(str(self.bench.store.root))
        yield Input(placeholder="words, field:value, auc>0.6, and or not", id="filter", compact=True)
        yield Label(_NO_RUNS, id="empty", markup=False)
        with Horizontal():
            yield RunTable(id="runs")
            yield RunPreview(self.bench.graphics)
        yield Label("", id="status", markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        state = self.bench.memory.state
        known = state.sort.removeprefix("-") in {column.field for column in COLUMNS}
        self._order, self._expression = state.sort if known else State().sort, state.filter
        self._error = self._said = ""
        self.query_one("#filter", Input).value = self._expression
        self.set_class(bool(self._expression), "-filtering")
        self.set_class(state.preview, "-preview")
        self.query_one(RunTable).focus()
        self.watch(self.bench, "listing", self._show_runs)
        self.watch(self.bench, "snapshots", self._show_preview)
        # Ages and what is left of a stage go on without news.
        self.set_interval(10, self._show_runs)

    @property
    def followed(self) -> frozenset[str]:
        current = self.query_one(RunTable).current if self.is_mounted and self._has_preview() else None
        return frozenset({current} if current else ())

    @property
    def current_run(self) -> str | None:
        return self._table.current

    @property
    def chosen_runs(self) -> Sequence[str]:
        return self._table.chosen

    def _has_preview(self) -> bool:
        return any(preview.display for preview in self.query(RunPreview))

    @property
    def _table(self) -> RunTable:
        return self.query_one(RunTable)

    def on_screen_resume(self) -> None:
        # What came while another screen lay above was not shown.
        self._show_runs()

    def _show_runs(self) -> None:
        if not self.is_active:
            return
        listing = self.bench.listing
        if listing is None:
            self._say("looking for runs …")
            return
        shown = self._chosen_and_sorted(listing)
        # Runs that a filter hides stay selected.
        self._table.marked &= {run.id for run in listing}
        self.set_class(not listing, "-empty")
        self._table.show(shown, gaps_of(listing), time.time(), self._order)
        self._say(self._status(len(shown), listing))
        self._show_preview()

    def _say(self, status: str) -> None:
        if status == self._said:
            return
        self._said = status
        # Only what is wrong takes as many lines as it needs; a layout for every change would take long.
        self.set_class(bool(self._error), "-wrong")
        text = Text(clean(status)) if self._error else line(status)
        self.query_one("#status", Label).update(text, layout=bool(self._error))

    def _chosen_and_sorted(self, listing: Sequence[RunSummary]) -> list[RunSummary]:
        try:
            shown = matching(self._expression, listing)
            self._error = ""
        except ConfigError as error:
            shown, self._error = list(listing), str(error)
        return sort(shown, self._order, among=listing)

    def _status(self, shown: int, listing: Sequence[RunSummary]) -> str:
        if self._error:
            return self._error
        if not listing:
            return "no runs yet"
        every = f"{len(listing):,} {'run' if len(listing) == 1 else 'runs'}"
        number = f"{shown:,} of {every}" if shown != len(listing) else every
        marked = len(self._table.selected)
        selected = f", {marked} selected" if marked else ""
        order = f", by {self._ordered_by()}" if shown else ": none match the filter, which escape clears"
        return f"{number}{selected}{order}{self._what_next()}"

    def _ordered_by(self) -> str:
        field = self._order.removeprefix("-")
        # A narrow window has no column of ages whose mark would tell.
        direction = ", newest first" if self._order == "-created" else ", oldest first" if field == "created" else ""
        return next((column.title for column in COLUMNS if column.field == field), field) + direction

    def _what_next(self) -> str:
        run = self.bench.summary(self.current_run or "")
        return f"; {run.state}: r goes on from its last checkpoint" if run and run.state in RESUMABLE else ""

    def _show_preview(self) -> None:
        if self.is_active and self.is_mounted and self._has_preview():
            current = self.current_run
            run = self.bench.summary(current) if current else None
            self.query_one(RunPreview).show(run, self.bench.snapshots.get(current or ""))

    @on(DataTable.RowHighlighted)
    def _follow_highlight(self) -> None:
        self._show_preview()
        if self.bench.listing is not None:
            self._say(self._status(self._table.total, self.bench.listing))

    @on(DataTable.RowSelected)
    def action_open(self) -> None:
        if current := self.current_run:
            self.bench.open_run(current)

    def action_new(self) -> None:
        self.bench.new_run()

    def action_compare(self) -> None:
        chosen = self.chosen_runs
        if len(chosen) < 2:
            self.notify("select two or more runs with space, then press c")
            return
        self.bench.compare(chosen)

    def action_data(self) -> None:
        run = self.bench.summary(self.current_run or "")
        source = run.config.get("data", {}).get("source") if run else None
        self.bench.browse_data(source if isinstance(source, str) else None)

    @work
    async def action_trash(self) -> None:
        folders = self.chosen_folders
        if not folders:
            return
        question = f"Move {self._called(folders)} to the trash?"
        if await self.app.push_screen_wait(Confirm(question, "u brings it back; a live run stays where it is")):
            self._table.unmark()
            self.bench.perform(partial(operations.trash, self.bench.store, folders), folders)

    def _called(self, folders: Sequence[RunFolder]) -> str:
        """One run by the name that the table shows, several by their number."""
        run = self.bench.summary(folders[0].id) if len(folders) == 1 else None
        return f"{run.name} ({run.id})" if run and run.name else operations.named(folders)

    @work
    async def action_restore(self) -> None:
        trashed = await asyncio.to_thread(self._trashed)
        chosen = await self.app.push_screen_wait(Choice("Bring back", trashed, "the trash is empty"))
        if chosen:
            self.bench.perform(partial(operations.restore, self.bench.store, chosen), [self.bench.folder(chosen)])

    def _trashed(self) -> list[tuple[str, str]]:
        now = time.time()
        return [(folder.id, run_line(summarize(folder, now), now)) for folder in self.bench.store.trashed()]

    def action_filter(self) -> None:
        self.add_class("-filtering")
        self.query_one("#filter", Input).focus()

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        self._expression = event.value
        self._show_runs()

    @on(Input.Submitted, "#filter")
    def _keep_filter(self) -> None:
        self.set_class(bool(self._expression), "-filtering")
        self.bench.memory.remember(filter=self._expression)
        self._table.focus()

    def action_clear(self) -> None:
        self._table.unmark()
        self.query_one("#filter", Input).value = ""
        self._keep_filter()
        self._show_runs()

    @on(RunTable.Sorted)
    def _sort_by_clicked(self, event: RunTable.Sorted) -> None:
        self._set_order(event.order)

    def action_sort(self, step: int) -> None:
        fields = [column.field for column in COLUMNS]
        present = self._order.removeprefix("-")
        place = fields.index(present) if present in fields else 0
        self._set_order(COLUMNS[(place + step) % len(fields)].rising)

    def action_reverse(self) -> None:
        self._set_order(self._order.removeprefix("-") if self._order.startswith("-") else f"-{self._order}")

    def _set_order(self, order: str) -> None:
        self._order = order
        self.bench.memory.remember(sort=order)
        self._show_runs()

    def action_preview(self) -> None:
        self.toggle_class("-preview")
        self.bench.memory.remember(preview=self.has_class("-preview"))
        self._show_preview()
