"""Every kind of PNG: Willem van Schaik's PngSuite, read by us and by two other decoders."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from ifan.errors import PictureError
from ifan.images import read_photograph, write_photograph

SUITE = Path(__file__).parents[1] / "pngsuite"
NAMES = sorted(path.stem for path in SUITE.glob("*.png"))
VALID = [name for name in NAMES if not name.startswith("x")]
INVALID = [name for name in NAMES if name.startswith("x")]
# Pillow looks for the transparent grey among samples that it has scaled from 4 to 8 bits already.
WRONG_IN_PILLOW = {"tbbn0g04"}
KEPT = {b"gAMA", b"cHRM", b"tEXt", b"zTXt", b"iTXt"}


def chunks(path):
    data, position, found = path.read_bytes(), 8, []
    while position < len(data):
        size, name = struct.unpack_from(">L4s", data, position)
        found.append((name, data[position + 8 : position + 8 + size]))
        position += 12 + size
    return found


def kept(path):
    return [chunk for chunk in chunks(path) if chunk[0] in KEPT]


def header(name):
    """Width, height, bits and colour type."""
    return struct.unpack_from(">LLBB", (SUITE / f"{name}.png").read_bytes(), 16)


def is_transparent(name):
    return header(name)[3] in (4, 6) or b"tRNS" in dict(chunks(SUITE / f"{name}.png"))


def all_channels(photograph):
    if photograph.alpha is None:
        return photograph.pixels
    return np.dstack([photograph.pixels, photograph.alpha])


def read_all_channels(name):
    return all_channels(read_photograph(SUITE / f"{name}.png"))


def test_the_suite_is_whole():
    assert (len(VALID), len(INVALID)) == (160, 14)


@pytest.mark.parametrize("name", VALID)
def test_the_header_tells_the_shape(name):
    width, height, bits, colour_type = header(name)
    photograph = read_photograph(SUITE / f"{name}.png")
    assert photograph.pixels.shape == (
        (height, width) if colour_type in (0, 4) else (height, width, 3)
    )
    assert photograph.pixels.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert (photograph.alpha is not None) == is_transparent(name)
    assert photograph.format == "PNG"


@pytest.mark.parametrize("name", VALID)
def test_pixels_are_those_of_libpng(name):
    theirs = imagecodecs.png_decode((SUITE / f"{name}.png").read_bytes())
    ours = read_all_channels(name)
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


# Pillow cuts 16 bits of RGB to 8.
@pytest.mark.parametrize(
    "name", [n for n in VALID if header(n)[2] < 16 and n not in WRONG_IN_PILLOW]
)
def test_pixels_are_those_of_pillow(name):
    ours = read_all_channels(name)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[1 if ours.ndim == 2 else ours.shape[2]]
    with Image.open(SUITE / f"{name}.png") as picture:
        assert np.array_equal(ours, np.asarray(picture.convert(mode)))


@pytest.mark.parametrize(
    "name", [n for n in VALID if n.startswith(("basi", "s")) and "i" in n[3:4]]
)
def test_interlacing_changes_no_pixel(name):
    plain = f"{name[:3]}n{name[4:]}"
    assert np.array_equal(read_all_channels(name), read_all_channels(plain))


@pytest.mark.parametrize(("bits", "levels"), [(1, 2), (2, 4), (4, 15)])
def test_few_bits_are_spread_over_eight(bits, levels):
    found = np.unique(read_all_channels(f"basn0g0{bits}"))
    step = 255 // (2**bits - 1)
    assert found.tolist() == [step * level for level in range(levels)]


def test_a_transparent_grey_of_four_bits():
    photograph = read_photograph(SUITE / "tbbn0g04.png")
    assert np.array_equal(photograph.alpha == 0, photograph.pixels == 255)
    assert set(np.unique(photograph.alpha)) == {0, 255}


def test_a_palette_of_four_transparencies():
    alpha = read_photograph(SUITE / "tm3n3p02.png").alpha
    assert np.unique(alpha).tolist() == [0, 85, 170, 255]


@pytest.mark.parametrize("name", INVALID)
def test_the_damaged_are_refused_in_one_line(name):
    with pytest.raises(PictureError) as caught:
        read_photograph(SUITE / f"{name}.png")
    line = str(caught.value)
    assert "is damaged or cut short" in line or "is not a picture" in line
    assert line.isprintable()


@pytest.mark.parametrize("name", VALID)
def test_written_and_read_again_nothing_has_changed(tmp_path, name):
    before = read_photograph(SUITE / f"{name}.png")
    write_photograph(before, tmp_path / "a.png")
    after = read_photograph(tmp_path / "a.png")
    assert np.array_equal(all_channels(after), all_channels(before))
    assert after.pixels.dtype == before.pixels.dtype
    assert after.metadata == before.metadata
    assert sorted(kept(tmp_path / "a.png")) == sorted(kept(SUITE / f"{name}.png"))


def test_the_density_of_a_picture_that_has_one(tmp_path):
    write_photograph(read_photograph(SUITE / "cdun2c08.png"), tmp_path / "a.png")
    assert dict(chunks(tmp_path / "a.png"))[b"pHYs"] == struct.pack(">LLB", 1000, 1000, 1)
