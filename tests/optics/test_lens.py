import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ifan.optics import ThinLens

FULL_FRAME_UM = 36e3 / 6000


def lens(**changes):
    usual = {
        "focal_length_mm": 50,
        "f_number": 2,
        "focus_distance_m": 2,
        "pixel_pitch_um": FULL_FRAME_UM,
    }
    return ThinLens(**(usual | changes))


@pytest.mark.parametrize(
    ("depth_m", "diameter_mm"),
    [
        # c = f^2 (z - s) / (n z (s - f)), by hand: 50 mm, F/2, focused at 2 m.
        (2, 0),
        (4, 2500 * 2000 / (2 * 4000 * 1950)),
        (1, 2500 * -1000 / (2 * 1000 * 1950)),
        (np.inf, 2500 / (2 * 1950)),
    ],
)
def test_circle_of_confusion_of_a_known_lens(depth_m, diameter_mm):
    radius_px = diameter_mm * 1e3 / FULL_FRAME_UM / 2
    assert lens().coc(depth_m) == pytest.approx(radius_px, abs=1e-9)


def test_blur_by_tracing_rays_through_a_known_lens():
    """A point behind focus: rays from both rims of the lens hit the sensor one blur apart."""
    f, n, focus, depth = 50.0, 1.4, 1500.0, 4000.0
    to_sensor = 1 / (1 / f - 1 / focus)
    to_image = 1 / (1 / f - 1 / depth)
    rim = f / n / 2
    hit = rim * (to_image - to_sensor) / to_image
    found = lens(f_number=n, focus_distance_m=focus / 1e3).coc(depth / 1e3)
    assert found == pytest.approx(abs(hit) * 1e3 / FULL_FRAME_UM)
    assert found > 0


positive = st.floats(0.5, 1e4)


@given(st.floats(10, 400), st.floats(1, 32), st.floats(0.5, 100), positive)
def test_depth_is_the_inverse_of_coc(focal_length, f_number, focus, depth):
    some = lens(focal_length_mm=focal_length, f_number=f_number, focus_distance_m=focus)
    assert some.depth(some.coc(depth)) == pytest.approx(depth, rel=1e-6)


@given(st.floats(0.5, 100), st.floats(0.1, 1e3), st.floats(1.01, 10))
def test_blur_grows_with_depth_and_has_the_sign_of_the_side_of_focus(focus, depth, further):
    some = lens(focus_distance_m=focus)
    near, far = some.coc([depth, depth * further])
    assert near < far < some.coc_at_infinity
    assert np.sign(near) == np.sign(depth - focus)


def test_slanted_planes_have_affine_circles_of_confusion():
    """A pixel at x looks along (x, 1); the plane z = 3 + 0.5 X is met at z = 3 / (1 - 0.5 x)."""
    x = np.linspace(-0.3, 0.3, 7)
    steps = np.diff(lens().coc(3 / (1 - 0.5 * x)))
    np.testing.assert_allclose(steps, steps[0])


def test_what_is_at_infinity():
    some = lens()
    assert some.depth(some.coc_at_infinity) == np.inf
    assert some.coc(np.inf) == pytest.approx(some.coc_at_infinity)


@pytest.mark.parametrize("depth", [0, -1, np.nan, [1, 0]])
def test_depths_that_do_not_exist_are_refused(depth):
    with pytest.raises(ValueError, match="positive"):
        lens().coc(depth)


def test_blur_beyond_infinity_is_refused():
    with pytest.raises(ValueError, match="no depth"):
        lens().depth(lens().coc_at_infinity * 1.01)


@pytest.mark.parametrize(
    "changes", [{"focus_distance_m": 0.05}, {"f_number": 0}, {"focal_length": 3}]
)
def test_impossible_lenses_are_refused(changes):
    with pytest.raises(ValidationError):
        lens(**changes)
