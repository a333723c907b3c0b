"""RunTable: runs as rows that keep their places, the highlight and the marks while they change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable
from textual.widgets.data_table import RowDoesNotExist

from histotui.formats import NOTHING, interval, number
from histotui.gaps import Baselines
from histotui.look import GLYPHS, joined, line, state_text
from histotui.runs import LIVE
from histotui.summary import RunSummary
from histotui.text import clean_line, fit, width
from histotui.times import age, left

PAGE = 200
"""Rows that are added at once; a run table of ten thousand would take seconds to fill."""
_NEAR_END = 20
_NAME = 20
_LONGEST_NAME = 32
_AFTER_NAMES = 4
"""The rank of the first column that gives way to long names."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one row shows: a run and its distance from the baseline."""

    run: RunSummary
    gap: float | None
    now: float


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the field that it sorts by; where there is no room, those of the highest rank give way first."""

    field: str
    title: str
    width: int
    cell: Callable[[Row], Text]
    rank: int
    right: bool = False
    falls: bool = False
    """What it shows falls as its field rises, as ages do while times of creation rise."""

    @property
    def rising(self) -> str:
        """The order in which what it shows rises from the top down."""
        return f"-{self.field}" if self.falls else self.field

    @property
    def falling(self) -> str:
        """The reverse of `rising`."""
        return self.field if self.falls else f"-{self.field}"


def _name(row: Row, columns: int) -> Text:
    return line(fit(_called(row.run), columns), "" if row.run.name else "dim")


def _called(run: RunSummary) -> str:
    return run.name or short_id(run.id)


def _stage(row: Row) -> Text:
    run = row.run
    if run.state == "finished":
        # The built-in tissue's AUC must not pass for one on real patches, nor a ceiling for a generator's.
        on = f"on {run.stand_in}" if run.stand_in else ""
        return line(joined([run.ceiling, run.stand_in], ", ") if run.ceiling else on, "yellow")
    progress = run.progress if run.state in LIVE else None
    share = progress.step / progress.total if progress and progress.total else None
    return line(joined([f"{run.stage:<12}", "" if share is None else f"{share:4.0%}"], " "))


def _auc(row: Row) -> Text:
    score = row.run.answer
    if not score:
        return Text(NOTHING, style="dim")
    return Text.assemble(
        (number(score.get("auc")), "bold"), " ", (interval(score.get("auc_low"), score.get("auc_high")), "dim")
    )


def _gap(row: Row) -> Text:
    if row.gap is None:
        return Text(f"{NOTHING:>7}", style="dim")
    return Text(f"{row.gap:>+7.3f}", style="green" if row.gap >= 0 else "yellow")


COLUMNS: Sequence[Column] = (
    Column("state", "state", 10, lambda row: state_text(row.run.state), 0),
    Column("name", "run", _NAME, partial(_name, columns=_NAME), 0),
    Column("progress", "stage", 17, _stage, 2),
    Column("left", "left", 7, lambda row: Text(f"{left(row.run):>7}"), 4, right=True),
    Column("auc", "test AUC", 21, _auc, 1),
    Column("gap", "to real", 7, _gap, 3, right=True),
    Column("created", "age", 8, lambda row: Text(f"{age(row.now - row.run.created):>8}"), 5, right=True, falls=True),
    Column("preset", "preset", 14, lambda row: line(fit(row.run.preset, 14)), 6),
    Column("device", "device", 8, lambda row: line(fit(row.run.device.partition(" ")[0], 8)), 8),
    Column("tags", "tags", 16, lambda row: line(fit(" ".join(row.run.tags), 16)), 7),
)


@cache
def fitting(columns: int, longest_name: int = 0) -> tuple[Column, ...]:
    """The columns that have room in a table of so many cells, the mark's own column taken off.

    Runs are told apart by their names before the columns from the rank of `left` on tell more of them.
    """
    room = columns - 4
    kept: dict[str, Column] = {}
    more = max(0, min(longest_name, _LONGEST_NAME) - _NAME)
    for column in sorted(COLUMNS, key=lambda column: column.rank):
        widened = more if column.rank >= _AFTER_NAMES else 0
        if column.width + 2 + widened > room:
            break
        kept[column.field] = column
        room -= column.width + 2
    if (name := kept.get("name")) is not None:
        wider = _NAME + min(more, room)
        kept["name"] = replace(name, width=wider, cell=partial(_name, columns=wider))
    return tuple(kept[column.field] for column in COLUMNS if column.field in kept)


def short_id(run_id: str) -> str:
    """An id without its date, which the column of ages tells."""
    stamp, _, rest = run_id.partition("-")
    return rest.partition("-")[2] if stamp.isdigit() and "-" in rest else run_id


def run_line(run: RunSummary, now: float) -> str:
    """A run on one line of a list at 80 columns, with what the table tells of it. `now` is in epoch seconds."""
    auc = joined([number(run.answer.get("auc"), 3 if run.ceiling else 4), run.ceiling or run.stand_in], " ")
    cells = (
        (f"{GLYPHS[run.state]} {run.state}", 10),
        (_called(run), 18),
        (run.preset, 13),
        (auc, 13),
    )
    return "  ".join([*(_cell(text, columns) for text, columns in cells), f"{age(now - run.created):>6}"])


def _cell(text: str, columns: int) -> str:
    shown = fit(clean_line(text), columns)
    return shown + " " * (columns - width(shown))


class RunTable(DataTable[Text]):
    """A table of runs. It shows what it is given, in that order."""

    DEFAULT_CSS = """
    RunTable { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Open", id="open", tooltip="Show this run"),
        Binding("space", "mark", "Select", id="select", tooltip="Select this run for what follows"),
        Binding("home", "scroll_top", "First run", show=False),
        Binding("end", "scroll_bottom", "Last run", show=False),
    ]

    class Sorted(Message):
        """A column's title was clicked, which asks for this order."""

        def __init__(self, order: str) -> None:
            super().__init__()
            self.order = order

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)
        self.marked: set[str] = set()
        self._rows: list[Row] = []
        self._shown = 0
        self._columns: tuple[Column, ...] = ()
        self._sort = ""

    @property
    def current(self) -> str | None:
        """The id of the highlighted run."""
        return self._rows[self.cursor_row].run.id if 0 <= self.cursor_row < self._shown else None

    @property
    def chosen(self) -> list[str]:
        """The selected runs in the table's order; without any, the highlighted one."""
        return self.selected or [run for run in (self.current,) if run]

    @property
    def selected(self) -> list[str]:
        """The selected runs that are shown, in the table's order."""
        return [row.run.id for row in self._rows if row.run.id in self.marked]

    @property
    def total(self) -> int:
        """How many runs there are, those that are not yet rows too."""
        return len(self._rows)

    def unmark(self) -> None:
        """Select no run."""
        marked, self.marked = self.marked, set()
        for row in self._rows[: self._shown]:
            if row.run.id in marked:
                self._update(row, "mark", self._mark(row))

    def show(self, runs: Sequence[RunSummary], gaps: Mapping[str, float | None], now: float, sort: str) -> None:
        """Show these runs; the highlight stays on its run wherever that has gone."""
        rows = [Row(run, gaps.get(run.id), now) for run in runs]
        same_rows = [row.run.id for row in rows] == [row.run.id for row in self._rows]
        before, self._rows = self._rows, rows
        if not same_rows or sort != self._sort or self._columns != self._fitting():
            self._sort = sort
            self._rebuild(before)
        else:
            self._refresh_cells(before)

    def _rebuild(self, before: Sequence[Row]) -> None:
        place = self.cursor_row
        current = before[place].run.id if 0 <= place < len(before) and place < self._shown else None
        offset = self.scroll_offset
        self._columns = self._fitting()
        self.clear(columns=True)
        self.add_column(" ", width=1, key="mark")
        for column in self._columns:
            self.add_column(self._title(column), width=column.width, key=column.field)
        found = next((number for number, row in enumerate(self._rows) if row.run.id == current), None)
        wanted = place if found is None else found
        self._shown = 0
        self._add_rows(max(PAGE, wanted + _NEAR_END + 1))
        if self._rows:
            self.move_cursor(row=min(wanted, self._shown - 1), animate=False, scroll=True)
            if found == place:
                self.scroll_to(y=offset.y, animate=False, immediate=True)

    def _fitting(self) -> tuple[Column, ...]:
        return fitting(self.size.width, max((len(_called(row.run)) for row in self._rows), default=0))

    def _title(self, column: Column) -> Text:
        title = column.title + {column.rising: " ▲", column.falling: " ▼"}.get(self._sort, "")
        return Text(f"{title:>{column.width}}" if column.right else title)

    def _add_rows(self, until: int) -> None:
        for row in self._rows[self._shown : until]:
            self.add_row(self._mark(row), *(column.cell(row) for column in self._columns), key=row.run.id)
        self._shown = min(until, len(self._rows))

    def _refresh_cells(self, before: Sequence[Row]) -> None:
        for row, old in zip(self._rows[: self._shown], before, strict=False):
            if row.run == old.run and row.gap == old.gap and row.now - old.now < 1:
                continue
            for column in self._columns:
                self._update(row, column.field, column.cell(row))

    def _update(self, row: Row, field: str, text: Text) -> None:
        try:
            if self.get_cell(row.run.id, field) != text:
                self.update_cell(row.run.id, field, text)
        except RowDoesNotExist:
            return

    def _mark(self, row: Row) -> Text:
        return Text("▪" if row.run.id in self.marked else " ", style="bold magenta")

    def action_mark(self) -> None:
        if (current := self.current) is None:
            return
        self.marked ^= {current}
        self._update(self._rows[self.cursor_row], "mark", self._mark(self._rows[self.cursor_row]))
        self.action_cursor_down()

    def action_scroll_bottom(self) -> None:
        """To the last run there is, which may be no row yet."""
        self._add_rows(len(self._rows))
        super().action_scroll_bottom()

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        if self._shown < len(self._rows) and event.cursor_row >= self._shown - _NEAR_END:
            self._add_rows(self._shown + PAGE)

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        clicked = next((column for column in self._columns if column.field == event.column_key.value), None)
        if clicked is not None:
            self.post_message(self.Sorted(clicked.falling if self._sort == clicked.rising else clicked.rising))

    def on_resize(self) -> None:
        if self._columns != self._fitting():
            self._rebuild(self._rows)


def gaps_of(runs: Sequence[RunSummary]) -> dict[str, float | None]:
    """For each run how far its test AUC is from that of real training data, where that is known."""
    baselines = Baselines.among(runs)
    return {run.id: baselines.gap(run) for run in runs}
