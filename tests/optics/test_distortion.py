import numpy as np
import pytest

from ifan.optics import Distortion, Vignetting


def smooth(height, width):
    y, x = np.mgrid[:height, :width] / 20
    return np.stack((np.sin(x), np.cos(y), np.sin(x + y)), axis=-1).astype(np.float32) + 2


def test_no_distortion_changes_nothing():
    picture = np.random.default_rng(0).random((30, 41, 3), np.float32)
    found = Distortion(radial=0).apply(picture, margin=5)
    np.testing.assert_allclose(found, picture[5:-5, 5:-5], atol=1e-6)


@pytest.mark.parametrize("radial", [-0.1, 0.05, 0.15])
def test_pixels_show_what_lies_further_out(radial):
    height, width = 60, 81
    distortion = Distortion(radial=radial)
    margin = distortion.margin(height, width)
    y, x = np.mgrid[-margin : height + margin, -margin : width + margin].astype(np.float32)
    found = distortion.apply(np.stack((y, x, y), axis=-1) + 100, margin) - 100
    middle, half_diagonal = np.array([29.5, 40]), np.hypot(29.5, 40)
    for row, column in [(0, 0), (59, 80), (10, 70), (30, 40)]:
        offset = np.array([row, column]) - middle
        factor = 1 + radial * (np.hypot(*offset) / half_diagonal) ** 2
        np.testing.assert_allclose(found[row, column, :2], middle + offset * factor, atol=1e-3)


def test_maps_are_bent_as_pictures_are():
    height, width, distortion = 40, 50, Distortion(radial=0.12)
    margin = distortion.margin(height, width)
    picture = smooth(height + 2 * margin, width + 2 * margin)
    bent = distortion.apply(picture, margin)
    nearest = distortion.apply_to_map(picture[..., 0], margin)
    np.testing.assert_allclose(nearest, bent[..., 0], atol=0.04)


def test_maps_keep_their_values():
    values = np.random.default_rng(0).choice([1.0, 7.0], (60, 60)).astype(np.float32)
    assert set(np.unique(Distortion(radial=0.1).apply_to_map(values, 10))) == {1, 7}


def test_vignetting_darkens_the_corners_and_not_the_middle():
    found = Vignetting(corner=0.4).apply(np.ones((41, 61, 3), np.float32))
    assert found[20, 30, 0] == pytest.approx(1)
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert found[corner][0] == pytest.approx(0.4)
    assert (np.diff(found[20, 30:, 1]) < 0).all()
