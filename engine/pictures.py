"""Sample grids as PNG files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.context import Context
from engine.spec.atomic import replacing
from engine.spec.events import ImageSaved
from engine.spec.failpoints import Write

COLUMNS = 8
ROWS_PER_CLASS = 2
PER_CLASS = COLUMNS * ROWS_PER_CLASS
_GAP = 2


def grid_labels() -> NDArray[np.int64]:
    """The labels of a sample grid: rows of normal patches, then rows of tumour, (32,) int64."""
    return np.repeat(np.array([0, 1], np.int64), PER_CLASS)


def show_grid(context: Context, stage: str, step: int, patches: NDArray[np.uint8], what: str, ending: str = "") -> None:
    """Save as many patches of each class as `grid_labels` has, and tell of them; `ending`: of the file's name."""
    path = context.folder.samples / stage / f"step-{step:06d}{ending}.png"
    save_grid(path, patches)
    relative, caption = str(path.relative_to(context.folder.path)), f"{what}, normal above tumour"
    context.events.write(ImageSaved(stage=stage, step=step, path=relative, caption=caption))


def save_grid(path: Path, patches: NDArray[np.uint8], columns: int = COLUMNS) -> None:
    """Write patches (N, H, W, 3) uint8 as a grid of so many columns, in order, with a white gap between them."""
    count, height, width, _ = patches.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for number, patch in enumerate(patches):
        top, left = number // columns * (height + _GAP), number % columns * (width + _GAP)
        canvas[top : top + height, left : left + width] = patch
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, Write.PICTURE) as partial:
        Image.fromarray(canvas).save(partial, format="PNG")
