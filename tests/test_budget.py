"""What fits into memory is done, what does not is refused before it is begun."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ifan import Deblurrer, budget
from ifan.budget import Budget
from ifan.errors import EngineError, OutOfMemoryError
from ifan.images import WHITE, Metadata, Photograph
from ifan.images.colour import display_p3


class Hoarder:
    """A network that keeps memory of the picture before, until it is asked for it."""

    def __init__(self, free, kept):
        self.free, self.kept = free, kept

    def available(self):
        return self.free

    def release(self):
        self.free, self.kept = self.free + self.kept, 0

    def features_bytes(self, pixels):
        return 10 * pixels

    def least_room(self, _height, _width, _wanted):
        return 300_000_000


@pytest.fixture
def hoarder(monkeypatch):
    found = Hoarder(free=100_000_000, kept=900_000_000)
    monkeypatch.setattr(budget, "available_memory", found.available)
    return found


def renditions(pixels, height, width):
    view = np.empty((height, width, 3), np.float32)
    return [SimpleNamespace(photograph_pixels=pixels, view=view)]


def photograph(height, width, dtype=np.uint8, *, has_alpha=False, icc=None):
    pixels = np.zeros((height, width, 3), dtype)
    alpha = np.zeros((height, width), dtype)
    alpha[: height // 2] = WHITE[alpha.dtype]
    return Photograph(
        pixels, alpha if has_alpha else None, "TIFF", Metadata(icc=icc), Path("photo.tif")
    )


def require(budget, height, width, hoarder):
    budget.require([photograph(height, width)], (height, width), hoarder)


def test_what_is_kept_of_the_picture_before_stands_in_no_ones_way(hoarder):
    require(Budget(None, on_cpu=True), 3000, 3000, hoarder)
    assert hoarder.kept == 0


def test_it_is_kept_as_long_as_there_is_room(hoarder):
    require(Budget(None, on_cpu=True), 1000, 1000, hoarder)
    assert hoarder.kept


def test_the_network_gets_what_was_kept(hoarder):
    room = Budget(None, on_cpu=True).for_network(hoarder, renditions(1_000_000, 1000, 1000))
    assert room == 975_000_000


def test_what_a_picture_has_already_is_not_asked_for_again(hoarder):
    """Of 1.2 GB that were free, 24 megapixels have taken 15 bytes each, and will take 25 more."""
    hoarder.free, hoarder.kept = 1_200_000_000 - 15 * 24_000_000, 0
    hoarder.least_room = lambda *_: 0
    room = Budget(None, on_cpu=True).for_network(hoarder, renditions(24_000_000, 4000, 6000))
    assert room == 240_000_000
    hoarder.free = 1_000_000_000 - 3 * 24_000_000
    require(Budget(None, on_cpu=True), 4000, 6000, hoarder)


def test_what_leaves_no_room_for_the_smallest_tile_is_refused_and_what_would_do_is_said(hoarder):
    with pytest.raises(OutOfMemoryError) as refusal:
        Budget(0.5e9, on_cpu=True).for_network(hoarder, renditions(1_000_000, 1000, 1000))
    said = "1000x1000 pixels need at least 0.69 GB of memory, 0.50 GB may be taken"
    assert str(refusal.value) == f"network: {said}; give more --memory or a smaller --working-size"
    assert Budget(0.69e9, on_cpu=True).for_network(hoarder, renditions(1_000_000, 1000, 1000))


def test_a_limit_is_kept_and_costs_nothing_that_is_kept(hoarder):
    hoarder.free = 5_000_000_000
    room = Budget(0.8e9, on_cpu=True).for_network(hoarder, renditions(1_000_000, 1000, 1000))
    assert room == pytest.approx(410_000_000)
    assert hoarder.kept


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (None, "need at least 2.88 GB of memory, 1.21 GB may be taken; close other programs"),
        (0.5e9, "need at least 3.23 GB of memory, 0.50 GB may be taken; give more --memory"),
    ],
)
def test_what_can_never_fit_is_refused_with_the_photographs_size(hoarder, limit, said):
    with pytest.raises(OutOfMemoryError) as refusal:
        require(Budget(limit, on_cpu=True), 8000, 9000, hoarder)
    assert str(refusal.value) == f"network: 9000x8000 pixels {said}"


def test_a_gpu_has_memory_of_its_own_but_the_photograph_lies_in_the_machines(hoarder):
    on_gpu = Budget(None, on_cpu=False)
    assert on_gpu.for_network(hoarder, renditions(10**6, 1000, 1000)) == math.inf
    with pytest.raises(OutOfMemoryError):
        require(on_gpu, 8000, 9000, hoarder)


class Still:
    """A network that takes no memory and changes nothing."""

    def deblur(self, views, _room):
        given = [np.ascontiguousarray(view) for view in views]  # as engines take them
        return given[0].copy()

    def disparity(self, views, _room):
        return np.zeros((1, 1, *(side // 8 for side in views[0].shape[2:])), np.float32)

    def release(self):
        pass

    def features_bytes(self, _pixels):
        return 0

    def least_room(self, _height, _width, _wanted):
        return 0


@pytest.mark.parametrize(
    ("working_size", "passes"),
    [("full", 1), ("full", 8), ("blur", 1), ("blur", 8), (256, 1), (256, 8)],
)
@pytest.mark.parametrize(
    ("views", "has_alpha", "is_wide", "strength"),
    [
        (1, False, False, 1),
        (1, True, False, 1),
        (1, False, True, 1),
        (1, False, False, 0.5),
        (3, False, False, 1),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_photograph_that_takes_more_than_there_is_is_refused(
    monkeypatch, dtype, views, has_alpha, is_wide, strength, working_size, passes
):
    deblurrer = Deblurrer(working_size=working_size, passes=passes)
    deblurrer._loaded = Still()
    monkeypatch.setattr(Deblurrer, "dual_pixel", views == 3)
    monkeypatch.setattr(budget, "available_memory", lambda: 10**12)
    tracemalloc.start()
    looks = {"has_alpha": has_alpha, "icc": display_p3() if is_wide else None}
    photographs = [photograph(2000, 200, dtype, **looks) for _ in range(views)]
    sides = dict(zip(("left", "right"), photographs[1:], strict=False))
    deblurrer.deblur_photograph(photographs[0], **sides, strength=strength)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held = sum(budget._bytes_of(each) for each in photographs)
    monkeypatch.setattr(budget, "available_memory", lambda: peak - held - 1)
    with pytest.raises(EngineError, match="close other programs"):
        deblurrer.deblur_photograph(photographs[0], **sides, strength=strength)


@pytest.mark.parametrize("kind", ["blends", "averages"])
def test_what_is_held_beside_the_network_is_taken_from_its_room(hoarder, kind):
    seen = renditions(10**6, 1000, 1000)
    budget = Budget(2.0e9, on_cpu=True)
    room = budget.for_network(hoarder, seen)
    assert budget.for_network(hoarder, seen, **{kind: True}) < room


@pytest.mark.parametrize("settings", [{"passes": 8}, {"working_size": "blur"}])
def test_a_map_takes_no_memory_for_what_deblurs(monkeypatch, settings):
    deblurrer = Deblurrer(**{"working_size": "full", **settings})
    deblurrer._loaded = Still()
    seen = photograph(2000, 200)
    # Enough for one pass at one size, with some to spare.
    free = budget._needed(2000 * 200, [seen.pixels.nbytes], (2000, 200)) + 1_000_000
    monkeypatch.setattr(budget, "available_memory", lambda: free - seen.pixels.nbytes)
    with pytest.raises(EngineError):
        deblurrer.deblur_photograph(seen)
    assert deblurrer.map_photograph(seen).shape == (2000, 200)
