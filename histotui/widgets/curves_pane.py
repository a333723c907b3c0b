"""CurvesPane: every metric that a run logs, by its paper name, a chart each."""

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal
from textual.timer import Timer
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from histotui.curves import Curve
from histotui.look import line
from histotui.preferences import Memory
from histotui.widgets.chart import Chart
from histotui.widgets.lines import EPOCH, STEP, TIME, XAxis, curve_line

_AXES: Sequence[XAxis] = (STEP, EPOCH, TIME)
_LEAST_ROWS, _LEAST_COLUMNS = 12, 60
_MOST = 6
_DRAW_SECONDS = 0.6
"""The least time between two drawings of news: a long curve moves by less than a column in it."""

_Key = tuple[str, str]


class CurvesPane(Horizontal):
    """A list of metrics, and charts of the highlighted one and those after it."""

    DEFAULT_CSS = """
    CurvesPane OptionList { width: 29; height: 1fr; border: none; background: $surface; padding: 0 1; }
    CurvesPane > #charts { width: 1fr; height: 1fr; grid-size: 1; }
    CurvesPane Chart { padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t,a", "next_axis", "Axis", id="x-axis", tooltip="Steps, epochs or time along the bottom"),
        Binding("g", "other_side", "List", id="metric-list", tooltip="To the chart with its own keys, and back"),
    ]

    def __init__(self, memory: Memory, id: str | None = None) -> None:
        super().__init__(id=id)
        self._memory = memory
        self._curves: tuple[Curve, ...] = ()
        self._first: _Key | None = None
        self._followed = True
        self._drawn = -_DRAW_SECONDS
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield OptionList(compact=True)
        with Grid(id="charts"):
            yield from (self._chart() for _ in range(_MOST))

    def _chart(self) -> Chart:
        chart = Chart(x_axis=self._remembered_axis())
        chart.set_reactive(Chart.smoothing, self._memory.state.smoothing)
        chart.set_reactive(Chart.log_scale, self._memory.state.log_axis)
        return chart

    def _remembered_axis(self) -> XAxis:
        return next((axis for axis in _AXES if axis.title == self._memory.state.x_axis), STEP)

    def show(self, curves: Sequence[Curve], stage: str) -> None:
        """Show these curves; those of the present stage until the reader has chosen others."""
        before, self._curves = [_key(curve) for curve in self._curves], tuple(curves)
        keys = [_key(curve) for curve in curves]
        if keys != before:
            self._fill_list()
        if self._followed and keys:
            self._take(next((key for key in keys if key[0] == stage), keys[0]))
            self._highlight()
        self._draw_soon()

    def _draw_soon(self) -> None:
        wait = self._drawn + _DRAW_SECONDS - time.monotonic()
        if wait <= 0:
            self._draw()
        elif self._timer is None:
            self._timer = self.set_timer(wait, self._draw)

    def _fill_list(self) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        stage = ""
        for curve in self._curves:
            if curve.stage != stage:
                stage = curve.stage
                options.add_option(Option(line(stage, "bold"), disabled=True))
            options.add_option(Option(line(f" {curve.name}"), id="\x00".join(_key(curve))))
        self._highlight()

    def _highlight(self) -> None:
        if self._first is None:
            return
        options = self.query_one(OptionList)
        place = options.get_option_index("\x00".join(self._first))
        if options.highlighted != place:
            with self.prevent(OptionList.OptionHighlighted):
                options.highlighted = place

    @on(OptionList.OptionHighlighted)
    def _choose(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_id is None:
            return
        stage, _, name = event.option_id.partition("\x00")
        self._followed = False
        self._take((stage, name))
        self._draw()

    def _take(self, key: _Key) -> None:
        """Show this curve first; a place among the steps of one stage means nothing on those of another."""
        if self._first is not None and key[0] != self._first[0]:
            for chart in self.query(Chart):
                with chart.prevent(Chart.Changed):
                    chart.action_whole()
        self._first = key

    @on(OptionList.OptionSelected)
    def action_other_side(self) -> None:
        options, chart = self.query_one(OptionList), self.query(Chart).first()
        (chart if options.has_focus else options).focus()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        if self._timer is not None:
            self._timer.stop()
        self._timer, self._drawn = None, time.monotonic()
        grid = self.query_one("#charts", Grid)
        columns = max(1, grid.size.width // _LEAST_COLUMNS)
        rows = max(1, grid.size.height // _LEAST_ROWS)
        shown = self._shown(min(_MOST, columns * rows))
        columns = min(columns, max(1, len(shown)))
        grid.styles.grid_size_columns = columns
        grid.styles.grid_size_rows = max(1, -(-len(shown) // columns))
        for place, chart in enumerate(self.query(Chart)):
            chart.display = place < max(1, len(shown))
            if place < len(shown):
                curve = shown[place]
                chart.show([curve_line(curve, chart.x_axis)], f"{curve.stage}: {curve.name}")

    def _shown(self, most: int) -> list[Curve]:
        """As many as fit: the first chosen one, then the others of its stage."""
        of_stage = [curve for curve in self._curves if self._first and curve.stage == self._first[0]]
        place = next((number for number, curve in enumerate(of_stage) if _key(curve) == self._first), 0)
        return (of_stage[place:] + of_stage[:place])[:most]

    @on(Chart.Changed)
    def _change_all(self, event: Chart.Changed) -> None:
        changed = event.chart
        for chart in self.query(Chart):
            if chart is not changed:
                with chart.prevent(Chart.Changed):
                    chart.smoothing, chart.log_scale = changed.smoothing, changed.log_scale
                    chart.view, chart.cursor = changed.view, changed.cursor
        self._memory.remember(smoothing=changed.smoothing, log_axis=changed.log_scale)

    def action_next_axis(self) -> None:
        present = self.query(Chart).first().x_axis
        axis = _AXES[(_AXES.index(present) + 1) % len(_AXES)]
        for chart in self.query(Chart):
            chart.x_axis = axis
        self._memory.remember(x_axis=axis.title)
        self._draw()


def _key(curve: Curve) -> _Key:
    return curve.stage, curve.name
