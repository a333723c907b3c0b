"""The library's plot, drawn faster and without its keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Grid
from textual.events import Mount, MouseScrollDown, MouseScrollUp
from textual.geometry import Region
from textual.strip import Strip
from textual_hires_canvas import Canvas
from textual_plot import PlotWidget
from textual_plot.plot_widget import Legend, LinePlot

from histotui.decimation import braille, floats

BRAILLE: Final = 0x2800


class _PlotCanvas(Canvas):
    """A canvas that can be drawn under NO_COLOR before it has a size: the library's blank has no style to filter."""

    _style: Style | None = None

    @property
    def rich_style(self) -> Style:
        return self._style or super().rich_style

    def render_lines(self, crop: Region) -> list[Strip]:
        # The library works the style out for each line anew.
        self._style = super().rich_style
        try:
            return super().render_lines(crop)
        finally:
            self._style = None

    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        return strip if strip.cell_length else Strip([])


class Plot(PlotWidget, can_focus=False, inherit_bindings=False):
    """The library's plot, with the keys and the focus left to the chart."""

    MOUSE_ZOOM_FACTOR = 0.15
    _is_drawing = False

    def on_mount(self, event: Mount) -> None:  # type: ignore[override]
        # Where the screen is left at the same moment, what the library would lay out is gone already.
        if not self.query(Grid):
            event.prevent_default()

    def _update_margin_sizes(self) -> None:
        # The chart around it sets its margins when it is mounted, which may be at that moment too.
        if self.query(Grid):
            super()._update_margin_sizes()

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw all that changes inside at once; the library draws while it is painted and is then painted again."""
        self._is_drawing = True
        try:
            yield
        finally:
            self._is_drawing = False
        # Before its canvases have their new sizes there is nothing to draw on.
        if not self._needs_canvas_resize:
            self.render()

    def _rerender(self) -> None:
        if self._is_drawing:
            self._needs_rerender = True
        else:
            super()._rerender()

    def compose(self) -> ComposeResult:
        with Grid():
            yield from (_PlotCanvas(1, 1, id=name) for name in ("margin-top", "margin-left", "plot", "margin-bottom"))
        yield Legend(id="legend")

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        self._leave_to_the_scroller(event)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        self._leave_to_the_scroller(event)

    def _leave_to_the_scroller(self, event: MouseScrollDown | MouseScrollUp) -> None:
        # The library swallows the wheel even where it zooms nothing.
        if not self._allow_pan_and_zoom:
            event.prevent_default()

    def _render_plot(self) -> None:
        # Every pixel that is set asks for a refresh, which takes longer than setting it.
        with self.query_one("#plot", Canvas).batch_refresh():
            super()._render_plot()

    def _render_line_plot(self, dataset: LinePlot) -> None:
        """All dots at once, where the library goes from one to the next."""
        canvas, frame = self.query_one("#plot", Canvas), self._scale_rectangle
        x = (floats(dataset.x) - self._x_min) / (self._x_max - self._x_min) * frame.width
        y = (self._y_max - floats(dataset.y)) / (self._y_max - self._y_min) * frame.height
        cells = braille(x, y, frame.width, frame.height)
        for row, column in np.argwhere(cells).tolist():
            place = column + frame.x, row + frame.y
            character, style = canvas.get_pixel(*place)
            # Stretches of one line share the cells that they meet in.
            before = ord(character) - BRAILLE if style == dataset.line_style else 0
            canvas.set_pixel(*place, chr(BRAILLE + (int(cells[row, column]) | max(before, 0))), dataset.line_style)
