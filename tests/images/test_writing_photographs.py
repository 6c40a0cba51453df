import errno
import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ifan.errors import OutputError
from ifan.images import (
    OUTPUT_SUFFIXES,
    Metadata,
    Photograph,
    read_photograph,
    require_room_for,
    write_map,
    write_photograph,
)


def photograph(pixels, alpha=None):
    return Photograph(pixels, alpha, "PNG", Metadata(), Path("photo.png"))


def noise(seed, shape, dtype):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


@settings(deadline=None, max_examples=150)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    is_grey=st.booleans(),
    has_alpha=st.booleans(),
    suffix=st.sampled_from([".png", ".tif"]),
    seed=st.integers(0, 1000),
)
def test_lossless_formats_are(
    tmp_path_factory, height, width, dtype, is_grey, has_alpha, suffix, seed
):
    path = tmp_path_factory.mktemp("lossless") / f"a{suffix}"
    pixels = noise(seed, (height, width) if is_grey else (height, width, 3), dtype)
    alpha = noise(seed + 1, (height, width), dtype) if has_alpha else None
    write_photograph(photograph(pixels, alpha), path)
    back = read_photograph(path)
    assert back.pixels.dtype == dtype
    assert np.array_equal(back.pixels, pixels)
    assert (back.alpha is None) == (alpha is None)
    if alpha is not None:
        assert np.array_equal(back.alpha, alpha)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_another_library_reads_8_bits(tmp_path, suffix, bands):
    values = noise(1, (9, 13, bands), np.uint8)
    colour = values[..., :3] if bands > 2 else values[..., 0]
    path = tmp_path / f"a{suffix}"
    write_photograph(photograph(colour, values[..., -1] if bands in (2, 4) else None), path)
    with Image.open(path) as picture:
        assert picture.mode == ["L", "LA", "RGB", "RGBA"][bands - 1]
        assert np.array_equal(np.asarray(picture), values.squeeze())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_another_library_reads_16_bits(tmp_path, suffix):
    values = noise(1, (9, 13), np.uint16)
    write_photograph(photograph(values), tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert np.array_equal(np.asarray(picture).astype(np.uint16), values)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".TIF", ".tiff"])
def test_the_suffix_tells_the_format(tmp_path, scene, suffix):
    write_photograph(photograph(scene), tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert picture.format == OUTPUT_SUFFIXES[suffix.lower()].name
        assert "dpi" not in picture.info or picture.format == "TIFF"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.bmp", ".bmp is no format that is written; give it one of .jpg, .jpeg"),
        ("a", "has no suffix; give it one of .jpg"),
    ],
)
def test_other_suffixes_are_refused(tmp_path, scene, name, line):
    with pytest.raises(OutputError) as caught:
        write_photograph(photograph(scene), tmp_path / name)
    assert line in str(caught.value)


def test_jpeg_is_faithful(tmp_path, scene):
    write_photograph(photograph(scene), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as picture:
        assert np.abs(np.asarray(picture).astype(int) - scene).max() <= 6
        # No chroma subsampling: all components sampled 1x1.
        assert {layer[1:3] for layer in picture.layer} == {(1, 1)}


def test_grey_jpeg_stays_grey(tmp_path, scene):
    write_photograph(photograph(scene[..., 0]), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.mode == "L"


def test_16_bits_to_jpeg_are_scaled(tmp_path):
    # Large flat squares, which JPEG keeps: 128 / 257 is the last that rounds to 0.
    values = [0, 128, 129, 257 * 100 - 129, 257 * 100 - 128, 257 * 100, 65406, 65407, 65535]
    expected = [0, 0, 1, 99, 100, 100, 254, 255, 255]
    for value, byte in zip(values, expected, strict=True):
        flat = np.full((16, 16), value, np.uint16)
        write_photograph(photograph(flat), tmp_path / "a.jpg", overwrite=True)
        with Image.open(tmp_path / "a.jpg") as picture:
            assert np.unique(np.asarray(picture)).tolist() == [byte], value


def test_room_is_asked_for_before_the_work(tmp_path, scene):
    see_through = photograph(scene, scene[..., 0])
    with pytest.raises(OutputError, match=r"a\.jpg: JPEG has no transparency; write a \.png"):
        require_room_for(see_through, tmp_path / "a.jpg")
    with pytest.raises(OutputError, match="is no format that is written"):
        require_room_for(see_through, tmp_path / "a.gif")
    require_room_for(see_through, tmp_path / "a.png")
    require_room_for(photograph(scene), tmp_path / "a.jpg")


def test_alpha_that_hides_nothing_does_not_keep_from_jpeg(tmp_path, scene):
    write_photograph(photograph(scene, np.full(scene.shape[:2], 255, np.uint8)), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as written:
        assert written.mode == "RGB"


def test_alpha_to_jpeg_is_refused(tmp_path, scene):
    with pytest.raises(OutputError) as caught:
        write_photograph(photograph(scene, scene[..., 0]), tmp_path / "a.jpg")
    assert "JPEG has no transparency; write a .png or .tif" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "largest"), [("a.jpg", 65_500), ("a.webp", 16_383)])
def test_a_picture_too_long_for_a_format(tmp_path, name, largest):
    def strip(width):
        return photograph(np.zeros((1, width), np.uint8))

    write_photograph(strip(largest), tmp_path / name)
    with pytest.raises(OutputError, match=f"ends at {largest} pixels a side, this has") as caught:
        require_room_for(strip(largest + 1), tmp_path / f"b{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.webp", "a.avif"])
def test_grey_with_a_profile_keeps_its_look_where_there_is_no_grey(tmp_path, name):
    """A dark look: the profile says that numbers are linear light."""
    profile = grey_profile(gamma=1.0)
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    linear = Photograph(ramp, None, "TIFF", Metadata(icc=profile), Path("a.tif"))
    write_photograph(linear, tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        seen = np.asarray(picture.convert("RGB")).astype(float)
    light = ramp / 255
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(seen - coded[..., None]).mean() < 3


def grey_profile(gamma):
    """Return an ICC profile of grey with a curve that is a power."""
    return bytes(imagecodecs.cms_profile("gray", whitepoint=[0.3127, 0.329], gamma=gamma))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_profile_that_a_file_cannot_hold_is_said(tmp_path, scene, caplog, suffix):
    wrong = Photograph(scene, None, "PNG", Metadata(icc=grey_profile(2.2)), Path("a.png"))
    write_photograph(wrong, tmp_path / f"b{suffix}")
    assert "a.png: its colour profile for pictures of another kind" in caplog.text


def test_an_existing_picture_is_left_alone(tmp_path, scene):
    write_photograph(photograph(scene), tmp_path / "a.png")
    with pytest.raises(OutputError, match="already exists; give --overwrite or another name"):
        write_photograph(photograph(scene[::-1]), tmp_path / "a.png")
    assert np.array_equal(read_photograph(tmp_path / "a.png").pixels, scene)
    write_photograph(photograph(scene[::-1]), tmp_path / "a.png", overwrite=True)
    assert np.array_equal(read_photograph(tmp_path / "a.png").pixels, scene[::-1])


def test_a_full_disk_leaves_no_half_picture(tmp_path, scene, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        write_photograph(photograph(scene), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(1, 1), (7, 300)])
def test_map(tmp_path, rng, shape):
    values = (rng.standard_normal(shape) * 30).astype(np.float32)
    write_map(values, tmp_path / "map.tif")
    with Image.open(tmp_path / "map.tif") as picture:
        assert picture.mode == "F"
        assert np.array_equal(np.asarray(picture), values)
    with pytest.raises(OutputError, match="already exists"):
        write_map(values, tmp_path / "map.tif")
    write_map(-values, tmp_path / "map.tif", overwrite=True)
    with pytest.raises(OutputError, match=r"give it one of \.tif, \.tiff"):
        write_map(values, tmp_path / "map.png")


def test_views_are_written_as_they_look(tmp_path, scene):
    write_photograph(photograph(scene[::-1, ::2]), tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), scene[::-1, ::2])


def test_with_pixels(scene):
    whole = photograph(scene, scene[..., 1])
    other = whole.with_pixels(scene[::-1])
    assert other.alpha is whole.alpha
    assert other.metadata is whole.metadata
    assert np.array_equal(other.pixels, scene[::-1])
    with pytest.raises(ValueError, match="not uint8"):
        whole.with_pixels(scene.astype(np.uint16))
    with pytest.raises(ValueError, match=r"\(48, 64\)"):
        whole.with_pixels(scene[1:])


@pytest.mark.parametrize("shape", [(4,), (4, 5, 2), (4, 5, 4), (0, 5), (2, 2, 2, 3)])
def test_shapes_that_are_no_photograph(shape):
    with pytest.raises(ValueError, match="not HxWx3 or HxW"):
        photograph(np.zeros(shape, np.uint8))


def test_dtypes_that_are_no_photograph():
    with pytest.raises(TypeError, match="float64"):
        photograph(np.zeros((3, 3), np.float64))
    with pytest.raises(ValueError, match="alpha is uint16"):
        photograph(np.zeros((3, 3), np.uint8), np.zeros((3, 3), np.uint16))
