"""Data: a source's counts, what inspection finds, and its patches to page through."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Footer, Input, Label, Static

from engine.spec.errors import HistotuiError
from histotui.ask import Asking, ask
from histotui.formats import count, facts
from histotui.grids import outlined
from histotui.look import joined, line
from histotui.screens.base import BenchScreen
from histotui.settings import TISSUE, absolute_source
from histotui.text import clean_line
from histotui.widgets.picture import Picture
from histotui.widgets.top_bar import TopBar

Tree = dict[str, Any]

_CLASSES = ("normal", "tumour")
_HINT = "/ takes a folder of patches, the id of a run, or tissue for the built-in one"


class _Patches(Vertical, can_focus=True):
    """The page of patches; it has the keys, for what scrolls would take those that turn pages."""


class DataScreen(BenchScreen[None]):
    """One source at a time."""

    DEFAULT_CSS = """
    DataScreen #source { height: 1; border: none; padding: 0 1; background: $surface; }
    DataScreen #said { height: 1; padding: 0 1; color: $text-muted; }
    DataScreen #facts { width: 44; padding: 0 1; border-right: vkey $panel; }
    DataScreen.-narrow #facts { width: 30; }
    DataScreen #patches { width: 1fr; padding: 0 1; }
    DataScreen #page { height: 1; text-style: bold; }
    DataScreen Picture { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,pageup", "page(-1)", "Earlier", id="page-back", key_display="←"),
        Binding("right,pagedown", "page(1)", "Later", id="page-on", key_display="→"),
        Binding("c", "other_class", "Class", id="class", tooltip="Normal or tumour"),
        Binding("v", "next_split", "Split", id="split", tooltip="Training, validation or test"),
        Binding("o", "outline", "Centre", id="outline-patches", tooltip="Outline the central 32x32 pixels"),
        Binding("i", "inspect", "Inspect", id="inspect", tooltip="Read every patch: duplicates, broken files, slides"),
        Binding("slash", "source", "Source", id="source", key_display="/", tooltip="Name another source"),
        Binding("escape,q", "leave", "Back", id="data-back", key_display="esc"),
    ]

    def __init__(self, source: str | None = None) -> None:
        super().__init__()
        self._source = source or TISSUE
        self._split, self._label, self._page = "train", 0, 0
        self._answer: Tree = {}
        self._outlined = False
        self._asking = Asking()

    def compose(self) -> ComposeResult:
        yield TopBar("data")
        yield Input(self._source, placeholder=_HINT, id="source", compact=True)
        with Horizontal():
            with VerticalScroll(id="facts"):
                yield Static(id="found")
            with _Patches(id="patches"):
                yield Label("", id="page", markup=False)
                yield Picture(self.bench.graphics, empty="no patches here", full=True)
        yield Label("", id="said", markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#patches").focus()
        self._show_page()

    def _resolved(self) -> str:
        """The source as `run --data` takes it: a path, or an earlier run by its id or name."""
        return self._source if self._source == TISSUE else absolute_source(self._source, self.bench.store)

    def _show_page(self) -> None:
        self._say("reading patches …")
        self._ask("patches", split=self._split, label=self._label, page=self._page)

    def _ask(self, query: str, **details: object) -> None:
        """Only the newest question's answer is shown; the one before it is called off."""
        self._asking.call_off()
        self._asking = Asking()
        self._wait_for(query, details, self._asking)

    def on_unmount(self) -> None:
        self._asking.call_off()

    @work(thread=True, group="question")
    def _wait_for(self, query: str, details: Mapping[str, object], asking: Asking) -> None:
        def progress(what: str, done: int, total: int) -> None:
            if not asking.is_off:
                share = f"{count(done)} of {count(total)}" if total else ""
                self.app.call_from_thread(self._say, joined([what, share], " "))

        try:
            answer = ask(query, {"data": {"source": self._resolved()}, **details}, progress, asking)
        except HistotuiError as error:
            if not asking.is_off:
                self.app.call_from_thread(self._fail, str(error))
            return
        if not asking.is_off:
            self.app.call_from_thread(partial(self._take, query, answer))

    def _fail(self, message: str) -> None:
        self._say("")
        self.query_one("#found", Static).update(Text(clean_line(message), style="red"))
        self.query_one(Picture).show(None)
        self.query_one("#page", Label).update("")

    def _take(self, query: str, answer: Tree) -> None:
        self._say("")
        if query == "inspect":
            self._show_facts(answer)
            return
        self._answer = answer
        counts = answer.get("counts", {})
        if counts and self._split not in counts:
            # A source may have no training split, or patches that no split claims.
            self._split, self._page = next(iter(counts)), 0
            self._show_page()
            return
        self._show_counts(counts)
        self._paint()

    def _show_counts(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        lines = [line("patches by split and class", "bold")]
        for split, classes in counts.items():
            mark = "▸ " if split == self._split else "  "
            lines.append(line(f"{mark}{split:<6}" + "".join(f"{count(classes[name]):>9}" for name in _CLASSES)))
        header = line("        " + "".join(f"{name:>9}" for name in _CLASSES), "dim")
        hint = line("i  reads every patch and reports", "dim")
        self.query_one("#found", Static).update(Text("\n").join([lines[0], header, *lines[1:], Text(), hint]))

    def _show_facts(self, found: Tree) -> None:
        self.query_one("#found", Static).update(Text("\n").join(line(text) for text in facts(found)))

    def _paint(self) -> None:
        answer = self._answer
        pages, patches = answer.get("pages", 0), answer.get("patches", 0)
        place = f"page {self._page + 1} of {pages}, {count(patches)} patches" if patches else "no patches"
        self.query_one("#page", Label).update(line(f"{self._split}, {_CLASSES[self._label]}: {place}"))
        path = Path(answer["picture"]) if answer.get("picture") else None
        self.query_one(Picture).show(path, finish=outlined if self._outlined else None)

    def action_page(self, by: int) -> None:
        wanted = max(0, min(self._answer.get("pages", 1) - 1, self._page + by))
        if wanted != self._page:
            self._page = wanted
            self._show_page()

    def action_other_class(self) -> None:
        self._label, self._page = 1 - self._label, 0
        self._show_page()

    def action_next_split(self) -> None:
        splits = list(self._answer.get("counts", {}))
        if splits:
            place = splits.index(self._split) if self._split in splits else -1
            self._split, self._page = splits[(place + 1) % len(splits)], 0
            self._show_page()

    def action_outline(self) -> None:
        self._outlined = not self._outlined
        self._paint()

    def action_inspect(self) -> None:
        self._say("reading every patch …")
        self._ask("inspect")

    def action_source(self) -> None:
        self.query_one("#source", Input).focus()

    @on(Input.Submitted, "#source")
    def _look_at(self, event: Input.Submitted) -> None:
        self._source, self._split, self._label, self._page = event.value.strip() or TISSUE, "train", 0, 0
        self.query_one("#patches").focus()
        self._show_page()

    def _say(self, text: str) -> None:
        self.query_one("#said", Label).update(line(text or _HINT))

    def action_leave(self) -> None:
        self.dismiss()
