"""A picture that goes through the network in tiles becomes what it becomes at once."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ifan.engines import Choice, Memory, open_engine
from ifan.engines.selection import precisions
from ifan.engines.staged import (
    DECODER_HALO,
    DISPARITY_HALO,
    ENCODER_HALO,
    PREDICTOR_HALO,
    StagedNetwork,
    filter_halo,
)
from ifan.errors import OutOfMemoryError
from ifan.models import export_onnx
from ifan.networks import IFAN
from ifan.tiling import CELL

WIDTH, ITERATIONS = 2, 1
HALO = max(PREDICTOR_HALO, filter_halo(ITERATIONS))
TILE_CELLS = (2 * HALO + 15) ** 2
ENDLESS = 1e15


class Staged:
    """A small network with weights that let far pixels be felt, on some engine."""

    def __init__(self, folder, name, precision="fp32", *, dual_pixel=False):
        torch.manual_seed(1)
        self.network = IFAN(WIDTH, ITERATIONS, dual_pixel=dual_pixel).eval()
        with torch.no_grad():
            for weight in self.network.parameters():
                weight *= 1.3 if weight.ndim > 1 else 1
        graph = folder / "graph.onnx"
        export_onnx(graph, self.network)
        choice = Choice(name, "cpu", precision, "")
        self.engine = open_engine(choice, graph=lambda: graph, network=lambda: self.network)
        self.staged = StagedNetwork(self.engine, WIDTH, ITERATIONS)
        self.views = 3 if dual_pixel else 1

    def picture(self, height, width):
        random = np.random.default_rng([height, width])
        return tuple(random.random((1, 3, height, width), np.float32) for _ in range(self.views))

    def room(self, pixels, cells):
        """Memory for tiles of so many cells in each stage."""
        memory = self.engine.memory
        largest = max(memory.encode, memory.predict, memory.apply, memory.decode)
        return self.staged.features_bytes(pixels) + largest * WIDTH * 64 * cells


@pytest.fixture(scope="module", params=["torch", "openvino", "onnxruntime"])
def staged(request, tmp_path_factory):
    return Staged(tmp_path_factory.mktemp(request.param), request.param)


def assert_tiled_as_whole(staged, views, cells, tolerance=1e-5):
    height, width = views[0].shape[-2:]
    room = staged.room(height * width, cells)
    assert room < staged.engine.memory.whole * WIDTH * height * width  # it has to be cut
    for work in (staged.staged.deblur, staged.staged.disparity):
        whole, tiled = work(views, ENDLESS), work(views, room)
        assert tiled.shape == whole.shape
        assert np.abs(tiled - whole).max() < tolerance


@settings(max_examples=3)
@given(
    height=st.integers(8 * 105, 8 * 110),
    width=st.integers(8 * 105, 8 * 110),
    more=st.floats(1, 1.1),
)
def test_tiles_of_any_size_give_the_whole_picture(staged, height, width, more):
    assert_tiled_as_whole(staged, staged.picture(height, width), TILE_CELLS * more)


def test_a_long_and_narrow_picture_is_cut_along_its_length_only(staged):
    cells = 3 * (2 * HALO + 15)
    assert_tiled_as_whole(staged, staged.picture(17, 8 * 5 * HALO), cells)


def test_dual_pixel_views_are_cut_alike(tmp_path):
    staged = Staged(tmp_path, "openvino", dual_pixel=True)
    assert_tiled_as_whole(staged, staged.picture(8 * 106, 8 * 105), TILE_CELLS)


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_tiles_differ_from_the_whole_no_more_than_half_precision_does(tmp_path, name):
    if "bf16" not in precisions(name, "cpu"):
        pytest.skip(f"{name} offers no bf16 on this CPU")
    staged = Staged(tmp_path, name, "bf16")
    views = staged.picture(8 * 106, 8 * 105)
    with torch.no_grad():
        exact = staged.network(torch.tensor(views[0])).numpy()
    rounding = np.abs(staged.staged.deblur(views, ENDLESS) - exact).max()
    assert_tiled_as_whole(staged, views, TILE_CELLS, tolerance=rounding)


@pytest.mark.parametrize(
    ("halo", "stage"),
    [
        (ENCODER_HALO, lambda network, given: network.encode(given.picture)[0]),
        (ENCODER_HALO, lambda network, given: network.encode(given.picture)[1]),
        (PREDICTOR_HALO, lambda network, given: network.predict(given.feature)[0]),
        (DISPARITY_HALO, lambda network, given: network.predict(given.feature)[1]),
        (
            filter_halo(3),
            lambda network, given: network.apply_filters(given.other, given.feature),
        ),
        (DECODER_HALO, lambda network, given: network.decode(given.feature, given.picture)),
    ],
)
def test_the_halo_of_a_stage_is_what_it_sees(halo, stage):
    """Moving a cell of what is given moves nothing beyond the halo, and something at it."""
    torch.manual_seed(0)
    network = IFAN(width=1, iterations=3).double().eval()
    middle = halo + 1
    length = 2 * middle + 1
    # Features of one sign and weights that cannot cancel, so that nothing moved stays unseen.
    with torch.no_grad():
        for weight in network.parameters():
            weight.abs_()
    feature, other = torch.rand(2, 1, 4, 5, length, dtype=torch.double)
    picture = torch.rand(1, 3, 5 * CELL, length * CELL, dtype=torch.double)
    given = SimpleNamespace(feature=feature, other=other, picture=picture)
    changed = set()
    with torch.no_grad():
        before = stage(network, given)
        for moved in (feature, *(picture[..., pixel::CELL] for pixel in range(CELL))):
            kept = moved[..., middle].clone()
            moved[..., middle] = 1e9  # what it adds far away is little
            after = stage(network, given)
            moved[..., middle] = kept
            columns = (before != after).any(dim=(0, 1, 2)).nonzero().flatten()
            changed.update((columns // (before.shape[-1] // length)).tolist())
    assert max(abs(cell - middle) for cell in changed) == halo


class Stingy:
    """An engine that runs out of memory on all but small parts."""

    def __init__(self, engine, most_pixels):
        self.engine = engine
        self.memory = engine.memory
        self.most_pixels = most_pixels
        self.release = engine.release

    def run(self, given, wanted):
        center = given.get("center")
        if center is not None and center.shape[-1] * center.shape[-2] > self.most_pixels:
            raise OutOfMemoryError("network", "memory ran out", "buy some")
        return self.engine.run(given, wanted)


def test_where_memory_runs_out_it_goes_on_in_smaller_parts_and_says_so(tmp_path, caplog):
    staged = Staged(tmp_path, "torch")
    views = staged.picture(8 * 100, 8 * 110)
    expected = staged.staged.deblur(views, ENDLESS)
    stingy = StagedNetwork(Stingy(staged.engine, 8 * 8 * 8000), WIDTH, ITERATIONS)
    with caplog.at_level(logging.WARNING, logger="ifan"):
        found = stingy.deblur(views, ENDLESS)
    assert np.abs(found - expected).max() < 1e-5
    assert "memory ran out: going on in smaller parts" in caplog.text


def test_where_no_part_is_small_enough_it_ends(tmp_path):
    staged = Staged(tmp_path, "torch")
    views = staged.picture(8 * 100, 8 * 110)
    hopeless = StagedNetwork(Stingy(staged.engine, 100), WIDTH, ITERATIONS)
    with pytest.raises(OutOfMemoryError, match="880x800 pixels need at least"):
        hopeless.deblur(views, ENDLESS)
    with pytest.raises(OutOfMemoryError, match="smaller --working-size"):
        staged.staged.deblur(views, 1000)


class Idle:
    """An engine that only counts how often it would have had to work."""

    memory = Memory(whole=18, encode=13, predict=4.5, apply=6.5, decode=17.5, feature=0.25)
    runs = 0

    def run(self, given, wanted):
        self.runs += 1
        name, array = next(iter(given.items()))
        height, width = array.shape[-2:]
        cells = (height // CELL, width // CELL) if name == "center" else (height, width)
        pixels = tuple(CELL * side for side in cells)
        return [
            np.zeros((1, 3, *pixels) if name == "deblurred" else (1, 1, *cells), np.float32)
            for name in wanted
        ]

    def release(self):
        pass


@pytest.fixture
def large():
    """A view whose third stage needs more room for a tile than the ones before."""
    return (np.zeros((1, 3, 8 * 120, 8 * 125), np.float32),)


def test_what_has_no_room_in_some_stage_is_refused_before_the_first_tile(large):
    engine = Idle()
    network = StagedNetwork(engine, 32, iterations=44)
    least = network.least_room(8 * 120, 8 * 125, "deblurred")
    with pytest.raises(OutOfMemoryError, match=r"1000x960 .* at least 0\.17 GB") as error:
        network.deblur(large, least - 1e6)
    assert "0.16 GB may be taken" in str(error.value)
    assert not engine.runs
    assert network.deblur(large, least + 1).shape == large[0].shape


def test_work_that_is_many_times_the_picture_is_told_once(large, caplog):
    network = StagedNetwork(Idle(), 32, iterations=44)
    least = network.least_room(8 * 120, 8 * 125, "deblurred")
    network.deblur(large, 2 * least)
    assert not caplog.text
    for _ in range(2):
        network.deblur(large, 1.01 * least)
    (record,) = caplog.records
    assert re.match("1000x960 pixels: .* computed [0-9]+ times over; ", record.getMessage())
