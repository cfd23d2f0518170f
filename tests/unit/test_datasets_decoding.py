"""Photographs of every usual format, and files that are none."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_trees import drawn
from PIL import Image, ImageFile

from bench.datasets._aligned import DamagedImageError
from bench.datasets._decoding import MOST_PIXELS, decode_photo


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    data = io.BytesIO()
    picture.save(data, form, **options)
    return data.getvalue()


@pytest.fixture
def colours() -> Image.Image:
    return Image.fromarray(drawn("colours", 48, 32))


@pytest.mark.parametrize("form", ["PNG", "BMP", "PPM", "TIFF"])
def test_lossless_formats_keep_every_pixel(colours: Image.Image, form: str) -> None:
    assert np.array_equal(decode_photo(saved(colours, form), "a"), np.asarray(colours))


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_lossy_formats_are_near(colours: Image.Image, form: str) -> None:
    found = decode_photo(saved(colours, form, quality=98), "a")
    assert np.abs(found.astype(int) - np.asarray(colours)).mean() < 4


def test_grey_has_three_equal_channels(colours: Image.Image) -> None:
    grey = colours.convert("L")
    found = decode_photo(saved(grey, "PNG"), "a")
    assert np.array_equal(found, np.repeat(np.asarray(grey)[..., None], 3, axis=2))


def test_sixteen_bits_are_brought_to_eight() -> None:
    deep = (np.arange(32 * 48, dtype=np.uint16).reshape(32, 48) * 42).astype(np.uint16)
    for form in ("PNG", "TIFF"):
        found = decode_photo(saved(Image.fromarray(deep), form), "a")
        assert np.array_equal(found[..., 0], np.rint(deep / 257).astype(np.uint8))


def test_sixteen_bit_pgm() -> None:
    deep = np.linspace(0, 65535, 16 * 16).astype(">u2").reshape(16, 16)
    found = decode_photo(b"P5 16 16 65535\n" + deep.tobytes(), "a")
    assert np.abs(found[..., 1].astype(float) - deep / 257).max() <= 1


def test_cmyk_and_palette_become_rgb(colours: Image.Image) -> None:
    cmyk = decode_photo(saved(colours.convert("CMYK"), "JPEG", quality=98), "a")
    assert np.abs(cmyk.astype(int) - np.asarray(colours)).mean() < 6
    palette = colours.convert("P", palette=Image.Palette.ADAPTIVE)
    assert np.array_equal(decode_photo(saved(palette, "PNG"), "a"), np.asarray(palette.convert("RGB")))


def test_transparent_parts_are_white(colours: Image.Image) -> None:
    alpha = np.zeros((32, 48), np.uint8)
    alpha[:, 24:] = 255
    picture = np.dstack([np.asarray(colours), alpha])
    found = decode_photo(saved(Image.fromarray(picture), "PNG"), "a")
    assert (found[:, :24] == 255).all()
    assert np.array_equal(found[:, 24:], picture[:, 24:, :3])


def test_exif_turns_the_photo_upright(colours: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned by 90 degrees clockwise
    found = decode_photo(saved(colours, "JPEG", quality=98, exif=exif), "a")
    upright = np.rot90(np.asarray(colours), -1)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 4


def bomb(width: int, height: int) -> bytes:
    """A few bytes of PNG that announce a huge picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8_001, 20_000, 100_000])
def test_a_picture_is_measured_before_it_is_decoded(side: int) -> None:
    with pytest.raises(DamagedImageError, match=f"more than {MOST_PIXELS // 1_000_000} million pixels"):
        decode_photo(bomb(side, side), "image huge.png")


def test_a_truncated_file_is_refused_whatever_other_libraries_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = saved(Image.fromarray(drawn("x")), "JPEG")
    with pytest.raises(DamagedImageError, match="truncated"):
        decode_photo(whole[: len(whole) // 2], "image x")


def test_damaged_files_are_named() -> None:
    whole = saved(Image.fromarray(drawn("x")), "JPEG")
    frames = [Image.fromarray(drawn(name)) for name in "ab"]
    moving = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    cases = {
        "is empty": b"",
        "cannot be decoded": b"no picture at all",
        "truncated": whole[: len(whole) // 2],
        "too small": saved(Image.new("RGB", (4, 90)), "PNG"),
        "is animated": moving,
        "floating-point": saved(Image.new("F", (20, 20)), "TIFF"),
    }
    for said, data in cases.items():
        with pytest.raises(DamagedImageError, match=f"image x.jpg.*{said}") as caught:
            decode_photo(data, "image x.jpg")
        assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM"]), st.data())
def test_a_file_with_wrong_bytes_is_a_picture_or_refused(form: str, data: st.DataObject) -> None:
    whole = bytearray(saved(Image.fromarray(drawn("x", 24, 20)), form))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=6)):
        whole[place] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(1, len(whole))) :]
    try:
        found = decode_photo(bytes(whole), "image x")
    except DamagedImageError:
        return
    assert found.ndim == 3
    assert found.shape[2] == 3
    assert found.dtype == np.uint8


def test_formats_that_are_no_photographs_are_refused(colours: Image.Image) -> None:
    for form in ("PDF", "EPS"):
        with pytest.raises(DamagedImageError, match="cannot be decoded"):
            decode_photo(saved(colours, form), "a")
