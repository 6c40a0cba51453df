import math

import numpy as np
import pytest

from ifan.datasets.released import find_set
from ifan.evaluation.metrics import Scores
from ifan.evaluation.published import published_for, published_numbers
from ifan.evaluation.statistics import differences


def scores(values):
    return {n: Scores(psnr=v, ssim=v, mae=v, lpips=v) for n, v in enumerate(values, start=1)}


def test_differences_are_paired_and_know_what_is_better():
    found = differences(scores([3, 5, 7]), scores([2, 3, 8]))
    assert found["psnr"].mean == pytest.approx(2 / 3)
    assert (found["psnr"].better, found["mae"].better, found["psnr"].pictures) == (2, 1, 3)
    assert found["psnr"].is_gain
    assert not found["lpips"].is_gain


def test_only_pictures_that_both_have_count():
    first = scores([1, 2, 3])
    del first[2]
    assert differences(first, scores([0, 0]))["psnr"].pictures == 1
    assert differences(first, {}) == {}


def test_the_interval_is_that_of_the_mean():
    steps = np.random.default_rng(3).normal(1, 2, 400)
    found = differences(scores(steps), scores(np.zeros(400)))["psnr"]
    # For so many, the bootstrap agrees with the normal approximation.
    half = 1.96 * steps.std() / math.sqrt(400)
    assert found.low == pytest.approx(steps.mean() - half, abs=0.03)
    assert found.high == pytest.approx(steps.mean() + half, abs=0.03)
    assert found.is_clear


def test_one_picture_has_no_interval():
    found = differences(scores([2]), scores([1]))["psnr"]
    assert (found.mean, found.low, found.high, found.is_clear) == (1, None, None, False)


def test_pictures_equal_to_their_target_do_not_spoil_the_rest():
    infinite = differences(scores([math.inf, 3]), scores([math.inf, 1]))["psnr"]
    assert (infinite.mean, infinite.better) == (1, 1)
    assert differences(scores([math.inf, 3]), scores([2, 1]))["psnr"].mean == math.inf
    opposite = differences(scores([math.inf, 1]), scores([1, math.inf]))["psnr"]
    assert math.isnan(opposite.mean)
    assert not opposite.is_clear


def test_the_papers_number_is_among_the_published_ones():
    (paper,) = (n for n in published_for("DPDD") if n.method == "IFAN" and n.verified)
    assert (paper.psnr, paper.ssim, paper.input) == (25.366, 0.789, "single")
    assert {n.dataset for n in published_for("DPDD")} == {"DPDD", "DPDD-indoor", "DPDD-outdoor"}
    assert published_for("mine") == []


def test_every_published_number_has_a_source():
    assert all(number.source for number in published_numbers())
    assert not any("memory" in n.source for n in published_numbers() if n.verified)


def test_dpdd_is_split_into_37_indoor_and_39_outdoor_scenes():
    dpdd = find_set("DPDD")
    indoor, outdoor = dpdd.positions("indoor"), dpdd.positions("outdoor")
    assert (len(indoor), len(outdoor)) == (37, 39)
    assert sorted(indoor + outdoor) == list(range(76))
    assert {8, 13, 16, 32, 39, 56, 75} < set(indoor)
