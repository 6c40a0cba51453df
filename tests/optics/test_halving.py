import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ifan.optics.halving import doubled, halved

sizes = st.integers(1, 6)
values = st.floats(0, 1, width=32)


@given(st.data(), sizes, sizes)
def test_each_pixel_of_half_the_size_is_the_mean_of_four(data, height, width):
    plane = data.draw(arrays(np.float32, (2 * height, 2 * width), elements=values))
    found = halved(plane)
    for y, x in np.ndindex(height, width):
        square = plane[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        np.testing.assert_allclose(found[y, x], square.mean(), atol=1e-6)


def test_twice_the_size_is_three_quarters_of_the_nearest_and_a_quarter_of_the_next():
    found = doubled(np.array([[0, 8]], np.float32))
    np.testing.assert_array_equal(found, [[0, 2, 6, 8]] * 2)


@given(st.data(), sizes, sizes, st.integers(1, 3))
def test_channels_do_not_see_each_other(data, height, width, channels):
    picture = data.draw(arrays(np.float32, (2 * height, 2 * width, channels), elements=values))
    for resized in (halved, doubled):
        alone = [resized(picture[..., channel]) for channel in range(channels)]
        np.testing.assert_allclose(resized(picture), np.stack(alone, axis=-1), atol=1e-6)
