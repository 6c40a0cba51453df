import json
import subprocess
import sys
import zlib
from itertools import islice

import numpy as np
import pytest
from pydantic import ValidationError

from ifan.datasets.simulated import SceneSimulator, Simulation
from ifan.datasets.simulated.crops import softened

SIZE = {"height": 64, "width": 80}
PICTURES = ("center", "left", "right", "target")


def simulator(photographs, seed=0, depths=None, **settings):
    return SceneSimulator(photographs, Simulation(**(SIZE | settings)), depths=depths, seed=seed)


def equal(one, other):
    return all(np.array_equal(getattr(one, n), getattr(other, n)) for n in (*PICTURES, "coc"))


def test_a_scene_is_what_training_needs(photographs):
    for scene in islice(simulator(photographs).scenes(), 25):
        for name in PICTURES:
            picture = getattr(scene, name)
            assert picture.shape == (64, 80, 3)
            assert picture.dtype == np.float32
            assert picture.min() >= 0
            assert picture.max() <= 1
            levels = picture * 255
            np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
        assert scene.coc.shape == (64, 80)
        assert scene.coc.dtype == np.float32
        assert np.abs(scene.coc).max() <= 15 + 1e-4
        assert scene.description


def test_a_scene_depends_on_its_number_alone(photographs):
    """So it does not matter which process makes it, nor what that process made before."""
    in_order = list(islice(simulator(photographs).scenes(), 6))
    every_second = list(islice(simulator(photographs).scenes(first=1, step=2), 3))
    assert all(map(equal, in_order[1::2], every_second))
    assert equal(simulator(photographs).scene(4), in_order[4])


def test_another_number_and_another_seed_make_another_scene(photographs):
    scene = simulator(photographs).scene(3)
    assert not equal(scene, simulator(photographs).scene(4))
    assert not equal(scene, simulator(photographs, seed=1).scene(3))


def test_another_process_makes_the_same_scene(photographs, tmp_path):
    np.save(tmp_path / "photographs.npy", photographs)
    program = (
        "import json, sys, zlib, numpy as np\n"
        "from ifan.datasets.simulated import *\n"
        "photographs = list(np.load(sys.argv[1]))\n"
        f"scene = SceneSimulator(photographs, Simulation(**{SIZE!r}), seed=3).scene(5)\n"
        "print(json.dumps([zlib.crc32(scene.center.tobytes()), 'torch' in sys.modules]))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "photographs.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = np.ascontiguousarray(simulator(photographs, seed=3).scene(5).center)
    assert json.loads(done.stdout) == [zlib.crc32(expected.tobytes()), False]


def test_sharp_scenes_are_their_target_and_noise(photographs):
    for scene in islice(simulator(photographs, sharp_share=1, electrons=(1e8, 1e8)).scenes(), 12):
        assert np.abs(scene.coc).max() < 0.5
        np.testing.assert_allclose(scene.center, scene.target, atol=1.5 / 255)
        np.testing.assert_allclose(scene.left, scene.right, atol=2.5 / 255)


def test_blurred_scenes_are_blurred(photographs):
    settings = {"sharp_share": 0, "coc_px": (4, 12), "occluded_share": 0, "electrons": (1e6, 1e6)}

    def detail(picture):
        return np.mean(np.diff(picture, axis=0) ** 2) + np.mean(np.diff(picture, axis=1) ** 2)

    scenes = list(islice(simulator(photographs, **settings).scenes(), 12))
    ratios = [detail(scene.center) / detail(scene.target) for scene in scenes]
    assert np.median(ratios) < 0.3


def test_the_center_is_between_left_and_right(photographs):
    settings = {"electrons": (1e8, 1e8), "bits": 16, "highlight_gain": 1}
    for scene in islice(simulator(photographs, **settings).scenes(), 8):
        between = (scene.left <= scene.center + 1e-3) & (scene.center <= scene.right + 1e-3)
        between |= (scene.right <= scene.center + 1e-3) & (scene.center <= scene.left + 1e-3)
        assert between.all()


def best_shift(right, left, shifts):
    """Which shift makes the right view most like the left one: left(x) = right(x + shift)."""
    inner = slice(30, -30)
    errors = [np.mean((np.roll(right, -s, axis=1) - left)[:, inner] ** 2) for s in shifts]
    return shifts[int(np.argmin(errors))]


def test_the_disparity_between_the_views_has_the_sign_of_the_coc(photographs):
    """As `ifan.networks.disparity.warp_horizontally` uses it: left(x) = right(x + disparity)."""
    settings = {"sharp_share": 0, "coc_px": (5, 9), "occluded_share": 0, "width": 160}
    planes = [
        scene
        for scene in islice(simulator(photographs, **settings).scenes(), 30)
        if scene.description.startswith("plane") and np.abs(scene.coc).mean() > 3
    ]
    assert len(planes) >= 3
    for scene in planes:
        found = best_shift(scene.right, scene.left, range(-12, 13))
        assert found * np.sign(scene.coc[0, 0]) >= 1


def test_the_tone_of_a_camera_decides_in_which_light_blur_adds_up(photographs):
    """With a contrasty tone curve, bright things out of focus shine less."""
    blur = {"sharp_share": 0, "coc_px": (6, 8), "occluded_share": 0, "distorted_share": 0}
    blur |= {"smallest_zoom": 1, "highlight_gain": 1}
    plain, contrasty = (
        simulator(photographs, tone=(exponent, exponent), electrons=(1e8, 1e8), **blur).scene(4)
        for exponent in (1, 2)
    )
    np.testing.assert_allclose(plain.target, contrasty.target, atol=1.5 / 255)
    np.testing.assert_array_equal(plain.coc, contrasty.coc)
    assert contrasty.center.mean() < plain.center.mean() - 0.2 / 255


def test_softness_is_that_of_the_whole_camera_whatever_is_in_focus(photographs):
    """A Gaussian of 0.8 px leaves 4 % of an amplitude at the finest stripes (period 2 px)."""
    focused = {"sharp_share": 1, "occluded_share": 0, "things_share": 0, "electrons": (1e8, 1e8)}
    plain, soft = (simulator(photographs, softness_px=(each, each), **focused) for each in (0, 0.8))

    def finest(picture):
        return np.abs(np.diff(picture, n=2, axis=0)).mean()

    for sharp, less in zip(islice(plain.scenes(), 4), islice(soft.scenes(), 4), strict=True):
        assert finest(less.target) < 0.6 * finest(sharp.target)
        assert np.abs(less.center - less.target).mean() < 0.5 / 255
        np.testing.assert_array_equal(less.coc, sharp.coc)


def test_softening_keeps_light_and_spreads_it_as_far_as_it_says():
    point = np.zeros((21, 21, 1), np.float32)
    point[10, 10] = 1
    soft = softened(point, 1.2)[..., 0]
    distance = np.arange(21) - 10
    assert soft.sum() == pytest.approx(1, abs=1e-5)
    for axis in (0, 1):
        assert (soft.sum(axis) * distance**2).sum() == pytest.approx(1.2**2, rel=0.01)
    flat = np.full((9, 12, 3), 0.25, np.float32)
    np.testing.assert_allclose(softened(flat, 2.0), flat, rtol=1e-6)


def test_compressed_scenes_lose_detail_and_their_target_does_not(photographs):
    clean = {"electrons": (1e8, 1e8), "sharp_share": 1}
    plain, compressed = (
        simulator(photographs, compressed_share=share, jpeg_quality=(20, 20), **clean).scene(1)
        for share in (0, 1)
    )
    np.testing.assert_array_equal(plain.target, compressed.target)
    assert np.abs(plain.center - plain.target).mean() < 0.5 / 255
    assert np.abs(compressed.center - compressed.target).mean() > 2 / 255


def test_a_depth_map_decides_the_blur(photographs):
    """A near left half, a far right half: two values of coc, on their own sides of focus."""
    depth = np.full(photographs[0].shape[:2], 1.0, np.float32)
    depth[:, 130:] = 4.0
    settings = {"sharp_share": 0, "occluded_share": 0, "distorted_share": 0}
    made = simulator(photographs[:1], depths=[depth], **settings)
    several = 0
    for scene in islice(made.scenes(), 10):
        assert scene.description.startswith("depth map")
        values = np.unique(scene.coc)
        assert len(values) <= 2
        several += len(values) == 2
        assert values[0] <= 0 <= values[-1]
    assert several >= 3


def test_things_stand_in_front_of_the_nearest_depth_too(photographs):
    """The nearest depth often has the largest coc, up to a rounding: there is hardly room."""
    depth = np.linspace(1, 9, photographs[0][..., 0].size, dtype=np.float32)
    depth = depth.reshape(photographs[0].shape[:2])
    settings = {"sharp_share": 0, "occluded_share": 1, "height": 24, "width": 24, "coc_px": (1, 2)}
    made = simulator(photographs[:1], depths=[depth], **settings)
    assert all("0 in front" not in scene.description for scene in islice(made.scenes(), 60))


def test_16_bit_scenes_have_more_levels(photographs):
    few, many = (simulator(photographs, bits=bits).scene(0).center for bits in (8, 16))
    assert len(np.unique(few)) <= 256 < len(np.unique(many))


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_photographs_may_be_of_any_depth(photographs, kind):
    scale = 257 if kind == np.uint16 else 1 / 255
    same = [(photograph * kind(scale)).astype(kind) for photograph in photographs]
    one, other = simulator(photographs).scene(2), simulator(same).scene(2)
    np.testing.assert_allclose(one.center, other.center, atol=1.5 / 255)


@pytest.mark.parametrize("size", [(2, 2), (2, 40), (40, 2), (3, 5)])
def test_scenes_may_be_as_small_as_settings_allow(photographs, size):
    height, width = size
    for settings in ({"sharp_share": 1.0}, {"sharp_share": 0.0, "coc_px": (0.3, 2.0)}):
        scenes = simulator(photographs, height=height, width=width, **settings).scenes()
        for scene in islice(scenes, 40):
            assert scene.center.shape == (*size, 3)
            assert np.isfinite(scene.center).all()


def test_photographs_that_are_too_small_are_continued(photographs):
    scene = simulator([photographs[0][:40, :50]], coc_px=(12, 12), sharp_share=0).scene(0)
    assert scene.center.shape == (64, 80, 3)


def test_photographs_may_be_read_when_they_are_asked_for(photographs):
    class Reader:
        asked = 0

        def __len__(self):
            return len(photographs)

        def __getitem__(self, number):
            self.asked += 1
            return photographs[number]

    reader = Reader()
    made = simulator(reader)
    assert reader.asked == 0
    assert equal(made.scene(0), simulator(photographs).scene(0))


def test_a_scene_without_photographs_is_refused():
    with pytest.raises(ValueError, match="at least one photograph"):
        simulator([])


@pytest.mark.parametrize(
    ("depth", "message"),
    [(np.ones((5, 6), np.float32), "must be"), (np.zeros((220, 260), np.float32), "positive")],
)
def test_depths_that_do_not_fit_are_refused(photographs, depth, message):
    with pytest.raises(ValueError, match=message):
        simulator(photographs[:1], depths=[depth]).scene(0)


def test_depths_must_be_as_many_as_photographs(photographs):
    with pytest.raises(ValueError, match="3 photographs, but 1 depths"):
        simulator(photographs, depths=[None])


def test_grey_photographs_are_refused(photographs):
    with pytest.raises(ValueError, match="HxWx3"):
        simulator([photographs[0][..., 0]]).scene(0)


@pytest.mark.parametrize(
    "impossible",
    [
        {"height": 1},
        {"width": 1},
        {"coc_px": (3, 2)},
        {"coc_px": (1, 2000)},
        {"coc_px": (1, 998), "fringe_px": 2},
        {"jpeg_quality": (90, 101)},
        {"sharp_share": 1.5},
        {"blur": 3},
    ],
)
def test_impossible_settings_are_refused(impossible):
    with pytest.raises(ValidationError):
        Simulation(**impossible)
