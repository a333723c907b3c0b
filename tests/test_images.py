"""One image file to pixels: what is read, what is refused, and why."""

import contextlib
import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_samples import patches
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from engine.data.images import BrokenImageError, decode, image_size, read_image
from engine.data.tiff import plain_pixels


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    image: NDArray[np.uint8] = patches(1)[0][0]
    return image


def test_fast_path_and_pillow_agree(pixels: NDArray[np.uint8]) -> None:
    data = encoded(Image.fromarray(pixels), "TIFF")
    fast = plain_pixels(data, 96)
    assert fast is not None
    assert np.array_equal(fast, np.asarray(Image.open(io.BytesIO(data))))
    assert np.array_equal(fast, pixels)


def test_fast_path_takes_several_strips_that_lie_together(pixels: NDArray[np.uint8]) -> None:
    data = encoded(Image.fromarray(pixels), "TIFF", tiffinfo={278: 32}, strip_size=96 * 3 * 32)
    fast = plain_pixels(data, 96)
    assert fast is not None and np.array_equal(fast, pixels)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff_is_left_to_pillow(pixels: NDArray[np.uint8], compression: str) -> None:
    data = encoded(Image.fromarray(pixels), "TIFF", compression=compression)
    assert plain_pixels(data, 96) is None
    assert np.array_equal(decode(data, 96), pixels)


def test_turned_tiff_is_left_to_pillow(pixels: NDArray[np.uint8]) -> None:
    data = encoded(Image.fromarray(pixels), "TIFF", tiffinfo={274: 3})
    assert plain_pixels(data, 96) is None
    assert np.array_equal(decode(data, 96), pixels[::-1, ::-1])


def test_png_and_jpeg_are_read(pixels: NDArray[np.uint8]) -> None:
    assert np.array_equal(decode(encoded(Image.fromarray(pixels), "PNG"), 96), pixels)
    jpeg = encoded(Image.fromarray(pixels), "JPEG")
    assert np.array_equal(decode(jpeg, 96), np.asarray(Image.open(io.BytesIO(jpeg))))


def two_frames(pixels: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(pixels)
    return encoded(image, "TIFF", save_all=True, append_images=[image])


def sixteen_bit_png(pixels: NDArray[np.uint8]) -> bytes:
    """A header that says 16 bits; what follows is not looked at."""
    data = bytearray(encoded(Image.fromarray(pixels), "PNG"))
    data[24] = 16
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def sixteen_bit_tiff(pixels: NDArray[np.uint8]) -> bytes:
    data = encoded(Image.fromarray(pixels), "TIFF")
    at = data.index(b"\x08\x00\x08\x00\x08\x00")
    return data[:at] + b"\x10\x00\x10\x00\x10\x00" + data[at + 6 :] + pixels.tobytes()


UNLIKE: dict[str, tuple[Callable[[NDArray[np.uint8]], bytes], str]] = {
    "odd size": (lambda p: encoded(Image.fromarray(p[:, :95]), "PNG"), "95x96 pixels"),
    "greyscale": (lambda p: encoded(Image.fromarray(p).convert("L"), "PNG"), "greyscale"),
    "palette": (lambda p: encoded(Image.fromarray(p).convert("P"), "PNG"), "a palette"),
    "alpha": (lambda p: encoded(Image.fromarray(p).convert("RGBA"), "PNG"), "alpha"),
    "alpha tiff": (lambda p: encoded(Image.fromarray(p).convert("RGBA"), "TIFF"), "alpha"),
    "transparent colour": (lambda p: encoded(Image.fromarray(p), "PNG", transparency=(1, 2, 3)), "alpha"),
    "cmyk": (lambda p: encoded(Image.fromarray(p).convert("CMYK"), "JPEG"), "CMYK"),
    "16 bits grey": (lambda p: encoded(Image.fromarray(p[..., 0].astype(np.uint16)), "PNG"), "16 bits"),
    "16 bits png": (sixteen_bit_png, "16 bits"),
    "16 bits tiff": (sixteen_bit_tiff, "16 bits"),
    "frames": (two_frames, "more than one frame"),
    "gif": (lambda p: encoded(Image.fromarray(p), "GIF"), "not a TIFF, PNG or JPEG"),
    "text": (lambda p: b"<html>not found</html>", "not a TIFF, PNG or JPEG"),
    "nothing": (lambda p: b"", "not a TIFF, PNG or JPEG"),
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_what_is_unlike_a_patch_is_refused_with_the_reason(kind: str, pixels: NDArray[np.uint8]) -> None:
    make, reason = UNLIKE[kind]
    with pytest.raises(BrokenImageError, match=reason):
        decode(make(pixels), 96)


@pytest.mark.parametrize("format", ["TIFF", "PNG", "JPEG"])
def test_no_truncation_gets_through(pixels: NDArray[np.uint8], format: str) -> None:
    data = encoded(Image.fromarray(pixels), format)
    for length in range(0, len(data) - 100, 1009):
        with pytest.raises(BrokenImageError):
            decode(data[:length], 96)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_flipped_bytes_give_pixels_or_a_reason(pixels: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(1)
    image = Image.fromarray(pixels)
    sound = [encoded(image, "TIFF"), encoded(image, "TIFF", compression="tiff_lzw")]
    sound += [encoded(image, "PNG"), encoded(image, "JPEG")]
    for data in sound:
        for _ in range(150):
            damaged = bytearray(data)
            for place in rng.integers(0, min(len(data), 400), 3):
                damaged[place] = rng.integers(256)
            with contextlib.suppress(BrokenImageError):
                assert decode(bytes(damaged), 96).shape == (96, 96, 3)


@pytest.mark.parametrize("format", ["TIFF", "PNG"])
def test_a_header_of_30000_pixels_is_refused_before_decoding(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(encoded(Image.new("RGB", (96, 96)), format))
    if format == "PNG":
        data[16:24] = (30_000).to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    else:
        for tag in (256, 257):
            at = data.index(tag.to_bytes(2, "little") + b"\x04\x00")
            data[at + 8 : at + 12] = (30_000).to_bytes(4, "little")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(BrokenImageError, match=r"far too large|30000x30000"):
        decode(bytes(data), 96)


@pytest.mark.filterwarnings("error")
def test_a_size_that_pillow_only_warns_of_is_refused() -> None:
    data = bytearray(encoded(Image.new("RGB", (96, 96)), "PNG"))
    data[16:24] = (10_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(BrokenImageError):
        decode(bytes(data), 96)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenImageError, match="no such file"):
        read_image(str(tmp_path / "absent.tif"), 96)
    with pytest.raises(BrokenImageError, match="Is a directory"):
        read_image(str(tmp_path), 96)


def test_files_longer_than_one_read_are_whole(tmp_path: Path) -> None:
    image = patches(1, side=256)[0][0]
    Image.fromarray(image).save(tmp_path / "a.tif")
    assert np.array_equal(read_image(str(tmp_path / "a.tif"), 256), image)
    assert image_size(tmp_path / "a.tif") == (256, 256)
