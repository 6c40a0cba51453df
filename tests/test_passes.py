"""Several passes over a picture, turned and mirrored each time."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ifan import Deblurrer
from ifan.models import save_safetensors
from ifan.networks import IFAN
from ifan.passes import PASSES, turns


def picture(height, width, seed=3):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


@pytest.fixture(scope="module")
def deblurrers():
    one = Deblurrer(engine="onnxruntime", working_size="full")
    return {passes: one.at("full", passes) for passes in PASSES}


@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_what_is_turned_turns_back(height, width, dual_pixel):
    seen = picture(height, width)
    for turn in turns(8, dual_pixel=dual_pixel):
        (turned,) = turn.of([seen])
        assert np.array_equal(turn.back(turned), seen)


def test_there_are_eight_ways_and_the_first_is_as_it_is():
    seen = picture(5, 5)
    ways = [turn.of([seen])[0] for turn in turns(8, dual_pixel=False)]
    assert np.array_equal(ways[0], seen)
    assert len({way.tobytes() for way in ways}) == 8


def test_dual_pixel_views_lie_beside_each_other_however_they_are_turned():
    # A point that lies two columns further to the right in the right view.
    center, left, right = (np.zeros((9, 9, 1)) for _ in range(3))
    center[2, 3] = left[2, 2] = right[2, 4] = 1
    ways = turns(8, dual_pixel=True)
    assert len(ways) == 4
    for turn in ways:
        (row, column, _), *sides = (np.argwhere(view)[0] for view in turn.of([center, left, right]))
        assert [tuple(side[:2]) for side in sides] == [(row, column - 1), (row, column + 1)]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torch"])
def test_the_result_is_the_mean(engine):
    once = Deblurrer(engine=engine, precision="fp32")
    seen = picture(37, 50)
    as_it_is, upside_down = once(seen), once(np.ascontiguousarray(seen[::-1]))[::-1]
    mean = (as_it_is + upside_down) / 2
    # Results are clipped, what the network gives is not.
    least, most = (choose((as_it_is, upside_down), axis=0) for choose in (np.min, np.max))
    inside = (least > 0) & (most < 1)
    assert inside.mean() > 0.5
    assert np.abs(once.at("full", 2)(seen) - mean)[inside].max() < 1e-5


@pytest.mark.parametrize("turned", [np.flipud, np.fliplr, np.rot90])
def test_of_eight_passes_it_does_not_matter_how_a_picture_is_held(deblurrers, turned):
    seen = picture(40, 56)
    apart = {
        passes: np.abs(
            turned(deblurrer(seen)) - deblurrer(np.ascontiguousarray(turned(seen)))
        ).max()
        for passes, deblurrer in deblurrers.items()
    }
    assert apart[8] < 1e-5
    assert apart[1] > 1e-3


@pytest.mark.parametrize("passes", [0, -1, 3, 16, 1.5, "2", None, True])
def test_other_numbers_are_refused(passes):
    with pytest.raises(ValueError, match=f"passes can be 1, 2, 4, 8, not {passes}"):
        Deblurrer(passes=passes)


def test_another_size_is_seen_as_often(deblurrers):
    seen = picture(40, 56)
    eight = deblurrers[8]
    assert np.array_equal(eight.at("auto")(seen), eight(seen))
    assert not np.array_equal(eight.at("auto", 1)(seen), eight(seen))


def test_eight_passes_of_a_dual_pixel_model_are_the_four_that_leave_columns_be(tmp_path):
    torch.manual_seed(1)
    save_safetensors(tmp_path / "dual.safetensors", IFAN(4, 2, dual_pixel=True))
    center, left, right = (picture(24, 32, seed) for seed in range(3))

    def results(passes):
        deblurrer = Deblurrer(tmp_path / "dual.safetensors", engine="torch", passes=passes)
        as_it_is = deblurrer(center, left=left, right=right)
        # As it would look in a mirror, where what was seen from the left is seen from the right.
        mirrored = (view[:, ::-1].copy() for view in (center, right, left))
        center_, left_, right_ = mirrored
        return as_it_is, deblurrer(center_, left=left_, right=right_)[:, ::-1]

    one, mirrored = results(1)
    eight, mirrored_eight = results(8)
    assert np.abs(one - mirrored).max() > 1e-4
    assert np.abs(eight - mirrored_eight).max() < 1e-5
    four, _ = results(4)
    assert np.array_equal(eight, four)
