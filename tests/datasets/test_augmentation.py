import numpy as np
import pytest

from ifan.datasets.augmentation import Augmentation, augmented
from ifan.datasets.examples import Example
from ifan.errors import PictureError

PLAIN = Augmentation.none()
GREY = Augmentation(noise_share=0, grey_share=1, resize_share=0)
NOISY = Augmentation(noise_share=1, grey_share=0, resize_share=0)
SMALLER = Augmentation(noise_share=0, grey_share=0, resize_share=1)
PICTURES = ("center", "target", "left", "right")


class Drawing:
    """Draws what lies at the same place of every range, from 0 to 1."""

    def __init__(self, place):
        self.place = place

    def random(self):
        return self.place

    def uniform(self, low, high):
        return low + self.place * (high - low)


def example(center, target=None, left=None, right=None):
    others = (center if picture is None else picture for picture in (target, left, right))
    return Example(center, *others, name="scene 7")


def leaves(seed, height=40, width=50):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def positions(height=10, width=10):
    """A picture whose pixels say where they are."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8)


def area_resized(picture, height, width):
    """The definition: each pixel is the mean of the area that it covers."""

    def shares(old, new):
        low, high = np.arange(new)[:, None] * old / new, np.arange(1, new + 1)[:, None] * old / new
        pixels = np.arange(old)
        covered = np.minimum(high, pixels + 1) - np.maximum(low, pixels)
        return np.maximum(covered, 0) * new / old

    rows, columns = shares(picture.shape[0], height), shares(picture.shape[1], width)
    return np.einsum("yr,rcz,xc->yxz", rows, picture.astype(float), columns)


def test_the_defaults_are_those_of_the_paper():
    assert Augmentation().model_dump() == {
        "noise_share": 0.05,
        "noise_sigma": (0.001, pytest.approx(0.0707107)),
        "grey_share": 0.3,
        "resize_share": 0.5,
        "smallest_scale": 0.7,
        "flips": False,
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_part_of_every_picture_is_cut_out_at_the_same_place(dtype):
    random = np.random.default_rng(1)
    whole = [random.integers(np.iinfo(dtype).max, size=(30, 20, 3), dtype=dtype) for _ in range(4)]
    part = augmented(example(*whole), 8, PLAIN, np.random.default_rng(2))
    places = set()
    for picture, original in zip((getattr(part, name) for name in PICTURES), whole, strict=True):
        assert picture.dtype == np.float32
        windows = np.lib.stride_tricks.sliding_window_view(original, (8, 8, 3))[:, :, 0]
        same = np.isclose(windows / np.iinfo(dtype).max, picture, atol=1e-6).all(axis=(2, 3, 4))
        places.add(tuple(np.argwhere(same)[0]))
    assert len(places) == 1
    assert part.name == "scene 7"


def test_positions_are_drawn_as_in_the_papers_training():
    # int(uniform(0, 10 - 4) - 1): 0 twice as often as others, 5 and 6 never.
    random = np.random.default_rng(3)
    parts = [augmented(example(positions()), 4, PLAIN, random).center for _ in range(3000)]
    rows = np.rint([part[0, 0, 0] * 255 for part in parts])
    assert set(rows) == {0, 1, 2, 3, 4}
    assert np.mean(rows == 0) == pytest.approx(1 / 3, abs=0.03)
    assert np.mean(rows == 4) == pytest.approx(1 / 6, abs=0.03)


def test_pictures_are_not_flipped_unless_that_is_asked_for():
    random = np.random.default_rng(4)
    for _ in range(50):
        part = augmented(example(positions()), 4, Augmentation(grey_share=0), random)
        assert (np.diff(part.target[..., 0], axis=0) > 0).all()
        assert (np.diff(part.target[..., 1], axis=1) > 0).all()


def test_a_mirror_makes_the_left_view_the_right_one():
    left, right = (np.full((10, 10, 3), level, np.float32) for level in (0.25, 0.75))
    flips = PLAIN.model_copy(update={"flips": True})
    random = np.random.default_rng(5)
    seen = set()
    for _ in range(100):
        part = augmented(example(positions(), None, left, right), 4, flips, random)
        upside_down = bool((np.diff(part.center[..., 0], axis=0) < 0).all())
        mirrored = bool((np.diff(part.center[..., 1], axis=1) < 0).all())
        assert part.left[0, 0, 0] == (0.75 if mirrored else 0.25)
        assert part.right[0, 0, 0] == (0.25 if mirrored else 0.75)
        np.testing.assert_array_equal(part.center, part.target)
        seen.add((upside_down, mirrored))
    assert len(seen) == 4


def test_grey_is_that_of_the_released_training(golden):
    values = {name: value.numpy() for name, value in golden("metrics.safetensors").items()}
    reference = values["reference"].astype(np.float32)
    part = augmented(example(reference), 48, GREY, Drawing(0))
    for name in PICTURES:
        np.testing.assert_allclose(getattr(part, name), values["gray"][:, :48], atol=2e-6)


def test_views_and_center_get_the_same_noise_and_the_target_none():
    pictures = [np.full((64, 64, 3), level, np.float32) for level in (0.4, 0.5, 0.55, 0.6)]
    sigmas = []
    for seed in range(200):
        part = augmented(example(*pictures), 32, NOISY, np.random.default_rng(seed))
        assert (part.target == 0.5).all()
        np.testing.assert_allclose(part.left - 0.55, part.center - 0.4, atol=1e-6)
        np.testing.assert_allclose(part.right - 0.6, part.center - 0.4, atol=1e-6)
        sigmas.append(part.center.std())
    assert 0.0009 < min(sigmas) < 0.003
    assert 0.069 < max(sigmas) < 0.0725
    assert np.mean(sigmas) == pytest.approx((0.001 + 0.005**0.5) / 2, rel=0.1)


def test_noise_does_not_leave_the_range():
    black, white = np.zeros((16, 16, 3), np.float32), np.ones((16, 16, 3), np.float32)
    part = augmented(example(black, None, white), 16, NOISY, np.random.default_rng(6))
    assert part.center.min() == 0 < part.center.max()
    assert part.left.min() < 1 == part.left.max()


@pytest.mark.parametrize("place", [0.0, 0.3, 0.9])
def test_smaller_pictures_are_means_of_areas(place):
    whole = [leaves(seed) for seed in range(4)]
    scale, crop = 0.7 + place * 0.3, 20
    augmentation = SMALLER.model_copy(update={"resize_share": 1.0})
    part = augmented(example(*whole), crop, augmentation, Drawing(place))
    height, width = round(40 * scale), round(50 * scale)
    top, left = (max(0, int(place * (size - crop) - 1)) for size in (height, width))
    for name, picture in zip(PICTURES, whole, strict=True):
        expected = area_resized(picture, height, width)[top : top + crop, left : left + crop]
        np.testing.assert_allclose(getattr(part, name), expected, atol=1e-6)


def test_a_picture_does_not_become_smaller_than_the_crop():
    random = np.random.default_rng(7)
    for size in (32, 36):
        part = augmented(example(leaves(1, size, 64)), 32, SMALLER, random)
        assert part.center.shape == part.right.shape == (32, 32, 3)


def test_each_happens_as_often_as_it_should():
    random = np.random.default_rng(8)
    picture = leaves(2, 12, 12)
    augmentation = Augmentation(noise_share=0, resize_share=0)
    parts = [augmented(example(picture), 8, augmentation, random).center for _ in range(2000)]
    assert np.mean([np.ptp(part, axis=2).max() == 0 for part in parts]) == pytest.approx(
        0.3, abs=0.04
    )


def test_pairs_without_views_stay_without():
    pair = Example(leaves(1), leaves(2), None, None, "pair")
    part = augmented(pair, 16, Augmentation(flips=True), np.random.default_rng(9))
    assert part.left is part.right is None


def test_a_picture_that_is_smaller_than_the_crop_is_named():
    with pytest.raises(PictureError, match=r"scene 7: has 50x40 pixels.*crop of 64"):
        augmented(example(leaves(1)), 64, PLAIN, np.random.default_rng(0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"grey_share": 1.1},
        {"noise_sigma": (0.2, 0.1)},
        {"noise_sigma": (0.1, float("inf"))},
        {"noise_share": float("nan")},
        {"smallest_scale": 0},
        {"rotations": True},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)
