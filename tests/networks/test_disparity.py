import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ifan.networks.disparity import downsample, warp_horizontally


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(2, 12), st.integers(-13, 13))
def test_warp_by_whole_pixels_is_a_shift_with_zeros(height, width, shift):
    picture = torch.rand(2, 3, height, width, dtype=torch.float64) + 1
    expected = torch.zeros_like(picture)
    for x in range(width):
        if 0 <= x + shift < width:
            expected[..., x] = picture[..., x + shift]
    disparity = torch.full((2, 1, height, width), shift, dtype=torch.float64)
    torch.testing.assert_close(warp_horizontally(picture, disparity), expected, atol=1e-9, rtol=0)


def test_left_at_x_is_right_at_x_plus_the_disparity():
    left, right = torch.zeros(2, 1, 1, 2, 12)
    left[..., 4] = right[..., 7] = 1  # a bright column, three pixels further right on the right
    found = warp_horizontally(right, torch.full((1, 1, 2, 12), 3.0))
    torch.testing.assert_close(found, left, atol=1e-5, rtol=0)


def test_warp_by_half_a_pixel_is_the_mean_of_two():
    picture = torch.tensor([1.0, 3.0, 7.0, 5.0]).reshape(1, 1, 1, 4)
    found = warp_horizontally(picture, torch.full((1, 1, 1, 4), 0.5))
    torch.testing.assert_close(found.flatten(), torch.tensor([2.0, 5.0, 6.0, 2.5]))


def test_warp_follows_the_disparity_of_each_pixel():
    picture = torch.arange(10.0).reshape(1, 1, 2, 5)
    disparity = torch.tensor([[0, 0, 0, 0, -4], [4, 0, 0, 0, 0]]).reshape(1, 1, 2, 5).float()
    found = warp_horizontally(picture, disparity)
    torch.testing.assert_close(
        found[0, 0], torch.tensor([[0, 1, 2, 3, 0], [9, 6, 7, 8, 9]]).float(), atol=1e-5, rtol=0
    )


def test_warp_is_as_exact_with_a_disparity_in_16_bits():
    """As mixed precision gives it: the coordinates must not be rounded to 16 bits, too."""
    picture = torch.rand(1, 3, 4, 90)
    disparity = torch.full((1, 1, 4, 90), 1.0, dtype=torch.bfloat16)
    found = warp_horizontally(picture, disparity)
    torch.testing.assert_close(found[..., :-1], picture[..., 1:], atol=1e-4, rtol=0)


def test_warp_has_a_gradient_for_the_disparity():
    picture = torch.arange(8.0).reshape(1, 1, 1, 8) * 2
    disparity = torch.full((1, 1, 1, 8), 0.25, requires_grad=True)
    warp_horizontally(picture, disparity)[..., 2:5].sum().backward()
    torch.testing.assert_close(disparity.grad.flatten()[2:5], torch.full((3,), 2.0))


@pytest.mark.parametrize("size", [(8, 8), (16, 40)])
def test_downsampling_averages_squares(size):
    height, width = size
    picture = torch.rand(1, 3, *size)
    found = downsample(picture)
    assert found.shape == (1, 3, height // 8, width // 8)
    torch.testing.assert_close(found[0, :, -1, -1], picture[0, :, -8:, -8:].mean((1, 2)))
