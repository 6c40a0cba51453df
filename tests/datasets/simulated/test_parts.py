from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import gaussian

from ifan.datasets.simulated import sharpness
from ifan.datasets.simulated.crops import scaled_down, sharp_window
from ifan.datasets.simulated.depths import (
    BACKDROPS,
    coc_of_depth,
    filled,
    layers_of_depth,
    things,
)
from ifan.datasets.simulated.noise import smooth_noise
from ifan.datasets.simulated.outlines import OUTLINES, blob, hairy, ragged
from ifan.optics import (
    PointSpreadFunction,
    ToneCurve,
    all_in_focus,
    linear_light,
    margin_of,
    render,
    visible_coc,
)

seeds = st.integers(0, 2**32 - 1)


def blurred(photograph, deviation):
    return gaussian(photograph.astype(np.float32) / 255, deviation, channel_axis=2)


def test_sharp_photographs_are_told_from_blurred_ones(photographs):
    for photograph in photographs:
        assert sharpness(photograph) > 0.9
        assert sharpness(blurred(photograph, 1.2)) < 0.3
        assert sharpness(blurred(photograph, 4)) < 0.1


def test_noise_does_not_pass_for_sharpness(photographs):
    random = np.random.default_rng(0)
    for photograph in photographs:
        for deviation in (1.5, 4):
            noise = random.normal(0, 0.012, photograph.shape)
            assert sharpness((blurred(photograph, deviation) + noise).astype(np.float32)) < 0.3


def test_sharpness_does_not_depend_on_contrast_or_depth(photographs):
    photograph = photographs[0]
    same = photograph.astype(np.float32) / 255
    assert sharpness(same) == pytest.approx(sharpness(photograph), abs=0.02)
    assert sharpness(same * 0.4 + 0.3) == pytest.approx(sharpness(photograph), abs=0.1)


@pytest.mark.parametrize("size", [(100, 100), (3, 100), (1, 1)])
def test_what_has_no_texture_is_not_sharp(size):
    assert sharpness(np.full((*size, 3), 90, np.uint8)) == 0


def test_windows_are_taken_where_a_photograph_is_sharp(photographs):
    half = (blurred(photographs[0], 3) * 255).astype(np.uint8)
    half[:, 130:] = photographs[0][:, 130:]
    random = np.random.default_rng(0)
    windows = [sharp_window([half], random, 60, 60, (1.0, 1.0)) for _ in range(30)]
    assert sum(window.columns[0] >= 100 for window in windows) >= 25


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 30), st.integers(1, 30), st.integers(0, 40), st.integers(0, 40))
def test_scaling_down_keeps_the_light(seed, height, width, more_rows, more_columns):
    picture = np.random.default_rng(seed).random(
        (height + more_rows, width + more_columns, 3), np.float32
    )
    scaled = scaled_down(picture, height, width)
    assert scaled.shape == (height, width, 3)
    np.testing.assert_allclose(scaled.mean(axis=(0, 1)), picture.mean(axis=(0, 1)), atol=1e-4)


def test_scaling_down_by_a_whole_factor_averages_squares():
    picture = np.random.default_rng(0).random((12, 18, 3), np.float32)
    squares = picture.reshape(4, 3, 6, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(scaled_down(picture, 4, 6), squares, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(OUTLINES), seeds, st.integers(8, 120), st.integers(8, 120))
def test_outlines_are_opacities(outline, seed, height, width):
    opacity = outline(np.random.default_rng(seed), height, width, (1.0, 5.0))
    assert opacity.shape == (height, width)
    assert opacity.dtype == np.float32
    assert opacity.min() >= 0
    assert opacity.max() <= 1


@pytest.mark.parametrize("outline", OUTLINES)
def test_outlines_cover_something_and_not_everything(outline):
    covered = [
        outline(np.random.default_rng(seed), 120, 140, (1.0, 5.0)).mean() for seed in range(20)
    ]
    assert 0.01 < np.mean(covered) < 0.5


def test_hair_is_partly_transparent():
    opacity = hairy(np.random.default_rng(0), 200, 200, (1.0, 5.0))
    assert ((opacity > 0.1) & (opacity < 0.9)).mean() > 0.01


def test_noise_has_the_period_and_the_size_it_says():
    fine, coarse = (smooth_noise(np.random.default_rng(0), 200, 200, p) for p in (4, 40))
    assert 0.3 < fine.std() < 0.7
    assert abs(fine.mean()) < 0.05
    assert np.abs(np.diff(fine)).mean() > 5 * np.abs(np.diff(coarse)).mean()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from((*BACKDROPS, partial(things, things_px=(2, 8)))), seeds, st.floats(0.3, 15))
def test_backdrops_lie_behind_one_another_and_show_the_photograph(backdrop, seed, largest):
    random = np.random.default_rng(seed)
    colour = random.random((50, 60, 3), np.float32)
    layers = backdrop(random, colour, largest)
    cocs = [layer.coc_range for layer in layers]
    assert all(abs(limit) <= largest * 1.0001 for limits in cocs for limit in limits)
    assert [far for far, _ in cocs] == sorted((far for far, _ in cocs), reverse=True)
    np.testing.assert_allclose(all_in_focus(layers, margin=0), colour, atol=1e-5)


def test_what_has_a_colour_of_its_own_has_a_distance_of_its_own():
    """A bright bar before dark ground: nearer to the bar is not nearer in depth."""
    random = np.random.default_rng(0)
    colour = random.uniform(0.1, 0.15, (64, 64, 3)).astype(np.float32)
    colour[:, 28:36] += 0.6
    cocs = np.array([visible_coc(things(random, colour, 8.0, (2, 8)), margin=0) for _ in range(40)])
    left, bar, right = (cocs[:, :, column] for column in (24, 32, 40))
    assert np.abs(left - bar).mean() > 2 * np.abs(left - right).mean()


@settings(max_examples=30, deadline=None)
@given(seeds, st.floats(0.5, 15))
def test_depths_become_layers_that_show_the_photograph_and_its_coc(seed, largest):
    random = np.random.default_rng(seed)
    colour = random.random((40, 50, 3), np.float32)
    depth = np.exp(smooth_noise(random, 40, 50, 12)).astype(np.float32)
    depth[10:20, 10:30] = 0.2
    depth[0, 0] = np.inf
    coc = coc_of_depth(random, depth, largest)
    assert np.abs(coc).max() == pytest.approx(largest, rel=1e-4)
    # Further away is a larger coc.
    assert np.corrcoef(np.argsort(np.argsort(depth.ravel())), np.argsort(np.argsort(coc.ravel())))[
        0, 1
    ] == pytest.approx(1, abs=1e-3)
    layers = layers_of_depth(colour, coc)
    np.testing.assert_allclose(all_in_focus(layers, margin=0), colour, atol=1e-5)
    np.testing.assert_allclose(visible_coc(layers, margin=0), coc, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(100, 254))
def test_a_step_between_two_levels_of_a_wall_hardly_blurs_it(seed, level):
    """As in a piece of an 8-bit map: the levels next to each other are all the depths there are."""
    wall = np.full((8, 8), level, np.float32)
    wall[:, 5:] += 1
    coc = coc_of_depth(np.random.default_rng(seed), wall, 10.0)
    assert 0 < np.abs(coc).max() <= 2


def test_the_less_depth_there_is_the_less_blur_there_is():
    def largest(depth_range):
        depth = np.linspace(1, 1 + depth_range, 64, dtype=np.float32).reshape(8, 8)
        return np.abs(coc_of_depth(np.random.default_rng(0), depth, 10.0)).max()

    assert largest(0.002) == pytest.approx(largest(0.02) / 10, rel=0.05)
    assert largest(0.02) < largest(0.06) == pytest.approx(largest(5)) == pytest.approx(10)


@pytest.mark.parametrize("depth", [np.inf, 1e5, 1.0, 1e-5])
def test_what_is_all_at_one_depth_is_sharp(depth):
    coc = coc_of_depth(np.random.default_rng(0), np.full((4, 5), depth, np.float32), 10.0)
    np.testing.assert_array_equal(coc, np.zeros((4, 5), np.float32))


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([1e-6, 1e3, 1e6, 1e30]), st.booleans())
def test_the_unit_of_depths_does_not_matter(seed, unit, endless):
    """One scene in metres, in millimetres, in micrometres."""
    metres = np.exp(smooth_noise(np.random.default_rng(seed), 20, 30, 8)).astype(np.float32)
    if endless:
        metres[:4] = np.inf
    expected, found = (
        coc_of_depth(np.random.default_rng(seed), depth, 10.0)
        for depth in (metres, metres * np.float32(unit))
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_near_things_do_not_colour_the_blur_behind_them():
    """Red and sharp in front of blurred grey: without filling in, grey would turn reddish."""
    colour = np.full((60, 60, 3), 0.2, np.float32)
    colour[20:40, 20:40] = [1, 0, 0]
    coc = np.full((60, 60), 8.0, np.float32)
    coc[20:40, 20:40] = 0
    layers = [layer.continued(12) for layer in layers_of_depth(colour, coc)]
    assert margin_of(layers, PointSpreadFunction()) <= 12
    for view in render(layers, PointSpreadFunction(), margin=12):
        np.testing.assert_allclose(view, colour, atol=1e-5)


def test_what_lies_between_does_not_come_out_where_it_is_not():
    """A dark thing in the middle distance, far away from where near meets far, all of it grey."""
    colour = np.full((60, 90, 3), 0.5, np.float32)
    coc = np.full((60, 90), 8.0, np.float32)
    coc[:, :30] = -8
    colour[25:35, 75:85], coc[25:35, 75:85] = 0, 0
    layers = [layer.continued(12) for layer in layers_of_depth(colour, coc)]
    assert len(layers) == 3
    for view in render(layers, PointSpreadFunction(), margin=12):
        np.testing.assert_allclose(view[:, :45], 0.5, atol=0.01)


def test_what_is_filled_in_continues_what_is_known():
    known = np.ones((30, 40), bool)
    known[8:20, 10:30] = False
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32), (30, 40))[..., None]
    found = filled(np.where(known[..., None], ramp, 99).astype(np.float32), known)
    np.testing.assert_array_equal(found[known], ramp[known])
    assert np.abs(found - ramp).max() < 6


def test_light_is_what_pieces_are_in(photographs):
    window = sharp_window(photographs, np.random.default_rng(1), 40, 50, (1.0, 1.0))
    found = window.colour(40, 50, ToneCurve(1.4))
    np.testing.assert_allclose(found, linear_light(window.pixels) ** (1 / 1.4), rtol=1e-5)


def test_the_finer_things_are_told_apart_the_less_ground_goes_with_them():
    """Ground at each side of a thin bar that is at the bar's distance, in pixels."""

    def rim(things_px):
        random = np.random.default_rng(0)
        colour = random.uniform(0.1, 0.11, (64, 64, 3)).astype(np.float32)
        colour[:, 31:34] += 0.6
        cocs = [visible_coc(things(random, colour, 8.0, things_px), margin=0) for _ in range(40)]
        same = np.array(cocs) == np.array(cocs)[:, :, 32:33]
        return same[:, :, 16:48].sum(axis=2).mean() - 3

    assert rim((2, 2)) < rim((8, 8)) - 2


@pytest.mark.parametrize("photograph", [(512, 768), (1200, 1600)])
def test_pieces_are_scaled_by_what_is_allowed_or_not_at_all(photograph):
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (*photograph, 3), np.uint8)
    for _ in range(30):
        window = sharp_window([noise], random, 360, 360, (0.4, 0.66))
        zoom = 360 / window.pixels.shape[0]
        assert zoom == 1 if min(photograph) < 360 / 0.66 else 0.399 < zoom < 0.661


@pytest.mark.parametrize("outline", [blob, ragged])
def test_edges_are_as_wide_as_was_asked_for(outline):
    for seed in range(10):
        wide = outline(np.random.default_rng(seed), 80, 80, (4, 4))
        hard = outline(np.random.default_rng(seed), 80, 80, (1, 1))
        assert ((hard > 0) & (hard < 1)).sum() < 0.6 * ((wide > 0) & (wide < 1)).sum()
