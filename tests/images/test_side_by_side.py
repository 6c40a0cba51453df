from pathlib import Path

import numpy as np
import pytest

from ifan.images import Metadata, Photograph, side_by_side


def photograph(pixels, alpha=None, icc=None):
    return Photograph(pixels, alpha, "PNG", Metadata(icc=icc), Path("photo.png"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("extra", [(), (3,)])
def test_left_gap_right(rng, dtype, extra):
    white = np.iinfo(dtype).max
    before = rng.integers(0, white, (5, 1000, *extra), dtype=dtype)
    after = rng.integers(0, white, (5, 1000, *extra), dtype=dtype)
    both = side_by_side(photograph(before), photograph(after, icc=b"profile"))
    assert both.pixels.shape == (5, 2005, *extra)
    assert np.array_equal(both.pixels[:, :1000], before)
    assert np.array_equal(both.pixels[:, 1005:], after)
    assert (both.pixels[:, 1000:1005] == white // 2).all()
    assert both.alpha is None
    assert both.metadata.icc == b"profile"


def test_one_pixel_has_a_gap_too():
    grey = photograph(np.zeros((1, 1), np.uint8))
    assert side_by_side(grey, grey).pixels.tolist() == [[0, 127, 127, 0]]


@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)])
def test_alpha(which):
    pixels, alpha = np.zeros((2, 3), np.uint8), np.full((2, 3), 7, np.uint8)
    both = side_by_side(*(photograph(pixels, alpha if has else None) for has in which))
    left, right = (7 if has else 255 for has in which)
    assert both.alpha[0].tolist() == [left] * 3 + [255] * 2 + [right] * 3


def test_two_that_are_unlike():
    small, large = np.zeros((2, 3), np.uint8), np.zeros((2, 4), np.uint8)
    with pytest.raises(ValueError, match=r"\(2, 3\) beside"):
        side_by_side(photograph(small), photograph(large))
    with pytest.raises(ValueError, match="uint16"):
        side_by_side(photograph(small), photograph(small.astype(np.uint16)))
