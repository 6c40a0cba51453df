"""All engines give what the network gives in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ifan.engines import VIEWS, Choice, open_engine
from ifan.engines.selection import precisions
from ifan.models import export_onnx
from ifan.networks import IFAN

FIELDS = ("dual_pixel", "shared_filters", "output_activation")
# Any two of these meet in all four ways.
FLAGS = ((False, False, False), (False, True, True), (True, False, True), (True, True, False))
VARIANTS = {
    f"N={n} " + " ".join(f for f, on in zip(FIELDS, flags, strict=True) if on): {
        "width": width,
        "iterations": n,
        **dict(zip(FIELDS, flags, strict=True)),
    }
    for n, width, flags in zip((1, 2, 3, 1), (4, 8, 4, 8), FLAGS, strict=True)
}
PAPER = {"width": 32, "iterations": 17, "shared_filters": True}


class Exported:
    """A network with ordinary weights, and its graph."""

    def __init__(self, folder, **variant):
        torch.manual_seed(0)
        self.network = IFAN(**variant).eval()
        self.graph = folder / "graph.onnx"
        export_onnx(self.graph, self.network)

    def engine(self, name, precision="fp32"):
        choice = Choice(name, "cpu", precision, "")
        return open_engine(choice, graph=lambda: self.graph, network=lambda: self.network)

    def views(self, height, width):
        count = 3 if self.network.dual_pixel else 1
        random = np.random.default_rng(height * width)
        return tuple(random.random((1, 3, height, width), np.float32) for _ in range(count))

    def expected(self, views):
        with torch.no_grad():
            return [output.numpy() for output in self.network.deblur(*map(torch.tensor, views))[:2]]


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS)
def variant(request, tmp_path_factory):
    return Exported(tmp_path_factory.mktemp("exported"), **request.param)


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    return Exported(tmp_path_factory.mktemp("paper"), **PAPER)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return Exported(tmp_path_factory.mktemp("small"), width=1, iterations=1)


def deblurred(engine, views):
    return engine.run(dict(zip(VIEWS, views, strict=False)), ("deblurred",))[0]


def outputs(engine, views):
    given = dict(zip(VIEWS, views, strict=False))
    return [engine.run(given, (wanted,))[0] for wanted in ("deblurred", "disparity")]


def assert_same_to_1e4(exported, name, size):
    """`size` is not the one that graphs are traced at."""
    engine = exported.engine(name)
    views = exported.views(*size)
    for found, expected in zip(outputs(engine, views), exported.expected(views), strict=True):
        assert (found.shape, found.dtype) == (expected.shape, np.float32)
        assert found.flags.c_contiguous
        assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "torch"])
def test_every_variant_to_1e4(variant, name):
    assert_same_to_1e4(variant, name, (72, 40))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "torch"])
def test_the_smallest_picture_to_1e4(small, name):
    assert_same_to_1e4(small, name, (8, 8))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "torch"])
def test_the_network_of_the_paper_to_1e4(paper, name):
    assert_same_to_1e4(paper, name, (72, 40))


@pytest.mark.parametrize(
    ("name", "precision"), [("openvino", "bf16"), ("openvino", "fp16"), ("torch", "bf16")]
)
def test_in_half_precision_to_1e2_on_average(paper, name, precision):
    if precision not in precisions(name, "cpu"):
        pytest.skip(f"{name} offers no {precision} on this CPU")
    engine = paper.engine(name, precision)
    views = paper.views(72, 40)
    for found, expected in zip(outputs(engine, views), paper.expected(views), strict=True):
        difference = np.abs(found - expected)
        assert 0 < difference.mean() < 1e-2
        assert found.dtype == np.float32


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "torch"])
def test_keeps_what_it_returned_and_what_it_was_given(small, name):
    engine = small.engine(name)
    views, others = small.views(16, 24), small.views(24, 16)
    given = [view.copy() for view in views]
    first = deblurred(engine, views)
    kept = first.copy()
    deblurred(engine, others)
    deblurred(engine, tuple(view[..., ::-1].copy() for view in views))
    assert np.array_equal(first, kept)
    assert all(np.array_equal(*pair) for pair in zip(views, given, strict=True))


def test_takes_turns_between_more_sizes_than_it_keeps(small):
    engine = small.engine("openvino")
    for size in ((8, 8), (8, 16), (16, 8), (16, 16), (8, 24), (8, 8)):
        views = small.views(*size)
        assert np.abs(deblurred(engine, views) - small.expected(views)[0]).max() < 1e-4


@pytest.mark.parametrize(
    ("name", "asked"), [("torch", "network"), ("openvino", "graph"), ("onnxruntime", "graph")]
)
def test_only_what_an_engine_runs_is_made(small, name, asked):
    calls = []

    def graph():
        calls.append("graph")
        return small.graph

    def network():
        calls.append("network")
        return small.network

    open_engine(Choice(name, "cpu", "fp32", ""), graph=graph, network=network)
    assert calls == [asked]


@pytest.mark.parametrize(("precision", "coarse"), [("fp32", False), ("bf16", True)])
def test_cudnn_is_used_and_rounds_only_what_may_be_rounded(precision, coarse):
    seen = []
    network = IFAN(width=1, iterations=1)
    network.register_forward_hook(
        lambda *_: seen.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))
    )
    choice = Choice("torch", "cpu", precision, "")
    engine = open_engine(choice, graph=lambda: None, network=lambda: network)
    deblurred(engine, (np.zeros((1, 3, 8, 8), np.float32),))
    assert seen == [(True, coarse)]


def test_a_network_stays_where_it_is_when_an_engine_takes_it_elsewhere():
    network = IFAN(1, 1)
    open_engine(Choice("torch", "meta", "fp32", ""), graph=None, network=lambda: network)
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
