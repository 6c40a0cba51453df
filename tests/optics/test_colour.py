import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from ifan.optics import ToneCurve, jpeg_compressed, linear_light, quantised, srgb_coded


@given(st.floats(0, 1, width=32))
def test_coding_undoes_decoding(value):
    coded = np.array([value], np.float32)
    np.testing.assert_allclose(srgb_coded(linear_light(coded)), coded, atol=1e-5)


@pytest.mark.parametrize(
    ("coded", "linear"), [(0, 0), (1, 1), (0.5, 0.21404114), (0.04, 0.04 / 12.92)]
)
def test_known_values_of_the_transfer_curve(coded, linear):
    assert linear_light(np.array([coded], np.float32))[0] == pytest.approx(linear, rel=1e-5)


@given(st.floats(0, 1, width=32), st.floats(0.5, 2))
def test_a_tone_curve_is_undone(value, exponent):
    coded = np.array([value], np.float32)
    tone = ToneCurve(exponent)
    np.testing.assert_allclose(tone.coded(tone.light(coded)), coded, atol=1e-4)


def test_a_tone_curve_makes_what_is_dark_darker_and_leaves_white():
    light = np.array([0.0, 0.2, 1.0, 1.5], np.float32)
    found = ToneCurve(1.4).coded(light)
    np.testing.assert_allclose(found, srgb_coded(light**1.4), rtol=1e-5)
    np.testing.assert_allclose(ToneCurve().coded(light), srgb_coded(light))
    with pytest.raises(ValueError, match="positive"):
        ToneCurve(0)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_integers_are_decoded_as_their_share_of_white(kind):
    levels = np.array([0, 1, 100, np.iinfo(kind).max], kind)
    expected = linear_light((levels / np.iinfo(kind).max).astype(np.float32))
    np.testing.assert_array_equal(linear_light(levels), expected)


def test_light_beyond_black_and_white_is_cut_off():
    np.testing.assert_allclose(srgb_coded(np.array([-1, 3], np.float32)), [0, 1], rtol=1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_quantised_values_are_levels(bits):
    values = np.random.default_rng(0).random(1000, np.float32)
    found = quantised(values, bits)
    levels = found * (2**bits - 1)
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-2)
    assert np.abs(found - values).max() <= 0.51 / (2**bits - 1)


def photograph_like(height, width):
    """Smooth colours with some edges."""
    y, x = np.mgrid[:height, :width] / 40
    channels = (np.sin(x) * np.cos(y), np.cos(x + y), np.sign(np.sin(x * y + 1)))
    return (np.stack(channels, axis=-1) * 0.4 + 0.5).astype(np.float32)


@pytest.mark.parametrize("quality", [10, 50, 75, 95])
def test_jpeg_is_that_of_the_library(quality, tmp_path):
    """To within the rounding of its integer arithmetic."""
    from PIL import Image

    picture = quantised(photograph_like(90, 75), 8)
    path = tmp_path / "a.jpg"
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(
        path, quality=quality, subsampling=2
    )
    with Image.open(path) as written:
        expected = np.asarray(written) / 255
    found = jpeg_compressed(picture, quality)
    error, loss = np.abs(found - expected).mean(), np.abs(expected - picture).mean()
    assert error < 1 / 255
    assert error < 0.6 * loss
    assert peak_signal_noise_ratio(expected, found.astype(float), data_range=1) > 42


def test_jpeg_loses_more_at_lower_quality():
    picture = photograph_like(64, 64)
    errors = [np.abs(jpeg_compressed(picture, q) - picture).mean() for q in (95, 60, 20, 5)]
    assert errors == sorted(errors)


@pytest.mark.parametrize("quality", [0, 101])
def test_qualities_that_do_not_exist_are_refused(quality):
    with pytest.raises(ValueError, match="1 to 100"):
        jpeg_compressed(photograph_like(8, 8), quality)
