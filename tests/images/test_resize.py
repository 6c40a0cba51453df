import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ifan.images import resize

sizes = st.integers(1, 50)


def theirs(values, height, width, method):
    return np.asarray(Image.fromarray(values).resize((width, height), method))


@settings(deadline=None, max_examples=200)
@given(height=sizes, width=sizes, new_height=sizes, new_width=sizes, bands=st.integers(0, 4))
def test_any_size_to_any_size_keeps_a_flat_picture(height, width, new_height, new_width, bands):
    extra = (bands,) if bands else ()
    flat = np.full((height, width, *extra), -2.5, np.float32)
    resized = resize(flat, new_height, new_width)
    assert resized.shape == (new_height, new_width, *extra)
    assert resized.dtype == np.float32
    # The edges too.
    np.testing.assert_allclose(resized, -2.5, rtol=1e-5)


def test_smaller_is_lanczos(rng):
    values = rng.standard_normal((101, 83)).astype(np.float32)
    ours = resize(values, 37, 29)
    expected = theirs(values, 37, 29, Image.Resampling.LANCZOS)
    np.testing.assert_allclose(ours[4:-4, 4:-4], expected[4:-4, 4:-4], atol=1e-5)


def test_larger_is_bicubic(rng):
    values = rng.standard_normal((31, 27)).astype(np.float32)
    ours = resize(values, 100, 77)
    expected = theirs(values, 100, 77, Image.Resampling.BICUBIC)
    np.testing.assert_allclose(ours[9:-9, 9:-9], expected[9:-9, 9:-9], atol=1e-5)


def test_the_same_size_is_the_same(rng):
    values = rng.standard_normal((10, 12, 3)).astype(np.float32)
    assert np.array_equal(resize(values, 10, 12), values)


def test_both_ways_at_once(rng):
    values = rng.standard_normal((30, 30)).astype(np.float32)
    mixed = resize(values, 60, 15)
    np.testing.assert_allclose(mixed, resize(resize(values, 30, 15), 60, 15), atol=1e-6)


def test_values_are_not_clipped():
    values = np.zeros((20, 20), np.float32)
    values[:, 10:] = 1000.0
    assert resize(values, 60, 60).min() < -1
    assert resize(-values, 60, 60).min() < -1000


@pytest.mark.parametrize("factor", [2, 2.93, 3, 7.5])
def test_down_and_up_does_not_shift(factor):
    side = 240
    small = round(side / factor)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    blob = np.exp(-((rows - 101.3) ** 2 + (columns - 133.7) ** 2) / (2 * 15**2))
    back = resize(resize(blob.astype(np.float32), small, small), side, side)

    def centre(picture):
        return (picture * rows).sum() / picture.sum(), (picture * columns).sum() / picture.sum()

    assert centre(back) == pytest.approx(centre(blob), abs=0.01)
    assert np.abs(back - blob).max() < 0.02


@pytest.mark.parametrize("new", [60, 240, 701])
def test_a_ramp_stays_where_it_is(new):
    side = 120
    ramp = np.tile(((np.arange(side) + 0.5) / side).astype(np.float32), (3, 1))
    expected = (np.arange(new) + 0.5) / new
    inner = slice(new // 10, -new // 10)
    np.testing.assert_allclose(resize(ramp, 3, new)[1, inner], expected[inner], atol=2e-4)
    np.testing.assert_allclose(resize(ramp.T, new, 3)[inner, 1], expected[inner], atol=2e-4)
