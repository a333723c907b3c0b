"""The parts of a comparison: paired tests, curves laid over each other, matrices, sample grids and settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, Vertical, VerticalScroll
from textual.widgets import DataTable, Label, OptionList, Static
from textual.widgets.option_list import Option

from engine.spec.events import ImageSaved
from histotui.comparison import Comparison
from histotui.curves import Curve
from histotui.formats import number
from histotui.graphics import Graphics
from histotui.look import line
from histotui.text import clean, fit
from histotui.widgets.chart import Chart
from histotui.widgets.confusion import WIDTH, ConfusionMatrix
from histotui.widgets.lines import EPOCH, STEP, TIME, curve_line
from histotui.widgets.picture import Picture
from histotui.widgets.score_charts import roc_chart

Key = tuple[str, str]
_SETTING, _VALUE = 34, 24
_AXES: Final = (STEP, EPOCH, TIME)
_VALIDATION_AUC: Final = "validation_auc"


@dataclass(frozen=True, slots=True)
class PairedTests:
    """The engine's answer about every two runs, by their ids; both are None where it hasn't come yet."""

    pairs: tuple[Mapping[str, Any], ...] = ()
    refused: tuple[Mapping[str, Any], ...] = ()
    error: str = ""

    def against(self, first: str, second: str) -> tuple[float, float, float, float] | str:
        """How far the second's AUC is above the first's, the ends of the interval, and p; or why that isn't known."""
        for pair in self.pairs:
            low, high = pair["low"], pair["high"]
            if (pair["first"], pair["second"]) == (first, second):
                return pair["difference"], low, high, pair["p"]
            if (pair["first"], pair["second"]) == (second, first):
                return -pair["difference"], -high, -low, pair["p"]
        for pair in self.refused:
            if {pair["first"], pair["second"]} == {first, second}:
                # Both are named beside it already.
                return str(pair["why"]).replace(f"{pair['first']} and {pair['second']} were ", "")
        return self.error or "no scores to compare"


def paired_text(tests: PairedTests | None, comparison: Comparison, first: str, highlighted: str) -> Text:
    """Each run's AUC against the first's, a line each."""
    labels = {run.id: label for run, label in zip(comparison.runs, comparison.labels, strict=True)}
    others = [run.id for run in comparison.runs if run.id != first]
    if not others:
        return Text("a adds a run to compare with", style="dim")
    over = " over slides" if tests is not None and any(pair.get("slides") for pair in tests.pairs) else ""
    title = Text.assemble(("AUC against ", "bold"), line(labels[first], "bold"), (f"  paired DeLong test{over}", "dim"))
    if tests is None:
        return Text("\n").join([title, Text("comparing …", style="dim")])
    return Text("\n").join(
        [title, *(_pair(tests, first, other, labels[other], other == highlighted) for other in others)]
    )


def _pair(tests: PairedTests, first: str, other: str, label: str, highlighted: bool) -> Text:
    found = tests.against(first, other)
    head = line(f"{'▸' if highlighted else ' '} {fit(label, 22):<22}  ", "bold" if highlighted else "")
    if isinstance(found, str):
        return head + Text(clean(found), style="yellow")
    difference, low, high, p = found
    verdict = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    style = ("green" if difference > 0 else "red") if p < 0.05 else ""
    return head + Text.assemble((f"{difference:+.4f}", style), f"  [{low:+.4f}, {high:+.4f}]  ", (verdict, style))


class OverlaidCurves(Horizontal):
    """A list of what the runs log, and a chart of one of these with a line for each run that has it."""

    DEFAULT_CSS = """
    OverlaidCurves OptionList { width: 28; height: 1fr; border: none; background: $surface; padding: 0 1; }
    OverlaidCurves Chart { width: 1fr; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "next_axis", "Axis", id="compare-axis", tooltip="Steps, epochs or time along the bottom"),
        Binding("g", "other_side", "List", id="compare-list", tooltip="Between the list of metrics and the chart"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[tuple[str, tuple[Curve, ...]], ...] = ()
        self._keys: list[Key] = []
        self._chosen: Key | None = None

    def compose(self) -> ComposeResult:
        yield OptionList(compact=True)
        yield Chart(empty="no curves yet: they appear while the runs train")

    def show(self, curves: Sequence[tuple[str, tuple[Curve, ...]]]) -> None:
        """Show these runs' curves, each run under its label."""
        self._lines = tuple(curves)
        keys = list(dict.fromkeys((curve.stage, curve.name) for _, of_run in curves for curve in of_run))
        if keys != self._keys:
            self._keys = keys
            self._fill()
        self._draw()

    def _fill(self) -> None:
        options = self.query_one(OptionList)
        with self.prevent(OptionList.OptionHighlighted):
            options.clear_options()
            for stage in dict.fromkeys(stage for stage, _ in self._keys):
                options.add_option(Option(line(stage, "bold"), disabled=True))
                names = [name for of, name in self._keys if of == stage]
                options.add_options(Option(line(f" {name}"), id=_id((stage, name))) for name in names)
            if self._keys:
                options.highlighted = options.get_option_index(_id(self._highlighted()))

    def _highlighted(self) -> Key:
        """The reader's choice, or else the same whichever run was read first."""
        return self._chosen if self._chosen in self._keys else most_telling(self._keys)

    @on(OptionList.OptionHighlighted)
    def _choose(self, event: OptionList.OptionHighlighted) -> None:
        self._chosen = next((key for key in self._keys if _id(key) == event.option_id), None)
        self._draw()

    def _draw(self) -> None:
        key, chart = self._highlighted() if self._keys else None, self.query_one(Chart)
        named = (
            (label, curve) for label, of_run in self._lines for curve in of_run if (curve.stage, curve.name) == key
        )
        title = f"{key[0]}: {key[1]}" if key else ""
        chart.show([curve_line(curve, chart.x_axis, label) for label, curve in named], title)

    @on(OptionList.OptionSelected)
    def action_other_side(self) -> None:
        options, chart = self.query_one(OptionList), self.query_one(Chart)
        (chart if options.has_focus else options).focus()

    def action_next_axis(self) -> None:
        chart = self.query_one(Chart)
        chart.x_axis = _AXES[(_AXES.index(chart.x_axis) + 1) % len(_AXES)]
        self._draw()


def most_telling(keys: Sequence[Key]) -> Key:
    """Of these stages and names the AUC on validation patches, real ones before synthetic; else the first by name."""
    return min(keys, key=lambda key: (key[1] != _VALIDATION_AUC, not key[1].endswith(_VALIDATION_AUC), key[1], key[0]))


def _id(key: Key) -> str:
    return "\x00".join(key)


class RocPane(VerticalScroll):
    """Every run's ROC curve in one chart."""

    DEFAULT_CSS = """
    RocPane UnitChart { height: 1fr; min-height: 14; max-width: 110; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._scores: list[tuple[str, Mapping[str, Any]]] = []

    def compose(self) -> ComposeResult:
        yield roc_chart(self._scores)

    def show(self, comparison: Comparison) -> None:
        """Draw these runs' curves."""
        named = zip(comparison.labels, comparison.runs, strict=True)
        self._scores = [(label, run.answer) for label, run in named if run.answer]
        self.refresh(recompose=True)


class _SideBySide(VerticalScroll):
    """Blocks in as many columns as there is room for."""

    DEFAULT_CSS = """
    _SideBySide { padding: 0 1; }
    _SideBySide Grid { height: auto; grid-gutter: 1 2; grid-rows: auto; }
    _SideBySide .block { height: auto; }
    """
    LEAST: ClassVar[int] = WIDTH

    def __init__(self) -> None:
        super().__init__()
        self._comparison = Comparison()

    def compose(self) -> ComposeResult:
        with Grid():
            yield from self.blocks()

    def blocks(self) -> ComposeResult:
        """One block for each run."""
        yield from ()

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        across = max(1, (self.size.width + 2) // (self.LEAST + 2))
        for grid in self.query(Grid):
            grid.styles.grid_size_columns = max(1, min(across, len(self._comparison.runs)))

    def show(self, comparison: Comparison) -> None:
        """Show these runs."""
        self._comparison = comparison
        self.call_later(self._again)

    async def _again(self) -> None:
        await self.recompose()
        self._arrange()


class MatrixPane(_SideBySide):
    """The confusion matrices side by side, at the threshold of the configuration and at validation's."""

    def blocks(self) -> ComposeResult:
        for label, run in zip(self._comparison.labels, self._comparison.runs, strict=True):
            with Vertical(classes="block"):
                yield Label(line(fit(label, WIDTH), "bold"))
                yield from _matrices(run.answer) if run.answer else [Static(f"no scores: it is {run.state}")]


def _matrices(answer: Mapping[str, Any]) -> Iterator[ConfusionMatrix]:
    yield ConfusionMatrix(answer, "at the threshold of the configuration", "dim")
    point = answer.get("at_validation_threshold")
    if isinstance(point, dict):
        yield ConfusionMatrix(point, f"at validation's threshold {number(point.get('threshold'), 3)}", "dim")


class GridsPane(_SideBySide):
    """The newest sample grid of each run side by side."""

    DEFAULT_CSS = """
    GridsPane Picture { height: auto; }
    """
    LEAST: ClassVar[int] = 36

    def __init__(self, graphics: Graphics) -> None:
        super().__init__()
        self._graphics = graphics
        self._images: Mapping[str, ImageSaved] = {}

    def blocks(self) -> ComposeResult:
        for label, run in zip(self._comparison.labels, self._comparison.runs, strict=True):
            image = self._images.get(run.id)
            with Vertical(classes="block"):
                yield Label(line(label, "bold"))
                picture = Picture(self._graphics, empty="no samples yet")
                picture.show(run.folder.path / image.path if image else None, _caption(image) if image else "")
                yield picture

    def show_images(self, images: Mapping[str, ImageSaved]) -> None:
        """Show these grids, by run."""
        if images != self._images:
            self._images = images
            self.call_later(self._again)


def _caption(image: ImageSaved) -> str:
    return f"{'real patches' if image.stage == 'prepare' else f'{image.stage}, step {image.step:,}'}"


class DifferencesPane(DataTable[Text]):
    """The settings that aren't the same in every run, and no others."""

    DEFAULT_CSS = """
    DifferencesPane > .datatable--fixed { background: $panel; color: $foreground; }
    """

    def __init__(self) -> None:
        super().__init__(cursor_type="row", fixed_columns=1)

    def show(self, comparison: Comparison) -> None:
        """Show what differs between these runs."""
        self.clear(columns=True)
        if not comparison.differences:
            alone = len(comparison.runs) < 2
            self.add_column("a adds a run to compare with" if alone else "the runs have the same settings")
            return
        self.add_column("setting")
        for label in comparison.labels:
            self.add_column(line(fit(label, _VALUE)))
        for path, values in comparison.differences:
            self.add_row(line(fit(path, _SETTING)), *(line(fit(value, _VALUE)) for value in values))
