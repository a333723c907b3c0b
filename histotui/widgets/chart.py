"""Lines over an axis: smoothed, on a log scale, zoomed, and read off at a cursor. Loads numpy when it is imported."""

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static
from textual_hires_canvas import Canvas
from textual_plot import HiResMode, PlotWidget

from histotui.decimation import segments
from histotui.widgets.axes import DurationAxis, LogAxis, NumberAxis
from histotui.widgets.captions import legend, packed, settings, values_at
from histotui.widgets.lines import SMOOTHINGS, STEP, Line, XAxis, next_smoothing, traces_of
from histotui.widgets.plot import Plot
from histotui.widgets.traces import Stroke, Trace, marks_of, next_point, span_of, strokes_of, values_within
from histotui.widgets.view import Range, View, with_room


class Chart(Widget, can_focus=True):
    """A plot with its legend above and the values at the cursor below."""

    DEFAULT_CSS = """
    Chart {
        height: 1fr;
        min-height: 6;
        layout: vertical;
        & > Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
        & > .chart--empty { height: 1fr; content-align: center middle; color: $text-muted; }
        & > Plot { height: 1fr; }
        & > Plot > .plot--axis { color: $foreground 35%; }
        & > Plot > .plot--tick { color: $foreground 75%; text-style: none; }
        &:focus > Plot > .plot--axis { color: $primary; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("+,=", "smooth(1)", "Smoother", key_display="+"),
        Binding("-", "smooth(-1)", "Less smooth"),
        Binding("0", "smooth(0)", "Not smoothed", show=False),
        Binding("l", "toggle_log", "Log axis"),
        Binding("left", "move(-1)", "Cursor left", show=False),
        Binding("right", "move(1)", "Cursor right", show=False),
        Binding("home", "jump(0)", "Cursor to the first point", show=False),
        Binding("end", "jump(1)", "Cursor to the last point", show=False),
        Binding("i,]", "zoom(0.6)", "Zoom in", show=False),
        Binding("o,[", "zoom(1.6667)", "Zoom out", show=False),
        Binding("shift+left", "pan(-0.25)", "Pan left", show=False),
        Binding("shift+right", "pan(0.25)", "Pan right", show=False),
        Binding("r", "whole", "Whole range", show=False),
    ]

    DATA_SECONDS = 0.2
    KEY_SECONDS = 0.05
    """The least time between two drawings, for new data and for what a reader does."""

    smoothing: reactive[float] = reactive(0.0, init=False)
    log_scale: reactive[bool] = reactive(False, init=False)
    x_axis: reactive[XAxis] = reactive(STEP, init=False)
    cursor: reactive[float | None] = reactive[float | None](None, init=False)
    view: reactive[Range | None] = reactive[Range | None](None, init=False)
    """The part of the x axis that is zoomed in on; None shows all and follows."""

    class Changed(Message):
        """The reader changed the smoothing, the axis, the cursor or the view, which other charts may follow."""

        def __init__(self, chart: "Chart") -> None:
            super().__init__()
            self.chart = chart

        @property
        def control(self) -> "Chart":
            """The chart that was changed."""
            return self.chart

    def __init__(
        self,
        *,
        x_axis: XAxis = STEP,
        limits: tuple[Range, Range] | None = None,
        empty: str = "no metrics yet",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`limits` of x and y make a still picture, with neither cursor nor zoom nor smoothing; `empty` is shown
        while there is nothing to draw."""
        super().__init__(id=id, classes=classes)
        self.can_focus = limits is None
        self.set_reactive(Chart.x_axis, x_axis)
        self._limits = limits
        self._empty = empty
        self._title = ""
        self._lines: tuple[Line, ...] = ()
        self._traces: tuple[Trace, ...] = ()
        self._y_view: Range | None = None
        self._shown: tuple[Range, Range] = ((0.0, 1.0), (0.0, 1.0))
        self._pressed: tuple[int, int] | None = None
        self._timer: Timer | None = None
        self._due = self._drawn = 0.0
        self._head = Static(classes="chart--head")
        self._plot = Plot(allow_pan_and_zoom=limits is None, invert_mouse_wheel=True)
        self._message = Static(classes="chart--empty", markup=False)
        self._message.display = False
        self._foot = Static(classes="chart--foot")

    def compose(self) -> ComposeResult:
        """Legend, plot or what is said instead of it, values."""
        yield self._head
        yield self._plot
        yield self._message
        yield self._foot

    def on_mount(self) -> None:
        """Colours depend on the theme."""
        self._plot.margin_top = 0
        self._plot.margin_bottom = 1
        self.app.theme_changed_signal.subscribe(self, lambda _: self._prepare())
        self._prepare()

    # What the owner does

    def show(self, lines: Sequence[Line], title: str = "") -> None:
        """Draw these lines from now on. A zoomed view stays where it is, the whole view follows."""
        if title == self._title and len(lines) == len(self._lines) and all(map(Line.same, lines, self._lines)):
            return
        self._lines, self._title = tuple(lines), title
        self._prepare(self.DATA_SECONDS)

    @property
    def zoomed(self) -> bool:
        """Whether less than everything is shown."""
        return self.view is not None or self._y_view is not None

    def readout(self) -> list[str]:
        """The position of the cursor and what was logged up to there; the latest of each without a cursor."""
        named = self._named()
        if not named or self._limits:
            return [self.x_axis.title] if self._limits else []
        return values_at(self.cursor if self.cursor is not None else span_of(named)[1], self.x_axis, named)

    # What changes a drawing

    def validate_smoothing(self, weight: float) -> float:
        """Nothing is smoothed for ever."""
        return min(max(weight, 0.0), SMOOTHINGS[-1])

    def watch_smoothing(self) -> None:
        """Smooth anew."""
        self._prepare()

    def watch_log_scale(self) -> None:
        """A zoom of the values means nothing on the other scale."""
        self._y_view = None
        self._prepare()

    def watch_x_axis(self) -> None:
        """A place on one axis means nothing on another."""
        self.view = self.cursor = self._y_view = None
        self._prepare()

    def watch_view(self) -> None:
        """Draw what is in view."""
        self._draw_soon(self.KEY_SECONDS)

    def watch_cursor(self, cursor: float | None) -> None:
        """Say the values at once, and bring the place into view."""
        if cursor is not None and self._named():
            self.view = self._current_view().with_in_sight(cursor).part
        self._write_foot()
        self._draw_soon(self.KEY_SECONDS)

    @on(Canvas.Resize)
    def _fit_the_canvas(self, event: Canvas.Resize) -> None:
        # Another width takes another thinning.
        event.stop()
        self._draw_soon(self.KEY_SECONDS)

    def on_show(self) -> None:
        """What came while the chart was hidden was not drawn."""
        self._draw_soon(self.KEY_SECONDS)

    def _prepare(self, least: float = KEY_SECONDS) -> None:
        if self.is_mounted:
            smoothing = 0.0 if self._limits else self.smoothing
            self._traces = traces_of(self._lines, smoothing, self.log_scale, self.app.current_theme.dark)
            self._draw_soon(least)

    # Drawing

    def _draw_soon(self, least: float) -> None:
        if not self.is_mounted:
            return
        now = time.monotonic()
        due = max(now, self._drawn + least)
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.stop()
            self._timer = None
        if due <= now:
            # Charts that are told of news together are then painted together.
            self._draw()
        else:
            self._due = due
            self._timer = self.set_timer(due - now, self._draw)

    def _draw(self) -> None:
        self._timer = None
        if not self.size.area:
            return
        self._drawn = time.monotonic()
        message = self._why_empty()
        self._plot.display, self._message.display = not message, bool(message)
        if message:
            self._message.update(message)
        self._write_head()
        self._write_foot()
        if not message:
            self._draw_plot()

    def _why_empty(self) -> str:
        if not any(len(trace.x) for trace in self._traces if not trace.dim):
            return self._empty
        if self._limits or any(trace.has_finite for trace in self._traces):
            return ""
        return "nothing above zero to draw on a log axis; l goes back" if self.log_scale else "no finite value yet"

    def _draw_plot(self) -> None:
        columns, rows = self._cells
        x_shown = self._current_view().shown(columns)
        strokes = strokes_of(self._traces, 2 * columns, x_shown)
        self._shown = x_shown, self._y_range(strokes, x_shown, rows)
        with self._plot.drawing():
            self._set_axes(columns, rows)
            self._plot.clear()
            self._plot.set_xlimits(*self._shown[0])
            self._plot.set_ylimits(*self._shown[1])
            for stroke in strokes:
                self._draw_stroke(stroke)
            for stroke, x, y in marks_of(strokes, self._shown, max(columns // 40, 1)):
                self._plot.scatter(x, y, stroke.mark, stroke.style)
            if self.cursor is not None and x_shown[0] <= self.cursor < x_shown[1]:
                self._plot.add_v_line(self.cursor, "dim")

    @property
    def _cells(self) -> tuple[int, int]:
        """Columns and rows within the frame."""
        size = self._plot.query_one("#plot").size
        return max(size.width - 2, 4), max(size.height - 2, 2)

    def _current_view(self) -> View:
        return View(self._limits[0] if self._limits else span_of(self._traces), self.view)

    def _y_range(self, strokes: Sequence[Stroke], x_shown: Range, rows: int) -> Range:
        if self._limits:
            return with_room(self._limits[1], 0.25 / rows, 0.25 / rows)
        return self._y_view or with_room(values_within(strokes, x_shown), 0.05, 0.05)

    def _set_axes(self, columns: int, rows: int) -> None:
        x_kind = DurationAxis if self.x_axis.seconds else NumberAxis
        y_kind = LogAxis if self.log_scale else NumberAxis
        y_axis = y_kind(min(2 + rows // 4, 8))
        labels = y_axis.get_ticks_and_labels(*self._shown[1])[1]
        margin = max(max(map(len, labels), default=0) + 1, 8 if self.size.width >= 60 else 5)
        if margin != self._plot.margin_left:
            self._plot.margin_left = margin
            self._plot.refresh(layout=True)
        self._plot.set_x_formatter(x_kind(min(max(columns // 10, 2), 8), columns))
        self._plot.set_y_formatter(y_axis)

    def _draw_stroke(self, stroke: Stroke) -> None:
        for x, y in segments(stroke.x, stroke.y):
            # The library draws between points, so a point alone is a line to itself.
            times = 2 if len(x) == 1 else 1
            self._plot.plot(x.repeat(times), y.repeat(times), stroke.style, HiResMode.BRAILLE)

    def _write_head(self) -> None:
        said = settings(0.0 if self._limits else self.smoothing, self.log_scale, self.zoomed)
        _write(self._head, packed(legend(self._title, self._traces), self.size.width, self._text_rows, said))

    def _write_foot(self) -> None:
        _write(self._foot, packed([Content(part) for part in self.readout()], self.size.width, self._text_rows))

    @property
    def _text_rows(self) -> int:
        return max(self.size.height // 10, 1)

    # What the reader does

    def action_smooth(self, direction: int) -> None:
        """Smoother, less smooth, or 0: not at all."""
        self.smoothing = next_smoothing(self.smoothing, direction)
        self.post_message(self.Changed(self))

    def action_toggle_log(self) -> None:
        """Logarithms of the values, or the values."""
        self.log_scale = not self.log_scale
        self.post_message(self.Changed(self))

    def action_move(self, direction: int) -> None:
        """The cursor to the next point that is a column further; at first, to the last point in view."""
        if not self._named():
            return
        low, high = self._shown[0]
        column = (high - low) / self._cells[0]
        if self.cursor is None:
            self._set_cursor(next_point(self._named(), high, -0.4 * column))
        else:
            self._set_cursor(next_point(self._named(), self.cursor, direction * column))

    def action_jump(self, end: int) -> None:
        """The cursor to the first point or the last."""
        if self._named():
            self._set_cursor(self._current_view().whole[end])

    def action_zoom(self, factor: float) -> None:
        """Less of the x axis around the cursor, or more of it; the values fit themselves in."""
        if self._named():
            # What was drawn last may be older than a key before this one.
            view = self._current_view()
            self._set_view(view.zoomed(view.shown(self._cells[0]), factor, self.cursor))

    def action_pan(self, share: float) -> None:
        """Another part of the x axis, as long as this one."""
        if self.view and self._named():
            self._set_view(self._current_view().panned(share))

    def action_whole(self) -> None:
        """Everything, without a cursor, and following what comes."""
        self.view = self._y_view = self.cursor = None
        self._draw_soon(self.KEY_SECONDS)
        self.post_message(self.Changed(self))

    def _named(self) -> list[Trace]:
        return [trace for trace in self._traces if len(trace.x) and not trace.dim]

    def _set_cursor(self, x: float) -> None:
        self.cursor = x
        self.post_message(self.Changed(self))

    def _set_view(self, view: View) -> None:
        self.view = view.part
        self.post_message(self.Changed(self))

    @on(PlotWidget.ScaleChanged)
    def _follow_the_mouse(self, event: PlotWidget.ScaleChanged) -> None:
        event.stop()
        x_shown, y_shown = (event.x_min, event.x_max), (event.y_min, event.y_max)
        if y_shown != self._shown[1]:
            self._y_view = y_shown
        if x_shown != self._shown[0]:
            self.view = x_shown
        self._shown = x_shown, y_shown
        self._draw_soon(self.KEY_SECONDS)
        self.post_message(self.Changed(self))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Where a press began tells a click from a drag."""
        self._pressed = (event.screen_x, event.screen_y)

    def on_click(self, event: events.Click) -> None:
        """The cursor to the point that was clicked."""
        canvas = self._plot.query_one("#plot")
        if self._limits or self._pressed != (event.screen_x, event.screen_y) or not self._named():
            return
        if canvas.region.contains(event.screen_x, event.screen_y):
            x, _ = self._plot.get_coordinate_from_pixel(event.screen_x - canvas.region.x, 0)
            self._set_cursor(next_point(self._named(), x, 0))


def _write(place: Static, content: Content) -> None:
    """Change what is said, and lay out the screen only where it takes other rows than before: that is slow."""
    before = place.content
    if not (isinstance(before, Content) and content.is_same(before)):
        rows = before.plain.count("\n") if isinstance(before, Content) and before else None
        place.update(content, layout=rows != content.plain.count("\n"))
