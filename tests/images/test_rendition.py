"""What a network is shown of a photograph, and what its correction comes to in the photograph."""

import io
import logging
import re
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms

from ifan.errors import OutputError
from ifan.images import Metadata, Photograph, Rendition, colour
from ifan.images.colour import ProfiledSpace, colour_space, display_p3

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def photograph(pixels, alpha=None, icc=None):
    return Photograph(pixels, alpha, "PNG", Metadata(icc=icc), Path("photo.png"))


def full(picture):
    return Rendition(picture, *picture.pixels.shape[:2])


def in_srgb(pixels, icc):
    """Convert 8-bit RGB by another library."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    converted = ImageCms.profileToProfile(
        Image.fromarray(pixels), own, SRGB, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    return np.asarray(converted)


DTYPES = st.sampled_from([np.uint8, np.uint16, np.float32])
SHAPES = st.sampled_from([(6, 5, 3), (6, 5), (1, 1, 3)])


@settings(deadline=None)
@given(DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)), st.floats(0, 1))
def test_what_a_network_leaves_alone_stays_to_the_bit(pixels, strength):
    for icc in (None, display_p3()):
        picture = photograph(pixels, icc=icc if pixels.ndim == 3 else None)
        rendition = full(picture)
        assert rendition.view.min() >= 0
        assert rendition.view.max() <= 1
        same = rendition.corrected(rendition.view, strength).pixels
        assert np.array_equal(same, pixels, equal_nan=pixels.dtype == np.float32)


@pytest.mark.parametrize("size", [(48, 64), (24, 32), (7, 9)])
def test_an_enlarged_correction_of_nothing_is_nothing(scene, size):
    picture = photograph(scene, icc=display_p3())
    rendition = Rendition(picture, *size)
    assert np.array_equal(rendition.corrected(rendition.view, 1.0).pixels, scene)


def test_a_network_sees_a_wide_colour_space_in_srgb(scene):
    """Compared with Little CMS as another library calls it."""
    seen = full(photograph(scene, icc=display_p3())).view * 255
    expected = in_srgb(scene, display_p3())
    inside = np.all((expected > 8) & (expected < 247), axis=-1)
    assert np.quantile(np.abs(seen - expected)[inside], 0.99) < 2
    assert np.abs(seen - expected).mean() < 0.5
    assert np.abs(seen - scene).max() > 20


def test_colours_beyond_srgb_stay(scene):
    """The greenest green of Display P3 is out of sRGB; the network darkens the whole picture."""
    pixels = np.full_like(scene, (0, 255, 0))
    rendition = full(photograph(pixels, icc=display_p3()))
    darker = rendition.corrected(rendition.view * 0.9, 1.0).pixels
    assert in_srgb(darker, display_p3())[0, 0].tolist() == pytest.approx([0, 230, 0], abs=8)
    assert darker[0, 0, 1] / 255 == pytest.approx(0.9, abs=0.02)
    # In sRGB the same green has red and blue of the P3 space; here next to none appears.
    assert darker[0, 0, 0] < 12


def test_a_correction_means_the_same_in_every_colour_space(scene):
    """Deblurring the P3 photograph is deblurring its sRGB copy."""
    copy = in_srgb(scene, display_p3())
    step = np.linspace(-0.1, 0.1, scene.shape[1], dtype=np.float32)[None, :, None]
    results = []
    for pixels, icc in ((scene, display_p3()), (copy, None)):
        rendition = full(photograph(pixels, icc=icc))
        results.append(rendition.corrected(rendition.view + step, 1.0).pixels)
    inside = np.all((copy > 8) & (copy < 247), axis=-1)
    difference = np.abs(in_srgb(results[0], display_p3()).astype(int) - results[1])
    assert difference[inside].max() <= 5
    assert difference[inside].mean() < 1


def test_srgb_under_another_name_is_not_converted(scene):
    rendition = full(photograph(scene, icc=SRGB.tobytes()))
    assert np.array_equal(rendition.view, full(photograph(scene)).view)


def test_a_grey_photograph_with_a_profile_of_rgb_means_its_greys(scene):
    """Scanners write such files."""
    grey = scene[..., 0]
    space = full(photograph(grey, icc=linear_profile()))
    expected = full(photograph(np.repeat(grey[..., None], 3, 2), icc=linear_profile()))
    assert np.abs(space.view - expected.view).max() < 0.002
    assert np.abs(space.view * 255 - grey[..., None]).max() > 50


@pytest.mark.parametrize("icc", [b"junk" * 50, b"", display_p3()[:200], display_p3()[:40]])
def test_a_profile_that_cannot_be_used_is_said_and_taken_for_srgb(scene, icc, caplog):
    with caplog.at_level(logging.WARNING, "ifan"):
        rendition = full(photograph(scene, icc=icc))
    assert np.array_equal(rendition.view, full(photograph(scene)).view)
    (line,) = {record.getMessage() for record in caplog.records if record.name == "ifan"}
    assert line.startswith("photo.png: its colour profile is taken for sRGB")
    assert "\n" not in line


def test_what_is_wrong_with_another_photograph_is_not_said_of_a_profile(scene):
    """Decoders warn in the threads of others meanwhile."""
    damaged = io.BytesIO()
    Image.fromarray(scene).save(damaged, "JPEG")
    data = damaged.getvalue().replace(b"\xff\xda", b"\0\0\0\xff\xda", 1)
    warned, enough = threading.Event(), threading.Event()

    def decode():
        while not enough.is_set():
            pyvips.Image.jpegload_buffer(data).avg()
            warned.set()

    other = threading.Thread(target=decode)
    other.start()
    try:
        assert warned.wait(10)
        spaces = [colour_space(display_p3(), is_grey=False) for _ in range(8)]
    finally:
        enough.set()
        other.join()
    assert all(isinstance(space, ProfiledSpace) for space in spaces)


@pytest.mark.skipif(sys.platform != "linux", reason="needs files in memory")
def test_colours_need_no_temporary_files(scene, tmp_path, monkeypatch):
    def result():
        rendition = full(photograph(scene, icc=display_p3()))
        return rendition.corrected(rendition.view / 2, 1.0).pixels

    before = result()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert np.array_equal(result(), before)
    assert not np.array_equal(before, scene)


def test_temporary_files_that_cannot_be_are_told(scene, tmp_path, monkeypatch):
    """As on systems that show no files in memory."""
    monkeypatch.setattr(colour, "_OPEN_FILES", tmp_path / "none")
    assert full(photograph(scene, icc=display_p3())).view.shape == scene.shape
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    line = "none: cannot hold temporary files (No such file or directory); set TMPDIR to a folder "
    with pytest.raises(OutputError, match=re.escape(line)):
        full(photograph(scene, icc=display_p3()))


def test_linear_light_takes_an_enlarged_correction_without_harm(rng):
    """Fine dark detail on a bright ground: what is dark must not turn black."""
    linear = linear_profile()
    pixels = np.where(rng.random((64, 64, 1)) < 0.5, 0.002, 0.8).astype(np.float32).repeat(3, 2)
    rendition = Rendition(photograph(pixels, icc=linear), 16, 16)
    darker = rendition.corrected(rendition.view - 0.05, 1.0).pixels
    dark = pixels < 0.1
    # 0.002 is coded as 0.026; taking 0.05 away leaves black, so take less.
    softer = rendition.corrected(rendition.view - 0.02, 1.0).pixels
    assert (softer[dark] > 0.0002).all()
    assert (darker[~dark] < 0.8).all()
    assert (darker >= 0).all()


def linear_profile():
    """Return Display P3's colours with straight curves: nine TRC tags of gamma 1."""
    icc = bytearray(display_p3())
    count = int.from_bytes(icc[128:132], "big")
    for number in range(count):
        entry = 132 + 12 * number
        tag = bytes(icc[entry : entry + 4])
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            offset = int.from_bytes(icc[entry + 4 : entry + 8], "big")
            icc[offset : offset + 12] = b"curv" + bytes(8)
            icc[entry + 8 : entry + 12] = (12).to_bytes(4, "big")
    return bytes(icc)


class TestTransparency:
    """Colours that nobody sees must neither show nor change."""

    def cut_out(self, rng, hidden, dtype=np.uint8):
        pixels = rng.integers(0, 256, (40, 60, 3)).astype(dtype)
        alpha = np.zeros((40, 60), dtype)
        alpha[10:30, 15:45] = 255
        alpha[10, 15:45] = 128
        pixels[alpha == 0] = hidden
        return photograph(pixels, alpha)

    @pytest.mark.parametrize("size", [(40, 60), (20, 30), (13, 19)])
    def test_a_network_does_not_see_what_is_hidden(self, size):
        views = [
            Rendition(self.cut_out(np.random.default_rng(1), hidden), *size).view
            for hidden in (0, 255, (10, 200, 30))
        ]
        assert np.abs(views[0] - views[1]).max() < 1e-5
        assert np.abs(views[0] - views[2]).max() < 1e-5

    def test_the_hidden_colours_are_like_those_around(self):
        pixels = np.zeros((33, 47, 3), np.uint8)
        alpha = np.zeros((33, 47), np.uint8)
        pixels[5:20, 8:20], alpha[5:20, 8:20] = (200, 100, 50), 255
        view = full(photograph(pixels, alpha)).view
        assert view.reshape(-1, 3) * 255 == pytest.approx(
            np.broadcast_to([200, 100, 50], (33 * 47, 3)), abs=1
        )

    @pytest.mark.parametrize("size", [(40, 60), (20, 30)])
    def test_what_flows_over_an_edge_of_black_and_white_stays_between_them(self, rng, size):
        pixels = np.zeros((40, 60, 3), np.uint8)
        pixels[:, 30:] = 255
        view = Rendition(photograph(pixels, self.cut_out(rng, 0).alpha), *size).view
        assert view.min() >= 0
        assert view.max() <= 1

    @pytest.mark.parametrize("size", [(40, 60), (20, 30)])
    def test_hidden_pixels_stay_as_they_are(self, rng, size):
        picture = self.cut_out(rng, (1, 2, 3))
        rendition = Rendition(picture, *size)
        result = rendition.corrected(1 - rendition.view, 1.0)
        hidden = picture.alpha == 0
        assert (result.pixels[hidden] == (1, 2, 3)).all()
        assert not np.array_equal(result.pixels[~hidden], picture.pixels[~hidden])
        assert result.alpha is picture.alpha

    def test_feathered_edges_are_not_read_as_black(self):
        """Colours that hardly show are mostly left over from nothing: here black."""
        columns = np.arange(64)
        alpha = np.broadcast_to(np.clip(columns * 16 - 400, 0, 255), (40, 64)).astype(np.uint8)
        pixels = np.full((40, 64, 3), 200, np.uint8)
        pixels[alpha < 13] = 0
        view = full(photograph(pixels, alpha)).view * 255
        assert view[:, :20] == pytest.approx(np.full((40, 20, 3), 200), abs=2)
        assert view.min() > 120

    def test_all_is_hidden(self, rng):
        pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        picture = photograph(pixels, np.zeros((9, 9), np.uint8))
        rendition = full(picture)
        assert np.array_equal(rendition.corrected(1 - rendition.view, 1.0).pixels, pixels)

    def test_grey(self, rng):
        pixels = rng.integers(0, 256, (9, 14), dtype=np.uint16)
        alpha = np.where(rng.random((9, 14)) < 0.5, 0, 65535).astype(np.uint16)
        view = Rendition(photograph(pixels, alpha), 5, 7).view
        assert view.shape == (5, 7, 3)
        assert view.max() <= 256 / 65535


class TestFloats:
    def test_light_beyond_white_stays_where_the_network_changes_nothing(self):
        pixels = np.array([[[0.5, 3.0, -0.2]]], np.float32)
        rendition = full(photograph(pixels))
        assert rendition.view.tolist() == [[[0.5, 1.0, 0.0]]]
        result = rendition.corrected(rendition.view + np.float32(-0.25), 1.0).pixels
        # Black cannot get darker; a white cloud of three times white gets a quarter darker.
        assert result.tolist() == [[[0.25, 2.75, pytest.approx(-0.2)]]]

    def test_what_is_no_number_stays_and_spoils_nothing_else(self):
        pixels = np.full((8, 8, 3), 0.5, np.float32)
        pixels[0, 0] = np.nan, np.inf, -np.inf
        rendition = full(photograph(pixels))
        assert np.isfinite(rendition.view).all()
        result = rendition.corrected(rendition.view + np.float32(0.1), 1.0).pixels
        assert np.isnan(result[0, 0, 0])
        assert np.isinf(result[0, 0, 1])
        assert result[1:] == pytest.approx(np.full((7, 8, 3), 0.6))
