import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifan.optics import (
    Butterworth,
    Disc,
    Dome,
    Gaussian,
    HalfDisc,
    Layer,
    PointSpreadFunction,
    Polygon,
    Ramp,
    ThinLens,
    TranslatingDisc,
    all_in_focus,
    margin_of,
    render,
    visible_coc,
)

FUNCTIONS = [
    PointSpreadFunction(Disc(), HalfDisc()),
    PointSpreadFunction(Polygon(5), HalfDisc(0.5)),
    PointSpreadFunction(Butterworth(), Ramp()),
    PointSpreadFunction(Gaussian(), TranslatingDisc()),
]
functions = st.sampled_from(FUNCTIONS)
seeds = st.integers(0, 2**32 - 1)
DISC = FUNCTIONS[0]


def picture(seed, height, width):
    """The hardest one: noise of full contrast."""
    random = np.random.default_rng(seed)
    return random.integers(0, 2, (height, width, 3)).astype(np.float32)


def brute_force(layers, psf, margin, shift=(0, 0, 0)):
    """The definition of the model, pixel by pixel, with the exact function at each."""
    height, width = layers[0].colour.shape[:2]
    views = np.zeros((2, height, width, 3))
    for layer in layers:
        opacity = np.ones((height, width)) if layer.opacity is None else layer.opacity
        coc = np.broadcast_to(layer.coc, (height, width))
        light = np.zeros((2, height, width, 3, 3))
        for y, x, channel in np.ndindex(height, width, 3):
            here = coc[y, x] + shift[channel]
            what = np.array([opacity[y, x] * layer.colour[y, x, channel], opacity[y, x], 1])
            reach = psf.reach(here)
            for view, kernel in enumerate(psf.views(here)):
                for j, i in np.argwhere(kernel):
                    row, column = y + j - reach, x + i - reach
                    if 0 <= row < height and 0 <= column < width:
                        light[view, row, column, channel] += kernel[j, i] * what
        weight = light[..., 2] if np.ptp(layer.coc) else 1
        views = views * (1 - light[..., 1] / weight) + light[..., 0] / weight
    return views[:, margin : height - margin, margin : width - margin]


def disc_of_opacity(height, width, radius):
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2.3)
    return np.clip(radius - distance, 0, 1).astype(np.float32)


def affine(height, width, first, last):
    x = np.linspace(first, last, width, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(x, (height, width)))


@pytest.mark.parametrize("psf", FUNCTIONS, ids=lambda psf: type(psf.aperture).__name__)
@pytest.mark.parametrize(
    ("behind", "in_front"),
    [((3.3, 3.3), (-2.2, -2.2)), ((0.2, 4), (0, 0)), ((2, -1), (-1.5, -4))],
)
def test_agrees_with_brute_force_integration(psf, behind, in_front):
    margin = psf.reach(4.01)
    size = 14 + 2 * margin
    shape = (size, size + 3)

    def coc(first, last):
        return affine(*shape, first, last) if first != last else first

    layers = [
        Layer(picture(1, *shape), coc(*behind)),
        Layer(picture(2, *shape), coc(*in_front), disc_of_opacity(*shape, 8)),
    ]
    found = render(layers, psf, margin=margin)
    expected = brute_force(layers, psf, margin)
    np.testing.assert_allclose(np.stack(found), expected, atol=1e-3, rtol=0)


def test_agrees_with_brute_force_where_colours_are_focused_differently():
    shape, margin, shift = (24, 26), 5, (-0.8, 0, 0.6)
    layers = [
        Layer(picture(1, *shape), affine(*shape, 0, 3)),
        Layer(picture(2, *shape), -2.0, disc_of_opacity(*shape, 6)),
    ]
    found = render(layers, DISC, margin=margin, chromatic_shift=shift)
    expected = brute_force(layers, DISC, margin, shift)
    np.testing.assert_allclose(np.stack(found), expected, atol=1e-3, rtol=0)


@settings(max_examples=30, deadline=None)
@given(functions, seeds, st.floats(-12, 12))
def test_a_plane_is_its_picture_convolved(psf, seed, coc):
    """Every circle of confusion, also those between two entries of the table."""
    margin = psf.reach(coc)
    colour = picture(seed, 2 * margin + 3, 2 * margin + 5)
    views = render([Layer(colour, coc)], psf, margin=margin)
    for view, kernel in zip(views, psf.views(coc), strict=True):
        for y, x in np.ndindex(3, 5):
            patch = colour[y : y + 2 * margin + 1, x : x + 2 * margin + 1]
            # What arrives here from there is the kernel seen from the other side.
            expected = (patch * kernel[::-1, ::-1, None]).sum(axis=(0, 1))
            np.testing.assert_allclose(view[y, x], expected, atol=1e-3, rtol=0)


@settings(max_examples=20, deadline=None)
@given(functions, seeds)
def test_without_defocus_the_picture_comes_back(psf, seed):
    layers = [
        Layer(picture(seed, 9, 12), 0.0),
        Layer(picture(seed + 1, 9, 12), 0.0, disc_of_opacity(9, 12, 3)),
    ]
    for view in render(layers, psf, margin=0):
        np.testing.assert_allclose(view, all_in_focus(layers, margin=0), atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    functions,
    st.tuples(*[st.floats(-8, 8)] * 4),
    st.tuples(*[st.floats(0, 4)] * 3),
)
def test_a_scene_of_one_colour_has_it_up_to_the_border(psf, cocs, colour):
    shape = (30, 41)
    flat = np.broadcast_to(np.array(colour, np.float32), (*shape, 3))
    layers = [
        Layer(flat, affine(*shape, *cocs[:2])),
        Layer(flat, affine(*shape, *cocs[2:]), disc_of_opacity(*shape, 10)),
    ]
    margin = margin_of(layers, psf)
    layers = [layer.continued(margin) for layer in layers]
    for view in render(layers, psf, margin=margin):
        assert view.shape == (*shape, 3)
        np.testing.assert_allclose(view, flat, rtol=2e-5, atol=1e-6)


class Undivided:
    """Both views see through the whole lens."""

    def left_share(self, radius, x, y):
        return np.ones_like(radius + 0 * x * y)


def centers_of_a_plane(aperture, split, coc):
    """The center views of a plane: that of the split aperture, and that of the whole one."""
    functions = (PointSpreadFunction(aperture, split), PointSpreadFunction(aperture, Undivided()))
    margin = functions[0].reach(coc)
    layer = Layer(picture(1, 2 * margin + 20, 2 * margin + 24), coc)
    return [render([layer], psf, margin=margin).center for psf in functions]


@pytest.mark.parametrize("aperture", [Disc(), Polygon(5), Butterworth(), Dome(), Gaussian()])
@pytest.mark.parametrize("split", [HalfDisc(), HalfDisc(0.5), Ramp()])
@pytest.mark.parametrize("coc", [-5.3, 5.3])
def test_the_center_is_what_the_undivided_lens_sees_of_a_plane(aperture, split, coc):
    found, expected = centers_of_a_plane(aperture, split, coc)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_center_of_the_translating_disc_is_not():
    found, undivided = centers_of_a_plane(Disc(), TranslatingDisc(), 5.3)
    assert np.abs(found - undivided).max() > 0.02


@pytest.mark.parametrize("psf", FUNCTIONS, ids=lambda psf: type(psf.aperture).__name__)
def test_a_mirrored_scene_has_mirrored_views(psf):
    """Seen in a mirror, the right half of the lens is the left one."""
    margin = psf.reach(5)
    shape = (12 + 2 * margin, 15 + 2 * margin)
    layers = [
        Layer(picture(1, *shape), affine(*shape, 1, 4)),
        Layer(picture(2, *shape), -5.0, disc_of_opacity(*shape, 7)),
    ]
    mirrored = [
        Layer(
            layer.colour[:, ::-1],
            layer.coc[:, ::-1] if isinstance(layer.coc, np.ndarray) else layer.coc,
            None if layer.opacity is None else layer.opacity[:, ::-1],
        )
        for layer in layers
    ]
    views = render(layers, psf, margin=margin)
    seen = render(mirrored, psf, margin=margin)
    np.testing.assert_allclose(seen.left, views.right[:, ::-1], atol=1e-5)
    np.testing.assert_allclose(seen.right, views.left[:, ::-1], atol=1e-5)


def test_views_swap_with_the_sign_of_the_defocus():
    colour = picture(3, 40, 40)
    behind = render([Layer(colour, 5.0)], DISC, margin=6)
    in_front = render([Layer(colour, -5.0)], DISC, margin=6)
    np.testing.assert_allclose(in_front.left, behind.right, atol=1e-5)


@pytest.mark.parametrize("coc", [-9.0, 9.0])
def test_disparity_is_what_training_warps_by(coc):
    """The loss warps the right view to the left one; a half disc has its centroid at 4r / 3pi."""
    import torch

    from ifan.networks.disparity import warp_horizontally

    y, x = np.mgrid[:60, :100] / 9
    waves = np.repeat((np.sin(x + np.cos(y)) + 1)[..., None], 3, axis=2).astype(np.float32)
    views = render([Layer(waves, coc)], DISC, margin=10)
    left, right = (torch.from_numpy(view.transpose(2, 0, 1)[None].copy()) for view in views)
    disparity = torch.full((1, 1, 40, 80), 2 * 4 * coc / (3 * np.pi))

    def error(disparity):
        return ((warp_horizontally(right, disparity) - left)[..., 20:-20] ** 2).mean().item()

    assert error(disparity) < 0.03 * error(0 * disparity)
    assert error(-disparity) > error(0 * disparity)


def step(height, width, first_column):
    return np.where(np.arange(width) >= first_column, 1, 0)[None].repeat(height, 0)


def test_a_sharp_foreground_keeps_its_edge_and_nothing_of_it_leaks():
    """In front: black and in focus, right half. Behind: white and blurred."""
    shape, margin = (40, 60), 12
    white, black = np.ones((*shape, 3), np.float32), np.zeros((*shape, 3), np.float32)
    layers = [Layer(white, 11.0), Layer(black, 0.0, step(*shape, 30).astype(np.float32))]
    for view in render(layers, DISC, margin=margin):
        np.testing.assert_allclose(view[:, :18], 1, atol=1e-5)
        np.testing.assert_allclose(view[:, 18:], 0, atol=1e-5)


def test_what_is_hidden_behind_a_sharp_foreground_does_not_leak_past_its_edge():
    """Behind, a blurred edge right at the foreground's: it is seen, blurred, on its own side."""
    shape, margin = (40, 60), 12
    behind = np.ones((*shape, 3), np.float32) * step(*shape, 30)[..., None]
    foreground = np.full((*shape, 3), 0.5, np.float32)
    opacity = step(*shape, 30).astype(np.float32)
    layers = [Layer(behind.astype(np.float32), 8.0), Layer(foreground, 0.0, opacity)]
    center = render(layers, DISC, margin=margin).center
    np.testing.assert_allclose(center[:, 18:], 0.5, atol=1e-5)
    # As by the disc alone: half of it at the edge, none further away than its radius.
    assert 0.4 < center[5, 17, 0] < 0.5
    np.testing.assert_allclose(center[:, :9], 0, atol=1e-5)


def test_a_blurred_foreground_lets_the_sharp_background_through():
    shape, margin = (50, 70), 9
    behind, black = picture(1, *shape), np.zeros((*shape, 3), np.float32)
    layers = [Layer(behind, 0.0), Layer(black, -8.0, step(*shape, 35).astype(np.float32))]
    center = render(layers, DISC, margin=margin).center
    through = behind[margin:-margin, margin:-margin]
    shade = center[through > 0].reshape(-1)
    assert shade.min() < 0.01
    assert shade.max() > 0.99
    # The background stays sharp: each pixel is its own, darkened, and black where it is black.
    np.testing.assert_allclose(center[through == 0], 0, atol=1e-6)
    columns = np.where(through > 0, center, np.nan)
    assert np.nanmax(np.nanstd(columns, axis=(0, 2))) < 1e-5


def through_the_lens(layers, psf, radius, margin):
    """Trace rays: for each point of the lens all layers are shifted, then put together.

    This is the integral that the renderer simplifies by blurring each layer on its own. Each coc is
    `radius`, 0 or -`radius`, so that shifts are whole pixels.
    """
    views = []
    for kernel in psf.views(radius):
        reach = len(kernel) // 2
        view = np.zeros_like(layers[0].colour)
        for j, i in np.argwhere(kernel):
            seen = np.zeros_like(view)
            for layer in layers:
                shift = [int(offset * layer.coc / radius) for offset in (j - reach, i - reach)]
                colour = np.roll(layer.colour, shift, (0, 1))
                opacity = np.ones(colour.shape[:2]) if layer.opacity is None else layer.opacity
                opacity = np.roll(opacity, shift, (0, 1))[..., None]
                seen = seen * (1 - opacity) + colour * opacity
            view += kernel[j, i] * seen
        views.append(view[margin:-margin, margin:-margin])
    return np.stack(views)


def two_layers(behind, in_front):
    shape = (44, 44)
    opacity = disc_of_opacity(*shape, 9)
    return [Layer(picture(1, *shape), behind), Layer(picture(2, *shape), in_front, opacity)]


@pytest.mark.parametrize(("behind", "in_front"), [(6.0, 0.0), (0.0, -6.0)])
def test_is_the_integral_over_the_lens_where_one_layer_is_in_focus(behind, in_front):
    layers = two_layers(behind, in_front)
    found = np.stack(render(layers, DISC, margin=8))
    np.testing.assert_allclose(found, through_the_lens(layers, DISC, 6.0, 8), atol=1e-4)


@pytest.mark.parametrize("block", [1, 8])
def test_the_mean_of_the_halves_is_closer_to_the_integral_than_one_composition(block):
    """Where both layers are blurred, the renderer approximates."""
    behind, in_front = two_layers(6.0, -6.0)
    coarse = np.kron(picture(3, 44 // block + 1, 44 // block + 1), np.ones((block, block, 1)))
    behind = Layer(coarse[:44, :44].astype(np.float32), 6.0)
    layers = [behind, in_front]
    truth = through_the_lens(layers, DISC, 6.0, 8).mean(axis=0)
    once = render(layers, PointSpreadFunction(Disc(), Undivided()), margin=8).center
    halves = render(layers, DISC, margin=8).center
    assert np.abs(halves - truth).mean() < 0.9 * np.abs(once - truth).mean()
    assert np.abs(halves - truth).max() < 0.2


@pytest.mark.parametrize("depth_m", [1.2, 3.0, 8.0])
def test_a_point_at_a_known_depth_is_blurred_as_the_formula_says(depth_m):
    """50 mm, F/2, focused at 2 m, pixels of 20 um: measured is the area that the point covers."""
    diameter_mm = 50**2 * (depth_m * 1e3 - 2000) / (2 * depth_m * 1e3 * 1950)
    lens = ThinLens(focal_length_mm=50, f_number=2, focus_distance_m=2, pixel_pitch_um=20)
    point = np.zeros((81, 81, 3), np.float32)
    point[40, 40] = 1
    coc = float(lens.coc(depth_m))
    views = render([Layer(point, coc)], DISC, margin=20)
    radius_px = np.sqrt(1 / views.center.max() / np.pi)
    assert radius_px == pytest.approx(abs(diameter_mm) * 1e3 / 20 / 2, rel=0.02)
    # Behind focus the left view sees it further left, in front of it further right.
    columns = (views.left[..., 0].sum(axis=0) * np.arange(41)).sum()
    assert np.sign(20 - columns) == np.sign(diameter_mm)


def test_the_map_shows_the_foremost_layer_that_covers_more_than_half():
    opacity = np.array([[0, 0.4, 0.5, 1]], np.float32)
    grey = np.zeros((1, 4, 3), np.float32)
    layers = [Layer(grey, affine(1, 4, 0, 3)), Layer(grey, -2.0, opacity)]
    np.testing.assert_array_equal(visible_coc(layers, margin=0), [[0, 1, -2, -2]])


def test_continued_layers_are_their_reflections():
    layer = Layer(picture(0, 3, 4), affine(3, 4, 0, 3), disc_of_opacity(3, 4, 2)).continued(2)
    assert layer.colour.shape == (7, 8, 3)
    np.testing.assert_array_equal(layer.coc[0], [1, 0, 0, 1, 2, 3, 3, 2])


@pytest.mark.parametrize(
    ("layers", "margin", "message"),
    [
        ([], 0, "at least one"),
        ([Layer(picture(0, 9, 9), 0.0), Layer(picture(0, 9, 8), 0.0)], 0, "differ in size"),
        ([Layer(picture(0, 9, 9), 0.0, np.zeros((9, 9), np.float32))], 0, "opaque"),
        ([Layer(picture(0, 9, 9), 4.0)], 3, "too narrow"),
        ([Layer(picture(0, 9, 9), 2.0)], 5, "nothing is left"),
    ],
)
def test_impossible_scenes_are_refused(layers, margin, message):
    with pytest.raises(ValueError, match=message):
        render(layers, DISC, margin=margin)


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: Layer(np.zeros((4, 4), np.float32), 0.0),
        lambda: Layer(picture(0, 4, 4), np.zeros((4, 3), np.float32)),
        lambda: Layer(picture(0, 4, 4), 0.0, np.zeros((3, 4), np.float32)),
        lambda: Layer(picture(0, 4, 4), float("nan")),
    ],
)
def test_impossible_layers_are_refused(impossible):
    with pytest.raises(ValueError, match="must be"):
        impossible()
