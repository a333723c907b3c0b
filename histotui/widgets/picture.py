"""A picture from a file, drawn as sharply as the terminal can."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.control import Control
from rich.segment import ControlType, Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from engine.spec.errors import RunFolderError
from histotui.drawing import FULL, INLINE, Drawing, Order, open_picture, redrawn, sixels
from histotui.graphics import Graphics, Kind, available
from histotui.text import clean, clean_line

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Picture", "open_picture"]


class Picture(Widget):
    """One picture with its caption, or a word on why there is none; the newest that was asked for wins."""

    DEFAULT_CSS = """
    Picture { width: 1fr; height: 1fr; layout: vertical; overflow: hidden; }
    Picture > Static { width: 1fr; height: auto; display: none; }
    Picture > .caption { height: 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    kind: reactive[Kind] = reactive[Kind]("halfcell", init=False)

    def __init__(
        self,
        graphics: Graphics,
        *,
        empty: str = "no picture yet",
        full: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.set_reactive(Picture.kind, graphics.kind)
        self._graphics = graphics
        self._empty = empty
        self._limit = FULL if full else INLINE
        self._source: Path | Image | None = None
        self._caption = ""
        self._finish: Callable[[Image], Image] | None = None
        self._order: Order | None = None
        self._at_work = False
        self._words = Static(Content(clean(empty)), classes="words")
        self._canvas = _Canvas()
        self._below = Static(classes="caption")

    def compose(self) -> ComposeResult:
        yield self._words
        yield self._canvas
        yield self._below

    def show(self, path: Path | None, caption: str = "", finish: "Callable[[Image], Image] | None" = None) -> None:
        """Show this file, as `finish` leaves it in a thread; None for what is said where there is no picture."""
        self._source, self._caption, self._finish = path, caption, finish
        self._redraw()

    def show_image(self, image: "Image", caption: str = "") -> None:
        """Show pixels that are in memory already; they must not change afterwards."""
        self._source, self._caption, self._finish = image, caption, None
        self._redraw()

    def cycle(self) -> None:
        """Draw in the next of the ways that this terminal has."""
        kinds = available(self._graphics.kind)
        self.kind = kinds[(kinds.index(self.kind) + 1) % len(kinds)] if self.kind in kinds else kinds[0]

    def watch_kind(self) -> None:
        self._redraw()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._redraw())
        # A program that had the screen meanwhile may have cleared what the terminal kept.
        self.app.app_resume_signal.subscribe(self, lambda _: self._redraw())
        self._redraw()

    def on_resize(self) -> None:
        if self._order is None or self._order.room != self._room():
            self._redraw()

    def on_unmount(self) -> None:
        self._send(self._canvas.swap(None))

    def _redraw(self) -> None:
        if not self.is_mounted:
            return
        if self._source is None:
            self._say(self._empty)
        elif self.kind == "off":
            self._say(str(self._source) if isinstance(self._source, Path) else "pictures are off")
        elif all(side > 0 for side in self._room()):
            self._order = self._ordered(self._source)
            if not self._at_work:
                self._at_work = True
                self.run_worker(self._draw(), group="picture")

    def _ordered(self, source: "Path | Image") -> Order:
        return Order(
            source,
            self._caption,
            self.kind,
            self._graphics.cell,
            self._room(),
            self._limit,
            self._canvas.background_colors[1].rgb,
            self.app.current_theme.dark,
            self._finish,
        )

    def _room(self) -> tuple[int, int]:
        """Columns and rows for the picture itself; one that sets its own height has the screen's."""
        width, height = self.content_size
        if self.styles.height is not None and self.styles.height.is_auto:
            height = self.screen.size.height
        return width, height - bool(self._caption)

    async def _draw(self) -> None:
        """One thread at a time, however fast the orders come: each is the newest when it begins."""
        done: Order | None = None
        try:
            while (order := self._order) is not None and order is not done:
                await self._carry_out(order)
                done = order
        finally:
            self._at_work = False

    async def _carry_out(self, order: Order) -> None:
        try:
            drawing = await asyncio.to_thread(redrawn, order, self._canvas.drawing)
        except RunFolderError as error:
            if order is self._order:
                self._say(f"✗ {error}")
            return
        # One that is overtaken is shown all the same: it is newer than what is there.
        if drawing and self._order is not None:
            self._put_up(drawing)

    def _put_up(self, drawing: Drawing) -> None:
        """The new picture in place of the old: its pixels are with the terminal before its cells are."""
        self._send(drawing.sent_before)
        self._words.display = False
        self._canvas.display = True
        before = self._canvas.swap(drawing)
        self.call_after_refresh(self._send, before)
        self._write_below(drawing.order.caption)

    def _say(self, words: str) -> None:
        self._order = None
        self._send(self._canvas.swap(None))
        self._canvas.display = False
        self._words.update(Content(clean(words)))
        self._words.display = True
        self._write_below(self._caption if self._source is not None else "")

    def _write_below(self, caption: str) -> None:
        self._below.update(Content(clean_line(caption)), layout=False)
        self._below.display = bool(caption)

    def _send(self, sequence: str) -> None:
        # The way that frames take, so that neither lands in the middle of the other.
        if sequence and self.app._driver is not None:
            self.app._driver.write(sequence)


class _Canvas(Widget):
    """The cells that a picture takes, and nothing around them: sixels are placed by their corner."""

    DEFAULT_CSS = "_Canvas { width: auto; height: auto; }"
    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.drawing: Drawing | None = None
        self._cut: dict[Region, str] = {}

    def swap(self, drawing: Drawing | None) -> str:
        """Take this drawing; what frees the one before is given back."""
        before, self.drawing = self.drawing, drawing
        self._cut.clear()
        self.refresh(layout=_cells(before) != _cells(drawing))
        return before.sent_after if before else ""

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return _cells(self.drawing)[0]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return _cells(self.drawing)[1]

    def render_line(self, y: int) -> Strip:
        drawing = self.drawing
        if drawing is None or y >= len(drawing.lines):
            return Strip.blank(self.size.width)
        return Strip(drawing.lines[y], drawing.columns)

    def render_lines(self, crop: Region) -> list[Strip]:
        drawing = self.drawing
        # Under another screen everything is tinted, which sixels cannot be.
        if drawing is None or not drawing.sixels or not self.screen.is_active:
            return super().render_lines(crop)
        blank = Segment(" " * crop.width, Style(bgcolor=self.background_colors[1].rich_color))
        strips = [Strip([blank], crop.width) for _ in range(crop.height)]
        if data := self._sixels(drawing, crop):
            strips[-1] = Strip([blank, *self._placed(data)], crop.width)
        return strips

    def _placed(self, data: str) -> list[Segment]:
        """The sixels from the corner on, then the cursor where the last row goes on."""
        seen = self.screen.find_widget(self).visible_region
        corner, end = Control.move_to(seen.x, seen.y), Control.move_to(seen.right, seen.bottom - 1)
        texts = (corner.segment.text, data, end.segment.text)
        return [Segment(text, Style(), ((ControlType.CURSOR_FORWARD, 0),)) for text in texts]

    def _sixels(self, drawing: Drawing, crop: Region) -> str:
        """The sixels of the part that is seen; a part that isn't encoded yet is, and drawn after that."""
        if crop == Region(0, 0, drawing.columns, drawing.rows):
            return drawing.sixels
        if crop not in self._cut:
            self._cut[crop] = ""
            self.run_worker(self._cut_out(drawing, crop), group="cut", exclusive=True)
        return self._cut[crop]

    async def _cut_out(self, drawing: Drawing, crop: Region) -> None:
        encoded = await asyncio.to_thread(_part, drawing, crop)
        if drawing is self.drawing:
            self._cut[crop] = encoded
            self.refresh()


def _cells(drawing: Drawing | None) -> tuple[int, int]:
    return (drawing.columns, drawing.rows) if drawing else (0, 0)


def _part(drawing: Drawing, crop: Region) -> str:
    assert drawing.pixels is not None
    width, height = drawing.pixels.width // drawing.columns, drawing.pixels.height // drawing.rows
    box = (crop.x * width, crop.y * height, crop.right * width, crop.bottom * height)
    return sixels(drawing.pixels.crop(box), crop.size)
