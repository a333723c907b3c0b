"""Compare: runs side by side, in the form of the study's Table 1, with everything that tells them apart."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import DataTable, Footer, Static, TabbedContent, TabPane, Tabs

from engine.spec.errors import HistotuiError
from engine.spec.events import ImageSaved
from engine.spec.run_folder import RunFolder
from histotui.ask import Asking, ask, hide_progress
from histotui.comparison import Comparison, compare_runs
from histotui.exporting import default_folder, export
from histotui.graphics import Graphics
from histotui.look import line
from histotui.screens.base import BenchScreen
from histotui.screens.prompts import Choice, TextPrompt
from histotui.store import RunStore
from histotui.summary import summarize
from histotui.text import clean
from histotui.widgets.compare_panes import (
    DifferencesPane,
    GridsPane,
    MatrixPane,
    OverlaidCurves,
    PairedTests,
    RocPane,
    paired_text,
)
from histotui.widgets.run_table import run_line
from histotui.widgets.score_table import BEST, ScoreTable
from histotui.widgets.top_bar import TopBar

_TABS = ("table", "curves", "roc", "confusion", "samples", "config")
_OFFERED = 500
"""Runs to choose from when one is added, the newest first."""


class CompareScreen(BenchScreen[None]):
    """Two runs or more; rows come and go without leaving."""

    DEFAULT_CSS = """
    CompareScreen TabbedContent { height: 1fr; }
    CompareScreen TabPane { padding: 0; }
    CompareScreen #below { height: auto; padding: 1 1 0 1; }
    CompareScreen #below Static { height: auto; margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"tab('{name}')", name.capitalize(), id=f"compare-{name}", show=False)
            for number, name in enumerate(_TABS, 1)
        ),
        Binding("a", "add", "Add", id="compare-add", tooltip="Add a run to the comparison"),
        Binding("x,space", "remove", "Remove", id="compare-remove", tooltip="Take the highlighted run out"),
        Binding("f", "first", "Against", id="compare-first", tooltip="Compare the others with the highlighted run"),
        Binding(
            "e", "export", "Export", id="compare-export", tooltip="Write tables, paired tests and figures to a folder"
        ),
        Binding("escape,q", "leave", "Back", id="back", key_display="esc"),
    ]

    class Loaded(Message):
        """The runs have been read."""

        def __init__(self, comparison: Comparison) -> None:
            super().__init__()
            self.comparison = comparison

    class Tested(Message):
        """The engine has compared the AUCs of these runs."""

        def __init__(self, ids: tuple[str, ...], tests: PairedTests) -> None:
            super().__init__()
            self.ids, self.tests = ids, tests

    def __init__(self, store: RunStore, ids: Sequence[str], graphics: Graphics | None = None) -> None:
        super().__init__()
        self._store, self._ids = store, tuple(dict.fromkeys(ids))
        self._graphics = graphics or Graphics("halfcell", "not asked")
        self._comparison = Comparison()
        self._tests: PairedTests | None = None
        self._asking: Asking | None = None
        self._tested: tuple[str, ...] | None = None
        self._first, self._first_is_chosen = "", False

    @property
    def followed(self) -> frozenset[str]:
        return frozenset(self._ids)

    def compose(self) -> ComposeResult:
        yield TopBar("compare")
        with TabbedContent(initial="table"):
            with TabPane("1 Table", id="table"), VerticalScroll(can_focus=False):
                yield ScoreTable()
                with Vertical(id="below"):
                    yield Static(id="paired")
                    yield Static(id="doubts")
                    yield Static(id="exported")
            with TabPane("2 Curves", id="curves"):
                yield OverlaidCurves()
            with TabPane("3 ROC", id="roc"):
                yield RocPane()
            with TabPane("4 Confusion", id="confusion"):
                yield MatrixPane()
            with TabPane("5 Samples", id="samples"):
                yield GridsPane(self._graphics)
            with TabPane("6 Config", id="config"):
                yield DifferencesPane()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.watch(self.bench, "listing", self._load)
        self.watch(self.bench, "snapshots", self._show_snapshots)
        self.query_one(ScoreTable).focus()

    def on_unmount(self) -> None:
        if self._asking is not None:
            self._asking.call_off()

    # What is read

    def _load(self) -> None:
        self._read([RunFolder(self._store.root / name) for name in self._ids])

    @work(thread=True, group="load")
    def _read(self, folders: Sequence[RunFolder]) -> None:
        self.post_message(self.Loaded(compare_runs([summarize(folder) for folder in folders])))

    @on(Loaded)
    def _take(self, event: Loaded) -> None:
        comparison = event.comparison
        if tuple(run.id for run in comparison.runs) != self._ids or _shown(comparison) == _shown(self._comparison):
            return
        self._comparison = comparison
        self._settle_first()
        self.query_one(ScoreTable).show(comparison)
        self.query_one(RocPane).show(comparison)
        self.query_one(MatrixPane).show(comparison)
        self.query_one(GridsPane).show(comparison)
        self.query_one(DifferencesPane).show(comparison)
        self.query_one("#doubts", Static).update(Text("\n").join((*_doubts(comparison), *_study_notes(comparison))))
        self._test()
        self._show_snapshots()

    def _settle_first(self) -> None:
        """Compare with the first run that has scores, until the reader has chosen one; a live one has none yet."""
        scored = [run.id for run in self._comparison.runs if run.answer]
        if self._first not in (self._ids if self._first_is_chosen else scored):
            self._first, self._first_is_chosen = next(iter((*scored, *self._ids)), ""), False

    def _test(self) -> None:
        """Ask the engine about every pair, once for each set of scored runs."""
        scored = tuple(run.id for run in self._comparison.runs if run.answer)
        if scored != self._tested:
            self._tested, self._tests = scored, None if len(scored) > 1 else PairedTests()
            if self._asking is not None:
                self._asking.call_off()
            if len(scored) > 1:
                self._asking = Asking()
                self._ask_for_tests(scored, self._asking)
        self._show_tests()

    @work(thread=True, group="test")
    def _ask_for_tests(self, ids: tuple[str, ...], asking: Asking) -> None:
        try:
            body = {"runs": [str((self._store.root / name).absolute()) for name in ids]}
            answer = ask("comparison", body, hide_progress, asking)
            tests = PairedTests(tuple(answer.get("pairs", ())), tuple(answer.get("refused", ())))
        except HistotuiError as error:
            tests = PairedTests(error=str(error))
        self.post_message(self.Tested(ids, tests))

    @on(Tested)
    def _take_tests(self, event: Tested) -> None:
        if event.ids == self._tested:
            self._tests = event.tests
            self._show_tests()

    # What is shown

    @on(DataTable.RowHighlighted, "ScoreTable")
    def _show_tests(self) -> None:
        if self._comparison.runs:
            highlighted = self.query_one(ScoreTable).highlighted_run
            text = paired_text(self._tests, self._comparison, self._first, highlighted)
            self.query_one("#paired", Static).update(text)

    def _show_snapshots(self) -> None:
        snapshots = self.bench.snapshots
        named = list(zip(self._comparison.labels, self._comparison.runs, strict=True))
        curves = [(label, snapshots[run.id].curves) for label, run in named if run.id in snapshots]
        self.query_one(OverlaidCurves).show(curves)
        images = {run.id: _newest(snapshots[run.id].images) for _, run in named if run.id in snapshots}
        self.query_one(GridsPane).show_images({name: image for name, image in images.items() if image is not None})

    # What a reader does

    def action_tab(self, name: str) -> None:
        self.query_one(TabbedContent).active = name
        pane = self.query_one(f"#{name}", TabPane)
        target = next((widget for widget in pane.query("*") if widget.focusable), None)
        (target or self.query_one(Tabs)).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is done to the highlighted run has a key where the table is seen."""
        if action in ("remove", "first") and self.is_mounted:
            return self.query_one(TabbedContent).active == _TABS[0]
        return super().check_action(action, parameters)

    @on(TabbedContent.TabActivated)
    def _show_its_keys(self) -> None:
        self.refresh_bindings()

    def action_leave(self) -> None:
        self.dismiss()

    def action_remove(self) -> None:
        run = self.query_one(ScoreTable).highlighted_run
        if len(self._ids) < 2:
            self.notify("the last run stays: esc leaves the comparison")
        elif run:
            self._change(tuple(name for name in self._ids if name != run))

    def action_first(self) -> None:
        if highlighted := self.query_one(ScoreTable).highlighted_run:
            self._first, self._first_is_chosen = highlighted, True
        self._show_tests()

    @work
    async def action_add(self) -> None:
        others = await asyncio.to_thread(self._others)
        chosen = await self.app.push_screen_wait(Choice("Add which run?", others, "every run is compared already"))
        if chosen:
            self._change((*self._ids, chosen))

    def _others(self) -> list[tuple[str, str]]:
        listing = self.bench.listing or tuple(reversed(self._store.summaries()))
        now = time.time()
        return [(run.id, run_line(run, now)) for run in listing if run.id not in self._ids][:_OFFERED]

    def _change(self, ids: tuple[str, ...]) -> None:
        self._ids = ids
        self._load()

    @work
    async def action_export(self) -> None:
        prompt = TextPrompt(
            "Export to which folder?",
            str(default_folder()),
            "tables and paired tests as CSV, Markdown, LaTeX, JSON; figures as PNG",
        )
        target = await self.app.push_screen_wait(prompt)
        if target:
            self._say_exported(Text("exporting …", style="dim"))
            self._export(Path(target))

    @work(thread=True, group="export")
    def _export(self, target: Path) -> None:
        try:
            folders = [run.folder for run in self._comparison.runs]
            written = export(folders, target)
        except HistotuiError as error:
            self.app.call_from_thread(self._say_exported, Text(clean(f"✗ not exported: {error}"), style="red"))
        else:
            self.app.call_from_thread(self._say_exported, Text(clean(f"✓ exported to {written}"), style="green"))

    def _say_exported(self, said: Text) -> None:
        self.query_one("#exported", Static).update(said)
        self.notify(said.plain, markup=False)


def _shown(comparison: Comparison) -> tuple[object, ...]:
    """What is seen of a comparison: the age of a live run, which always changes, is not."""
    states = [(run.id, run.state, run.scores) for run in comparison.runs]
    return states, comparison.labels, comparison.doubts, comparison.differences


def _newest(images: Sequence[ImageSaved]) -> ImageSaved | None:
    """The newest grid that a generator made, else real patches."""
    made = [image for image in images if image.stage != "prepare"]
    return made[-1] if made else images[-1] if images else None


def _study_notes(comparison: Comparison) -> Iterator[Text]:
    """What the study says of the runs that it has no figures of."""
    for label, row in zip(comparison.labels, comparison.rows, strict=True):
        if row["study_note"]:
            yield line(f"{label}: in the study it {row['study_note']}", "dim")


def _doubts(comparison: Comparison) -> Iterator[Text]:
    if any(comparison.best.values()):
        yield line(f"{BEST} the best of its column", "green")
    for doubt in comparison.doubts:
        yield Text.assemble(("! ", "bold yellow"), (clean(doubt), "yellow"))
