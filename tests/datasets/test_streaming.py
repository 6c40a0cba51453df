"""Crops of simulated scenes without end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ifan.datasets.simulated import Simulation
from ifan.datasets.streaming import CropStream, Curriculum
from ifan.errors import IfanError

SIMULATION = Simulation(height=64, width=64, coc_px=(1, 8), sharp_share=0.3)


@pytest.fixture(scope="module")
def stream(photographs):
    return CropStream(photographs, SIMULATION, crop=32, uses=3)


def test_a_group_is_the_same_whenever_it_is_made(stream, photographs):
    again = CropStream(photographs, SIMULATION, crop=32, uses=3)
    again.group(0, 2, 0.0)
    for first, second in zip(stream.group(5, 2, 0.0), again.group(5, 2, 0.0), strict=True):
        assert first.name == second.name
        for name in ("center", "target", "left", "right"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_groups_and_seeds_differ(stream, photographs):
    names = {example.name for example in stream.group(0, 4, 0.0)}
    assert names.isdisjoint(example.name for example in stream.group(1, 4, 0.0))
    other = CropStream(photographs, SIMULATION, crop=32, uses=3, seed=1)
    assert not np.array_equal(other.group(0, 1, 0.0)[0].center, stream.group(0, 1, 0.0)[0].center)


def test_crops_of_one_scene_lie_in_different_batches(stream):
    crops = stream.group(0, 4, 0.0)
    assert len(crops) == 12
    for first in (0, 4, 8):
        assert len({example.name for example in crops[first : first + 4]}) == 4
    assert all(crop.center.shape == (32, 32, 3) for crop in crops)
    assert all(crop.center.dtype == np.uint8 for crop in crops)


def test_a_curriculum_begins_mild_and_widens(monkeypatch, photographs):
    curriculum = Curriculum(
        mean_coc_px=(1, 2), last_mean_coc_px=6, widened_by=0.5, any_share=0.5, any_after=0.5
    )
    assert [curriculum.wanted(part) for part in (0, 0.25, 0.5, 1)] == [
        (1, 2),
        (1, 4),
        (1, 6),
        (1, 6),
    ]
    stream = CropStream(photographs, SIMULATION, crop=32, uses=2, curriculum=curriculum)
    means = []
    monkeypatch.setattr(
        stream,
        "_example",
        lambda scene, corner, *_: means.append(
            np.abs(scene.coc[corner[0] :, corner[1] :][:32, :32]).mean()
        ),
    )
    stream.group(0, 10, 0.0)
    assert len(means) == 20
    assert min(means) >= 1
    assert max(means) <= 2
    means.clear()
    stream.group(0, 20, 1.0)
    assert min(means) < 1, "some are of any blur"
    assert max(means) > 2


def test_grey_crops_are_grey_in_all_views(photographs):
    stream = CropStream(photographs, SIMULATION, crop=32, grey_share=1.0)
    for example in stream.group(0, 2, 0.0):
        for name in ("center", "target", "left", "right"):
            picture = getattr(example, name)
            assert (picture == picture[..., :1]).all()
            assert picture.std() > 1


def test_without_views_crops_are_turned_in_all_eight_ways(photographs):
    straight = CropStream(photographs, SIMULATION, crop=32)
    turning = CropStream(photographs, SIMULATION, crop=32, views=False)
    ways = {
        _way(straight.group(number, 1, 0.0)[0], turning.group(number, 1, 0.0)[0])
        for number in range(40)
    }
    assert ways == set(range(8))


def _way(straight, turned):
    """Return which of the eight turns leads from one example to the other, in all pictures."""
    assert turned.left is None
    assert turned.right is None
    pictures = ("center", "target", "coc")
    for way in range(8):
        turn = [np.rot90(getattr(straight, name), way % 4) for name in pictures]
        turn = [np.fliplr(picture) if way >= 4 else picture for picture in turn]
        found = [getattr(turned, name) for name in pictures]
        if all(np.array_equal(one, other) for one, other in zip(turn, found, strict=True)):
            return way
    raise AssertionError("is no turn of the other")


def test_the_true_blur_of_a_crop_is_that_of_its_own_place(photographs):
    """Where |coc| is below half a pixel, a scene without noise is its target; elsewhere not."""
    settings = {"coc_px": (6, 8), "sharp_share": 0, "occluded_share": 0, "electrons": (1e9, 1e9)}
    simulation = SIMULATION.model_copy(update=settings)
    stream = CropStream(photographs, simulation, crop=32, uses=2)
    sharp, blurred = [], []
    for example in stream.group(0, 12, 0.0):
        change = np.abs(example.center.astype(float) - example.target).mean(axis=-1)
        sharp.extend(change[np.abs(example.coc) < 0.3])
        blurred.extend(change[np.abs(example.coc) > 4])
    assert len(sharp) > 100
    assert np.mean(sharp) < np.mean(blurred) / 3


def test_sixteen_bits_stay_sixteen(photographs):
    simulation = SIMULATION.model_copy(update={"bits": 16})
    picture = CropStream(photographs, simulation, crop=32).group(0, 1, 0.0)[0].center
    assert picture.dtype == np.uint16
    assert any(first % 257 for first, _ in pairwise(picture.flat))


def test_a_blur_that_no_scene_has_is_not_looked_for_for_ever(photographs, monkeypatch):
    monkeypatch.setattr("ifan.datasets.streaming._MOST_TRIES", 3)
    curriculum = Curriculum(mean_coc_px=(7.9, 8), last_mean_coc_px=8, any_share=0)
    stream = CropStream(photographs, SIMULATION, crop=32, uses=1, curriculum=curriculum)
    with pytest.raises(IfanError, match=r"data.curriculum: wants crops with a mean .* of 7.9 to 8"):
        stream.group(0, 1, 0.0)


def test_any_blur_is_taken_as_often_as_was_asked_for(photographs, monkeypatch):
    """Scenes that lack the blur that is wanted are made anew, and those of any blur never are."""
    curriculum = Curriculum(mean_coc_px=(1, 2), any_share=0.3, any_after=0)
    stream = CropStream(photographs, SIMULATION, crop=32, curriculum=curriculum)
    chance, taken = np.random.default_rng(5), []

    def crops(number, wanted, random):
        if wanted is None or chance.random() < 0.2:
            taken.append(wanted)
            yield number

    monkeypatch.setattr(stream, "_crops", crops)
    stream.group(0, 1000, 0.5)
    assert taken.count(None) / len(taken) == pytest.approx(0.3, abs=0.05)
