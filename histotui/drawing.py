"""From a picture to what a terminal is sent for it: decoding, scaling and encoding, all of it for a thread."""

import io
import itertools
import math
import random
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, RenderableType
from rich.segment import Segment

from engine.spec.errors import RunFolderError
from histotui.graphics import Kind, for_tmux, textual_image

if TYPE_CHECKING:
    from PIL.Image import Image

INLINE: Final = 400
"""Pixels that the longer side of a picture has at most where it is one thing among others."""
FULL: Final = 1200
"""The same where the picture has the screen to itself."""
LARGEST: Final = 8192
"""Pixels along one side beyond which a file isn't decoded."""
PLACEHOLDER: Final = "\U0010eeee"
"""Kitty's protocol: stands in a cell for a part of the picture whose number is its colour."""

_MOST_CELLS = 290
"""Rows and columns that kitty's placeholders can count."""
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_CHUNK = 4096
_SIXEL_COLOURS = 64
_numbers = itertools.count(random.randrange(2**24))

Line = tuple[Segment, ...]
Stamp = tuple[int, int]
"""A file's time and size: another pair is another picture."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to draw, how, and the cells that there are for it."""

    source: "Path | Image"
    caption: str
    kind: Kind
    cell: tuple[int, int]
    room: tuple[int, int]
    limit: int = INLINE
    backdrop: tuple[int, int, int] = (0, 0, 0)
    dark: bool = True
    finish: "Callable[[Image], Image] | None" = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture made ready: its cells, and what is sent beside them."""

    order: Order
    stamp: Stamp
    columns: int
    rows: int
    lines: tuple[Line, ...] = ()
    sent_before: str = ""
    """Kitty's protocol: the pixels, which the cells refer to."""
    sent_after: str = ""
    """Kitty's protocol: frees the pixels again."""
    pixels: "Image | None" = None
    sixels: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """A picture's size in the dots that are drawn, the dots of its cells, and these cells."""

    dots: tuple[int, int]
    canvas: tuple[int, int]
    cells: tuple[int, int]


def redrawn(order: Order, shown: Drawing | None) -> Drawing | None:
    """What `draw` gives; None where that is shown already."""
    same = shown is not None and shown.order == order and shown.stamp == _stamp(order)
    return None if same else draw(order)


def draw(order: Order) -> Drawing:
    """The picture as the terminal takes it; RunFolderError where the file cannot be shown."""
    stamp = _stamp(order)
    image = open_picture(order.source) if isinstance(order.source, Path) else order.source.convert("RGB")
    image = order.finish(image) if order.finish else image
    fit = fitted(image.size, order)
    placed = _placed(_scaled(image, fit, order.kind), fit, order.backdrop)
    match order.kind:
        case "kitty":
            return _kitty(placed, fit, order, stamp)
        case "sixel":
            return Drawing(order, stamp, *fit.cells, pixels=placed, sixels=sixels(placed, fit.cells))
        case _:
            return Drawing(order, stamp, *fit.cells, lines=_letters(placed, fit, order))


def open_picture(path: Path) -> "Image":
    """The pixels of a PNG file, whose size is looked at first; RunFolderError says what is wrong."""
    from PIL import Image

    try:
        _check_header(path)
        with Image.open(path, formats=["PNG"]) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise RunFolderError(f"{path.name}: not there") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        fault = isinstance(error, OSError) and error.strerror
        raise RunFolderError(f"{path.name}: {fault or 'broken, or not yet whole'}") from None


def fitted(size: tuple[int, int], order: Order) -> Fit:
    """The largest size that there is room for, with the picture's proportions as near as the dots allow."""
    dot = _dot(order.kind, order.cell)
    room = [min(cells, _MOST_CELLS) * side for cells, side in zip(order.room, order.cell, strict=True)]
    scale = min(space / side for space, side in zip(room, size, strict=True))
    if order.kind in ("kitty", "sixel"):
        scale = min(scale, order.limit / max(size))
    if scale >= dot[0] == dot[1]:
        # Each pixel is given the same number of dots, so that none looks wider than its neighbour.
        scale = scale // dot[0] * dot[0]
    dots = [
        max(1, min(round(side * scale / width), int(space / width)))
        for side, width, space in zip(size, dot, room, strict=True)
    ]
    cells = [math.ceil(count * width / side) for count, width, side in zip(dots, dot, order.cell, strict=True)]
    canvas = [round(count * side / width) for count, side, width in zip(cells, order.cell, dot, strict=True)]
    return Fit(*((pair[0], pair[1]) for pair in (dots, canvas, cells)))


def sixels(image: "Image", cells: tuple[int, int]) -> str:
    """The picture as one sequence of sixels that fills these cells."""
    renderable = textual_image("renderable.sixel")
    options = renderable.SixelOptions(colors=_SIXEL_COLOURS)
    drawn = renderable.Image(image, width=cells[0], height=cells[1], sixel_options=options)
    return next(segment.text for line in _rendered(drawn, cells) for segment in line if segment.text[:2] == "\x1bP")


def _stamp(order: Order) -> Stamp:
    try:
        found = order.source.stat() if isinstance(order.source, Path) else None
    except OSError:
        found = None
    return (found.st_mtime_ns, found.st_size) if found else (0, 0)


def _check_header(path: Path) -> None:
    if not path.is_file() and path.exists():
        raise RunFolderError(f"{path.name}: not a file")
    with path.open("rb") as file:
        head = file.read(len(_PNG) + 8)
    if len(head) < len(_PNG) + 8 or not head.startswith(_PNG):
        raise RunFolderError(f"{path.name}: no PNG file, or not yet whole")
    width, height = (int.from_bytes(head[start : start + 4]) for start in (len(_PNG), len(_PNG) + 4))
    if not (0 < width <= LARGEST and 0 < height <= LARGEST):
        raise RunFolderError(f"{path.name}: {width} × {height} pixels; up to {LARGEST} × {LARGEST} are shown")


def _dot(kind: Kind, cell: tuple[int, int]) -> tuple[float, float]:
    """The pixels that the smallest thing drawn takes on the terminal."""
    width, height = cell
    match kind:
        case "halfcell":
            return width, height / 2
        case "unicode":
            return width, height
        case _:
            return 1, 1


def _scaled(image: "Image", fit: Fit, kind: Kind) -> "Image":
    from PIL.Image import Resampling

    if fit.dots[0] >= image.width and fit.dots[1] >= image.height:
        return image.resize(fit.dots, Resampling.NEAREST)
    return image.resize(fit.dots, Resampling.LANCZOS if kind in ("kitty", "sixel") else Resampling.BOX)


def _placed(image: "Image", fit: Fit, backdrop: tuple[int, int, int]) -> "Image":
    """The picture in the corner of its cells, which it may not fill."""
    from PIL import Image

    if image.size == fit.canvas:
        return image
    canvas = Image.new("RGB", fit.canvas, backdrop)
    canvas.paste(image)
    return canvas


def _letters(image: "Image", fit: Fit, order: Order) -> tuple[Line, ...]:
    from PIL import ImageOps

    if order.kind == "unicode" and not order.dark:
        # Letters are dark on a light theme: the fullest ones are to be the darkest.
        image = ImageOps.invert(image)
    renderable = textual_image(f"renderable.{order.kind}").Image(image, width=fit.cells[0], height=fit.cells[1])
    return _rendered(renderable, fit.cells)


def _kitty(image: "Image", fit: Fit, order: Order, stamp: Stamp) -> Drawing:
    number = next(_numbers) % (2**24 - 1) + 1
    placeholders = textual_image("renderable.tgp").Image(image, width=fit.cells[0], height=fit.cells[1])
    # With a number of its own it takes the pixels to be there; they go the way of all other output instead.
    placeholders.terminal_image_id = number
    return Drawing(
        order,
        stamp,
        *fit.cells,
        lines=_rendered(placeholders, fit.cells),
        sent_before=_transmission(image, number, fit.cells),
        sent_after=_message(f"a=d,d=I,i={number},q=2"),
    )


def _transmission(image: "Image", number: int, cells: tuple[int, int]) -> str:
    png = io.BytesIO()
    image.save(png, format="png", compress_level=2)
    data = b64encode(png.getvalue()).decode()
    starts = range(0, len(data), _CHUNK)
    parts = (
        _message(f"i={number},f=100,q=2,m={int(start + _CHUNK < len(data))};{data[start : start + _CHUNK]}")
        for start in starts
    )
    return "".join(parts) + _message(f"a=p,U=1,i={number},c={cells[0]},r={cells[1]},q=2")


def _message(body: str) -> str:
    return for_tmux(f"\x1b_G{body}\x1b\\")


def _rendered(renderable: Any, cells: tuple[int, int]) -> tuple[Line, ...]:
    console = Console(file=io.StringIO(), width=cells[0], height=cells[1], color_system="truecolor")
    drawn: RenderableType = renderable
    return tuple(tuple(line) for line in Segment.split_lines(console.render(drawn)))
