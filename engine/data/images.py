"""One image file to pixels, or the reason why not: only the formats and the one shape that patches have."""

import io
import os
import struct
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.data.sources.base import Broken, Patch
from engine.data.tiff import plain_pixels

# The size is checked here, before decoding, and far more strictly; what else is wrong is said by BrokenImageError.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")

FORMATS: Final = ("TIFF", "PNG", "JPEG")
SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
MISSING: Final = "no such file"
LARGEST_FILE: Final = 64 << 20
_TIFF_BITS, _PNG_DEPTH = 258, 24
_MODES: Final = {
    "1": "greyscale",
    "L": "greyscale",
    "P": "a palette",
    "LA": "alpha",
    "PA": "alpha",
    "RGBA": "alpha",
    "RGBX": "alpha",
    "RGBa": "alpha",
    "CMYK": "CMYK",
    "I": "16 bits per channel",
    "F": "floating point",
}
# What Pillow's decoders raise on files that are damaged or made to do harm.
_DAMAGE: Final = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error)


class BrokenImageError(Exception):
    """An image that cannot be used as a patch; its message is the reason."""


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads one image file per row. An empty path stands for a file that cannot be there."""

    paths: tuple[str, ...]
    labels: NDArray[np.uint8]
    side: int

    @property
    def worth_processes(self) -> int:
        """A few thousand where there is decoding to do: plain TIFFs are read faster than a process hands them over."""
        return sys.maxsize if self.paths[0][-5:].lower().endswith((".tif", ".tiff")) else 4000

    def read(self, start: int, stop: int) -> Iterator[Patch | Broken]:
        for row in range(start, stop):
            try:
                yield Patch(read_image(self.paths[row], self.side), int(self.labels[row]))
            except BrokenImageError as error:
                yield Broken(str(error))


def read_image(path: str, side: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8 RGB of an image file; BrokenImageError says why there is none."""
    return decode(_read_bytes(path), side)


def decode(data: bytes, side: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8 RGB of an image file's bytes; BrokenImageError says why there is none."""
    pixels = plain_pixels(data, side)
    return _decode_slowly(data, side) if pixels is None else pixels


def image_size(path: Path) -> tuple[int, int] | None:
    """Width and height from an image file's header, None where it has none that can be read."""
    try:
        with _open(path) as image:
            return image.size
    except BrokenImageError:
        return None


def _read_bytes(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return _read_all(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise BrokenImageError(MISSING) from None
    except OSError as error:
        raise BrokenImageError(f"cannot be read ({error.strerror})") from None


def _read_all(descriptor: int) -> bytes:
    # A read of more than a patch needs costs more than the read itself, so the rest comes only if there is any.
    first = 1 << 16
    data = os.read(descriptor, first)
    if len(data) < first:
        return data
    if os.fstat(descriptor).st_size > LARGEST_FILE:
        raise BrokenImageError(f"a file of more than {LARGEST_FILE >> 20} MiB is no patch")
    parts = [data]
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _open(file: Path | io.BytesIO) -> Image.Image:
    """The image with only its header read."""
    try:
        return Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BrokenImageError("far too large for a patch") from None
    except _DAMAGE:
        raise BrokenImageError("not a TIFF, PNG or JPEG image, or damaged") from None


def _decode_slowly(data: bytes, side: int) -> NDArray[np.uint8]:
    with _open(io.BytesIO(data)) as image:
        # All that the header tells is checked before a byte of pixels is decoded or a buffer made for them.
        _refuse_unlike_patch(image, data, side)
        try:
            image.load()
            return np.asarray(image)
        except _DAMAGE as error:
            raise BrokenImageError(f"damaged or cut short ({error})") from None


def _refuse_unlike_patch(image: Image.Image, data: bytes, side: int) -> None:
    if image.size != (side, side):
        width, height = image.size
        raise BrokenImageError(f"{width}x{height} pixels; the others are {side}x{side}")
    unlike = _MODES.get(image.mode, image.mode) if image.mode != "RGB" else None
    if _bits(image, data) > 8:
        unlike = "16 bits per channel"
    if "transparency" in image.info:
        unlike = "alpha"
    if unlike:
        raise BrokenImageError(f"has {unlike}; patches are RGB with 8 bits per channel")
    if _has_more_frames(image):
        raise BrokenImageError("has more than one frame")


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits per channel in the file. Pillow itself turns 16 of them into 8 and says nothing."""
    if image.format == "PNG":
        return data[_PNG_DEPTH]
    if image.format == "TIFF":
        return max(getattr(image, "tag_v2", {}).get(_TIFF_BITS, (8,)), default=8)
    return 8


def _has_more_frames(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except _DAMAGE:
        image.seek(0)
        return False
    return True
