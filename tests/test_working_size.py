"""How corrections of several sizes become one."""

import numpy as np
import pytest

from ifan.working_size import blended, sizes_for_blur


def stripes(height: int, width: int, contrast: float) -> np.ndarray:
    rows = contrast * np.sin(np.arange(height) / height * 40)
    return np.broadcast_to(rows[:, None, None], (height, width, 3)).astype(np.float32)


def test_sizes_are_the_whole_its_half_and_its_quarter_unless_little_is_left_to_see():
    assert sizes_for_blur(400, 600) == [(400, 600), (200, 300), (100, 150)]
    assert sizes_for_blur(300, 200) == [(300, 200), (150, 100)]
    assert sizes_for_blur(255, 100) == [(255, 100)]


def test_each_place_has_mostly_the_correction_that_is_the_largest_there():
    contrasts = np.where(np.arange(512) < 256, 0.1, 0.005)
    large = stripes(256, 512, 1) * contrasts[None, :, None].astype(np.float32)
    small = stripes(128, 256, 0.03)
    result = blended([large.copy(), small])
    enlarged = stripes(256, 512, 0.03)
    np.testing.assert_allclose(result[:, :200], large[:, :200], atol=0.003)
    np.testing.assert_allclose(result[4:-4, 312:], enlarged[4:-4, 312:], atol=0.003)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (37, 50)])
def test_equal_corrections_come_back_at_any_size(shape):
    correction = np.random.default_rng(0).normal(0, 0.1, (*shape, 3)).astype(np.float32)
    result = blended([correction.copy() for _ in range(3)])
    np.testing.assert_allclose(result, correction, atol=1e-6)


def test_where_there_is_nothing_to_correct_nothing_is():
    zeros = [np.zeros((height, 2 * height, 3), np.float32) for height in (128, 64, 32)]
    assert not blended(zeros).any()


def halves(left: float, right: float) -> np.ndarray:
    columns = np.where(np.arange(512) < 256, left, right)
    return np.broadcast_to(columns[None, :, None], (256, 512, 3)).astype(np.float32)


def test_nowhere_is_there_more_or_less_than_what_the_sizes_say():
    corrections = [halves(0.1, 0.001), halves(0.001, 0.1)]
    result = blended(corrections)
    assert result.max() <= 0.1 + 1e-6
    assert result.min() >= 0.001 - 1e-6


def test_a_small_correction_beside_a_large_one_counts():
    result = blended([halves(1, 0.01), halves(0, 0.001)])
    np.testing.assert_allclose(result[:, 256:], 0.01, atol=0.001)
