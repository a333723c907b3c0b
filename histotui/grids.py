"""Grids of patches as the engine draws them: eight columns with a gap of two pixels."""

from PIL import Image, ImageDraw

COLUMNS = 8
GAP = 2
CENTRE = 32
"""Side in pixels of the square that decides a patch's label, by Kaggle's rule."""

_PEN = (255, 230, 0)


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
