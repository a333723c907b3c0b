"""ScoreTable: runs in the form of the study's Table 1, the best of each column marked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import DataTable

from histotui.comparison import Comparison, Row
from histotui.formats import NOTHING, interval, number
from histotui.look import line
from histotui.text import fit

BEST = "▲"
_NARROW, _WIDE = 0, 104


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title and width, the measure whose best is marked, from which width on it is shown."""

    title: str
    width: int
    cell: Callable[[Row], str]
    measure: str = ""
    from_width: int = _NARROW
    where_known: bool = False
    """Whether it is left out where no run has anything to say there."""


def _value(name: str) -> Callable[[Row], str]:
    return lambda row: str(row[name]) if row[name] is not None else NOTHING


def _number(name: str) -> Callable[[Row], str]:
    return lambda row: number(row[name])


def _study_loss(row: Row) -> str:
    """The study's loss, or in a word why it has none."""
    return (
        number(row["study_loss"]) if row["study_loss"] is not None else row["study_note"].partition(",")[0] or NOTHING
    )


COLUMNS: Sequence[Column] = (
    Column("trained on", 13, _value("trained_on"), from_width=_WIDE),
    Column("latent", 6, _value("latent")),
    Column("chan.", 5, _value("channels")),
    Column("loss", 7, _number("loss"), "loss"),
    Column("accuracy", 8, _number("accuracy"), "accuracy"),
    Column("AUC", 7, _number("auc"), "auc"),
    Column("95 % interval", 14, lambda row: interval(row["auc_low"], row["auc_high"])),
    Column(
        "by slides", 14, lambda row: interval(row["slide_low"], row["slide_high"]), from_width=_WIDE, where_known=True
    ),
    Column("by real", 7, _number("by_real_auc"), from_width=_WIDE, where_known=True),
    Column("ECE", 7, _number("ece"), "ece", _WIDE),
    Column("study: loss", 11, _study_loss, from_width=_WIDE),
    Column("acc.", 6, _number("study_accuracy"), from_width=_WIDE),
    Column("AUC", 6, _number("study_auc"), from_width=_WIDE),
    Column("study", 6, _number("study_auc")),
)
_NAME, _WIDE_NAME = 18, 26


class ScoreTable(DataTable[Text]):
    """One row for each run compared. Rows keep the highlight when they are filled again."""

    BINDINGS: ClassVar[list[BindingType]] = []
    DEFAULT_CSS = """
    ScoreTable {
        height: auto;
        max-height: 60%;
    }
    """

    def __init__(self) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False, cell_padding=0)
        self._comparison = Comparison()

    def show(self, comparison: Comparison) -> None:
        """Fill the table with these runs."""
        self._comparison = comparison
        self._fill()

    def on_resize(self) -> None:
        self._fill()

    @property
    def highlighted_run(self) -> str:
        """The id of the run under the cursor; empty where there is none."""
        runs = self._comparison.runs
        return runs[self.cursor_row].id if 0 <= self.cursor_row < len(runs) else ""

    def _fill(self) -> None:
        wide = self.size.width >= _WIDE
        columns = [column for column in COLUMNS if (column.from_width == _NARROW or wide) and self._says(column)]
        if wide:
            columns = columns[:-1]
        kept = self.cursor_row
        self.clear(columns=True)
        name = _WIDE_NAME if wide else _NAME
        self.add_column("run", width=name + 1)
        for column in columns:
            self.add_column(Text(f"{column.title} ", justify="right"), width=column.width + 1)
        for place, (label, row) in enumerate(zip(self._comparison.labels, self._comparison.rows, strict=True)):
            self.add_row(
                line(fit(label, name)), *(self._cell(column, place, row) for column in columns), key=row["run"]
            )
        self.move_cursor(row=min(kept, max(0, self.row_count - 1)))

    def _says(self, column: Column) -> bool:
        """Whether the column has something to say of one of the runs."""
        return not column.where_known or any(column.cell(row) != NOTHING for row in self._comparison.rows)

    def _cell(self, column: Column, place: int, row: Row) -> Text:
        best = place in self._comparison.best.get(column.measure, ())
        text = line(fit(column.cell(row), column.width), "bold green" if best else "")
        text.justify = "right"
        return Text.assemble((BEST, "green"), text, " ", justify="right") if best else text + Text(" ")
