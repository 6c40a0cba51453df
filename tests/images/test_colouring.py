from pathlib import Path

import numpy as np
import pytest

from ifan.images import coloured, coloured_with_legend


def colours(values):
    pixels = coloured(np.array(values, np.float32), Path("photo.jpg")).pixels
    assert pixels.dtype == np.uint8
    return pixels.astype(int)


def test_zero_is_white_below_it_is_blue_above_it_red():
    ((low, zero, high),) = colours([[-2.0, 0.0, 2.0]])
    assert zero.min() > 240
    assert np.ptp(zero) == 0
    assert low[2] > low[0] + 50
    assert high[0] > high[2] + 50


def test_colours_get_darker_away_from_zero():
    row = colours([np.linspace(-1, 1, 201)])[0].sum(axis=1)
    assert (np.diff(row[:101]) >= 0).all()
    assert (np.diff(row[100:]) <= 0).all()
    assert row[50] < row[100] > row[150]


def test_the_scale_is_the_same_on_both_sides_of_zero():
    # All values are positive: the far end is the darkest red, and nothing is blue.
    row = colours([np.linspace(0, 5, 100)])[0]
    assert (row[:, 0] >= row[:, 2] - 1).all()
    assert row[-1].tolist() == [103, 0, 31]


def test_a_single_outlier_does_not_pale_the_rest():
    values = np.full((100, 100), 1.0)
    plain = colours(values)[0, 0]
    values[50, 50] = 1000
    assert np.array_equal(colours(values)[0, 0], plain)


def test_a_map_of_zeros_is_white():
    assert (colours(np.zeros((3, 5))) == 247).all()
    assert colours(np.zeros((1, 1))).shape == (1, 1, 3)


def test_the_result_belongs_to_the_photograph():
    picture = coloured(np.zeros((3, 5), np.float32), Path("photo.jpg"))
    assert picture.path == Path("photo.jpg")
    assert picture.alpha is None
    assert picture.pixels.shape == (3, 5, 3)


def test_a_legend_shows_the_colours_of_the_largest_numbers_and_hides_nothing_else():
    values = np.linspace(-3, 5, 300 * 480, dtype=np.float32).reshape(300, 480)
    plain, legended = (
        f(values, Path("photo.jpg")).pixels for f in (coloured, coloured_with_legend)
    )
    assert legended.shape == plain.shape
    hidden = (plain != legended).any(axis=2)
    assert hidden[-30:, :152].mean() > 0.9
    assert not hidden[:-30].any()
    assert not hidden[:, 152:].any()
    bar = legended[-22, 4:148]
    np.testing.assert_array_equal(bar[0], coloured(np.float32([[-1, 1]]), Path("a")).pixels[0, 0])
    np.testing.assert_array_equal(bar[-1], plain[-1, -1])


@pytest.mark.parametrize("span", [0.03, 5.0, 123.4, 1234.5, 1e15])
@pytest.mark.parametrize("size", [(300, 700), (300, 4000)])
def test_a_legend_keeps_its_numbers_apart(span, size):
    values = np.full(size, np.float32(span))
    picture = coloured_with_legend(values, Path("photo.jpg")).pixels
    hidden = (picture != coloured(values, Path("photo.jpg")).pixels).any(axis=2)
    if span == 1e15:  # so many digits have no room
        return
    rows, columns = (np.flatnonzero(hidden.any(axis=axis)) for axis in (1, 0))
    dot = (rows[-1] - rows[0] + 1) // 15
    words = (picture[-7 * dot : -2 * dot, columns[0] : columns[-1] + 1, 0] < 100).any(axis=0)
    edges = np.flatnonzero(np.diff(words.astype(int)))
    gaps = np.diff(edges)[1::2]
    # Two gaps are wider than those between letters.
    assert (gaps > dot).sum() >= 2


def test_a_legend_leaves_a_small_picture_alone():
    values = np.linspace(-1, 1, 100 * 100, dtype=np.float32).reshape(100, 100)
    np.testing.assert_array_equal(
        coloured_with_legend(values, Path("a")).pixels, coloured(values, Path("a")).pixels
    )
