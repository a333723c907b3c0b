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

_LARGEST: Final = 1 << 28
"""Bytes that one array of an archive may have: the labels of a quarter of a billion patches."""
_SUFFIX: Final = ".npy"
_READ_HEADER: Final = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


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
    # What numpy lets through of Python's parser.
    except (tokenize.TokenError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"the header cannot be read ({type(error).__name__})") from None
    if fortran or dtype.hasobject or any(length < 0 for length in shape):
        raise ValueError(f"unexpected layout: {dtype} of shape {shape}")
    return Header(shape, dtype)


def open_array(path: Path) -> NDArray[Any]:
    """The array in an npy file, mapped read-only."""
    with path.open("rb") as file:
        header, offset = read_header(file), file.tell()
    if path.stat().st_size != offset + header.bytes:
        raise ValueError(f"{path.stat().st_size} bytes are not {header.dtype} of shape {header.shape}")
    return np.memmap(path, header.dtype, "r", offset, header.shape)


def read_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """The named arrays of an npz file, all of them where none is named."""
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = names or tuple(name.removesuffix(_SUFFIX) for name in archive.namelist())
            return {name: _read(archive, name) for name in wanted}
    except KeyError:
        raise ValueError(f"it must have the arrays {', '.join(names)}") from None
    except OSError as error:
        # So is a place that lies before the file's beginning.
        if error.errno != errno.EINVAL:
            raise
        raise ValueError(f"damaged ({error.strerror})") from None
    # What is encrypted is a RuntimeError, what is compressed in an unknown way a NotImplementedError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ValueError(str(error)) from None


def _read(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    member = archive.getinfo(name + _SUFFIX)
    if member.file_size > _LARGEST:
        raise ValueError(f"{name}: {member.file_size} bytes, and no array may have more than {_LARGEST}")
    with archive.open(member) as file:
        header = read_header(file)
        # No more comes than the archive has said, and a shape that is not what came is refused.
        return np.frombuffer(bytearray(file.read()), header.dtype).reshape(header.shape)
