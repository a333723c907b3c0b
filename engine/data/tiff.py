"""The pixels of a plain TIFF straight from its bytes: most of Kaggle's files, several times faster than a decoder."""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS = 256, 257, 258, 259, 262, 273
_SAMPLES, _COUNTS, _PLANAR = 277, 279, 284
_PLAIN: Final = {_COMPRESSION: 1, _PHOTOMETRIC: 2, _SAMPLES: 3}
_PLAIN_IF_PRESENT: Final = {_PLANAR: 1, 266: 1, 274: 1, 339: 1}
_EXTRA_SAMPLES, _TILES = 338, 322
_SHORT, _LONG = 3, 4
_ENTRY: Final = {b"II*\0": struct.Struct("<HHI4s"), b"MM\0*": struct.Struct(">HHI4s")}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the pixels of a file lie, and every byte around them."""

    start: int
    head: bytes
    tail: bytes

    def fits(self, data: bytes, size: int) -> bool:
        end = self.start + size
        return len(data) == end + len(self.tail) and data.startswith(self.head) and data.endswith(self.tail)


# Thousands of files have the same bytes around their pixels, and comparing them is quicker than reading them again.
_known: dict[int, _Layout] = {}


def plain_pixels(data: bytes, side: int) -> NDArray[np.uint8] | None:
    """(side, side, 3) uint8 of an uncompressed 8-bit RGB TIFF with contiguous pixels; None for any other bytes.

    None means that a decoder should look, and say what is wrong if anything is.
    """
    size = side * side * 3
    layout = _known.get(len(data) << 16 | side)
    if layout is None or not layout.fits(data, size):
        layout = _read_layout(data, side)
        if layout is None:
            return None
        _known[len(data) << 16 | side] = layout
    return np.frombuffer(data, np.uint8, size, layout.start).reshape(side, side, 3)


def _read_layout(data: bytes, side: int) -> _Layout | None:
    size = side * side * 3
    start = _offset_or_none(data, side)
    if start is None or start + size > len(data):
        return None
    head, tail = data[:start], data[start + size :]
    # What a layout says must not depend on the pixels, or the next file's could make it wrong.
    return _Layout(start, head, tail) if _offset_or_none(head + bytes(size) + tail, side) == start else None


def _offset_or_none(data: bytes, side: int) -> int | None:
    try:
        return _pixel_offset(data, side)
    except struct.error:
        return None


def _pixel_offset(data: bytes, side: int) -> int | None:
    entry = _ENTRY.get(data[:4])
    if entry is None:
        return None
    order = "<" if data[:1] == b"I" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    end = start + 2 + 12 * count
    (next_frame,) = struct.unpack_from(f"{order}I", data, end)
    tags = {tag: (kind, number, raw) for tag, kind, number, raw in entry.iter_unpack(data[start + 2 : end])}
    if next_frame or _EXTRA_SAMPLES in tags or _TILES in tags:
        return None
    values = {tag: _values(data, order, *found) for tag, found in tags.items() if tag in _READ}
    return _contiguous(values, side) if _is_plain(values, side) else None


_READ: Final = {_WIDTH, _HEIGHT, _BITS, _OFFSETS, _COUNTS, *_PLAIN, *_PLAIN_IF_PRESENT}


def _values(data: bytes, order: str, kind: int, number: int, raw: bytes) -> tuple[int, ...]:
    """The integers of one entry; struct.error where they lie outside the file."""
    letter = {_SHORT: "H", _LONG: "I"}.get(kind)
    if letter is None or number > len(data):
        return ()
    layout = f"{order}{number}{letter}"
    if struct.calcsize(layout) <= 4:
        return struct.unpack_from(layout, raw)
    (place,) = struct.unpack(f"{order}I", raw)
    return struct.unpack_from(layout, data, place)


def _is_plain(values: dict[int, tuple[int, ...]], side: int) -> bool:
    return (
        values.get(_WIDTH) == (side,)
        and values.get(_HEIGHT) == (side,)
        and values.get(_BITS) == (8, 8, 8)
        and all(values.get(tag) == (value,) for tag, value in _PLAIN.items())
        and all(set(values.get(tag, (value,))) == {value} for tag, value in _PLAIN_IF_PRESENT.items())
    )


def _contiguous(values: dict[int, tuple[int, ...]], side: int) -> int | None:
    """Where the pixels begin, if the strips lie one behind the other and hold them all."""
    offsets, counts = values.get(_OFFSETS, ()), values.get(_COUNTS, ())
    if not offsets or len(offsets) != len(counts) or sum(counts) != side * side * 3:
        return None
    ends = [offset + count for offset, count in zip(offsets, counts, strict=True)]
    return offsets[0] if ends[:-1] == list(offsets[1:]) else None
