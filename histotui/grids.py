"""Grids of patches as the engine draws them: eight columns with a gap of two pixels."""

from pathlib import Path

from PIL import Image, ImageDraw

COLUMNS = 8
GAP = 2
CENTRE = 32
"""Side in pixels of the square that decides a patch's label, by Kaggle's rule."""

_LARGEST = 8192
_PEN = (255, 230, 0)


def open_grid(path: Path) -> Image.Image:
    """The picture in a file. OSError or ValueError where it is none, or too large to be one of ours."""
    with Image.open(path, formats=["PNG"]) as image:
        if max(image.size) > _LARGEST:
            raise ValueError(f"{image.width}x{image.height} pixels")
        return image.convert("RGB")


def outlined(grid: Image.Image) -> Image.Image:
    """A copy of a grid with the central square of each patch outlined; patches smaller than it stay as they are."""
    copy = grid.convert("RGB")
    side = (grid.width + GAP) // COLUMNS - GAP
    edge = (side - CENTRE) // 2
    if edge < 0:
        return copy
    pen = ImageDraw.Draw(copy)
    for top in range(edge, grid.height, side + GAP):
        for left in range(edge, grid.width, side + GAP):
            pen.rectangle((left, top, left + CENTRE - 1, top + CENTRE - 1), outline=_PEN)
    return copy
