"""Arrays of npy and npz files, read without trust: what they take is known before memory is asked for.

ValueError where a file is not what numpy writes, has Python objects, or promises other bytes than it has.
"""

import errno
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

_LARGEST: Final = 1 << 29
"""Bytes that the arrays of an archive may have: rows and groups of 30 million patches."""
_LONGEST: Final = 1 << 48
"""What one side of an array may be, even of an empty one: numpy multiplies sides without looking."""
_SUFFIX: Final = ".npy"
_READ_HEADER: Final = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_ODD: Final = (tokenize.TokenError, SyntaxError, RecursionError, MemoryError, TypeError, LookupError, OverflowError)
"""What numpy lets through of Python's parser and of its own, beside ValueError."""


class Header(NamedTuple):
    """What an array's file begins with."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """What is to follow."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes]) -> Header:
    """The header of an array in C order, whose data follow."""
    read = _READ_HEADER.get(npy.read_magic(file))
    if read is None:
        raise ValueError("unknown version of the npy format")
    try:
        shape, fortran, dtype = read(file)
    except _ODD as error:
        raise ValueError(f"the header cannot be read ({type(error).__name__})") from None
    if fortran or dtype.hasobject or not dtype.itemsize or not all(map(_is_length, shape)):
        raise ValueError(f"unexpected layout: {dtype} of shape {shape}")
    return Header(shape, dtype)


def _is_length(value: object) -> bool:
    return type(value) is int and 0 <= value < _LONGEST


def look_at(path: Path) -> tuple[Header, int]:
    """The header of an npy file whose data are all there, and where they begin."""
    with path.open("rb") as file:
        header, offset = read_header(file), file.tell()
    size = path.stat().st_size
    if size != offset + header.bytes:
        raise ValueError(f"{size} bytes are not {header.dtype} of shape {header.shape}")
    return header, offset


def open_array(path: Path) -> NDArray[Any]:
    """The array in an npy file, mapped read-only."""
    header, offset = look_at(path)
    return np.memmap(path, header.dtype, "r", offset, header.shape)


def read_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """The named arrays of an npz file, all of them where none is named."""
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = names or tuple(name.removesuffix(_SUFFIX) for name in archive.namelist())
            members = {name: _member(archive, name) for name in wanted}
            needed = sum(member.file_size for member in members.values())
            if needed > _LARGEST:
                raise ValueError(f"arrays of {needed} bytes, and they may have {_LARGEST}")
            return {name: _read(archive, member) for name, member in members.items()}
    except OSError as error:
        # So is a place that lies before the file's beginning.
        if error.errno != errno.EINVAL:
            raise
        raise ValueError(f"damaged ({error.strerror})") from None
    # What is encrypted is a RuntimeError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ValueError(str(error)) from None


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        member = archive.getinfo(name + _SUFFIX)
    except KeyError:
        raise ValueError(f"it has no array {name!r}") from None
    # Other ways to compress take memory as the file says.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name}: compressed in an unknown way")
    return member


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        header = read_header(file)
        if header.bytes != member.file_size - file.tell():
            raise ValueError(f"{member.filename}: {member.file_size} bytes are not {header.dtype} of {header.shape}")
        # Without a number, what was compressed is unpacked as far as it goes.
        return np.frombuffer(bytearray(file.read(header.bytes)), header.dtype).reshape(header.shape)
