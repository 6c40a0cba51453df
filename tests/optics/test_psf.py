import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ifan.optics import (
    Butterworth,
    Disc,
    Dome,
    Gaussian,
    HalfDisc,
    PointSpreadFunction,
    Polygon,
    Ramp,
    TranslatingDisc,
)

apertures = st.sampled_from(
    [
        Disc(),
        Polygon(4),
        Polygon(5),
        Polygon(6),
        Polygon(9),
        Butterworth(),
        Dome(),
        Dome(1.0),
        Dome(0.7, softness=1.5),
        Butterworth(order=9, cut=2, floor=0.1),
        Gaussian(),
    ]
)
splits = st.sampled_from([HalfDisc(), HalfDisc(0.4), Ramp(), TranslatingDisc()])
functions = st.builds(PointSpreadFunction, apertures, splits)
cocs = st.floats(-20, 20)


def offsets(kernel):
    return np.arange(len(kernel)) - len(kernel) // 2


@given(functions, cocs)
def test_energy_is_one(psf, coc):
    left, right = psf.views(coc)
    assert left.shape == right.shape == (2 * psf.reach(coc) + 1,) * 2
    assert left.min() >= 0
    assert left.sum() == pytest.approx(1)
    assert right.sum() == pytest.approx(1)


@given(functions, cocs)
def test_right_is_the_mirror_of_left(psf, coc):
    left, right = psf.views(coc)
    np.testing.assert_allclose(right, left[:, ::-1], atol=1e-12)


def undivided(aperture, kernels, coc):
    """The light of the whole aperture where the kernels have theirs, kxk, not normalised."""
    x = offsets(kernels.left).astype(float)
    light = aperture.light(np.full((1, 1, 1), abs(coc)), x[None, None, :], x[None, :, None])[0]
    return light if coc >= 0 else light[::-1]


@given(apertures, st.sampled_from([HalfDisc(), HalfDisc(0.7), Ramp()]), cocs)
def test_left_and_right_add_up_to_the_aperture_where_a_split_shares_its_light_out(
    aperture, split, coc
):
    """The center view's function is the aperture's own light, whichever way it was split."""
    kernels = PointSpreadFunction(aperture, split).views(coc)
    light = undivided(aperture, kernels, coc)
    np.testing.assert_allclose(kernels.center, light / light.sum(), atol=1e-12)


@given(st.floats(4, 20), st.sampled_from([-1, 1]))
def test_with_the_translating_disc_they_add_up_to_the_aperture_times_its_chords(radius, sign):
    kernels = PointSpreadFunction(Disc(), TranslatingDisc()).views(sign * radius)
    light = undivided(Disc(), kernels, sign * radius)
    chords = np.sqrt(np.maximum((radius + 0.5) ** 2 - offsets(light)[:, None] ** 2, 0))
    expected = light * chords
    np.testing.assert_allclose(kernels.center, expected / expected.sum(), atol=1e-12)
    assert np.abs(kernels.center - light / light.sum()).sum() > 0.1


@given(functions, cocs)
def test_the_other_side_of_focus_turns_by_half_a_turn(psf, coc):
    behind, in_front = psf.views(abs(coc)), psf.views(-abs(coc))
    np.testing.assert_array_equal(in_front.left, behind.left[::-1, ::-1])


@given(st.sampled_from([Disc(), Polygon(6), Butterworth(), Dome(), Gaussian()]), splits, cocs)
def test_views_swap_with_the_sign(aperture, split, coc):
    """For apertures that are the same upside down."""
    psf = PointSpreadFunction(aperture, split)
    np.testing.assert_allclose(psf.views(-coc).left, psf.views(coc).right, atol=1e-12)


@given(functions, st.floats(2, 20))
def test_behind_focus_the_left_view_sees_points_further_left(psf, coc):
    """So that disparity, right minus left, has the sign of the coc and grows with it."""

    def disparity(coc):
        kernels = psf.views(coc)
        return ((kernels.right - kernels.left) * offsets(kernels.left)).sum()

    assert disparity(coc) > 0.15 * coc
    assert disparity(-coc) == pytest.approx(-disparity(coc))
    assert disparity(coc + 1) > disparity(coc)


def test_disparity_of_a_half_disc_is_that_of_geometry():
    """The centroid of a half disc lies 4 r / (3 pi) from its middle."""
    left, right = PointSpreadFunction(Disc(), HalfDisc()).views(30)
    disparity = ((right - left) * offsets(left)).sum()
    assert disparity == pytest.approx(2 * 4 * 30 / (3 * np.pi), rel=0.01)


@given(functions, st.floats(-0.01, 0.01))
def test_no_defocus_is_a_single_pixel(psf, coc):
    for kernel in psf.views(coc):
        middle = len(kernel) // 2
        assert kernel[middle, middle] == pytest.approx(1, abs=1e-9)


@given(functions, cocs, st.floats(1e-6, 1e-3))
@example(PointSpreadFunction(Polygon(4), TranslatingDisc()), 0.5, 1e-6)
def test_small_changes_of_the_coc_make_small_changes(psf, coc, change):
    """Kernels change continuously, also where they become one pixel larger.

    Chords, of which `TranslatingDisc` is made, grow from nothing as a square root does.
    """
    reach = max(psf.reach(coc), psf.reach(coc + change))
    one, other = psf.left(np.array([coc, coc + change]), reach)
    if abs(coc) > 0.01 and coc * (coc + change) > 0:
        assert np.abs(one - other).sum() < 100 * change + 2 * np.sqrt(change)


@given(functions, st.floats(-20, 20), st.integers(1, 3))
def test_nothing_lies_beyond_the_reach(psf, coc, further):
    reach = psf.reach(coc)
    wide = psf.left(np.array([coc]), reach + further)[0]
    inside = wide[further:-further, further:-further]
    np.testing.assert_allclose(inside, psf.views(coc).left, atol=1e-12)


@settings(max_examples=20)
@given(st.floats(3, 25))
def test_a_disc_covers_its_area_evenly(radius):
    center = PointSpreadFunction(Disc()).views(radius).center
    middle = center[len(center) // 2, len(center) // 2]
    assert 1 / middle == pytest.approx(np.pi * radius**2, rel=0.05)
    assert center.max() == pytest.approx(middle)


def test_butterworth_is_dim_in_the_middle_and_bright_at_the_rim():
    center = PointSpreadFunction(Butterworth(order=6, cut=2.5, floor=0.2)).views(15).center
    row = center[len(center) // 2]
    assert row.max() > 3 * row[len(row) // 2]
    assert 11 <= abs(offsets(row)[row.argmax()]) <= 15


def test_a_dome_gets_dimmer_towards_the_rim_as_its_falloff_says():
    center = PointSpreadFunction(Dome(0.8)).views(20).center
    row = center[len(center) // 2]
    middle = len(row) // 2
    for distance in (5, 10, 15):
        expected = 1 - 0.8 * (distance / 20) ** 2
        assert row[middle + distance] / row[middle] == pytest.approx(expected, rel=0.03)
    assert row[middle + 27] < 0.01 * row[middle]


@pytest.mark.parametrize("radius", [2, 8])
def test_softness_adds_to_the_variance_of_a_dome_whatever_its_radius(radius):
    def variance(aperture):
        center = PointSpreadFunction(aperture).views(radius).center
        return (center.sum(axis=0) * offsets(center) ** 2).sum()

    # A little less as the tails are cut off.
    added = variance(Dome(0.7, softness=1.5)) - variance(Dome(0.7))
    assert 0.9 * 1.5**2 < added <= 1.5**2


def test_a_gaussian_has_the_deviation_of_the_formula():
    center = PointSpreadFunction(Gaussian()).views(14.5).center
    deviation = np.sqrt((center.sum(axis=0) * offsets(center) ** 2).sum())
    # 7, a little less as its tails are cut off.
    assert 6.5 < deviation < 7


@pytest.mark.parametrize("blades", [4, 5, 6, 8])
def test_a_polygon_has_the_area_of_geometry(blades):
    center = PointSpreadFunction(Polygon(blades)).views(25).center
    area = blades / 2 * 25**2 * np.sin(2 * np.pi / blades)
    assert 1 / center.max() == pytest.approx(area, rel=0.02)


def test_a_polygon_with_odd_blades_stands_on_its_head_in_front_of_focus():
    psf = PointSpreadFunction(Polygon(5))
    behind, in_front = psf.views(10).center, psf.views(-10).center
    np.testing.assert_allclose(in_front, behind[::-1], atol=1e-12)
    assert np.abs(in_front - behind).sum() > 0.1


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: Polygon(3),
        lambda: HalfDisc(1.1),
        lambda: HalfDisc(-0.1),
        lambda: Butterworth(order=0),
        lambda: Butterworth(floor=0),
        lambda: Butterworth(cut=-1),
        lambda: Dome(1.5),
        lambda: Dome(softness=-1),
    ],
)
def test_impossible_choices_are_refused(impossible):
    with pytest.raises(ValueError, match=r"must be|at least"):
        impossible()
