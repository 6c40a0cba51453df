from __future__ import annotations

import itertools
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ifan.networks import IFAN, ReblurringNetwork, iterative_adaptive_convolution
from ifan.networks.iac import released_channel_order, split_prediction

VARIANTS = [
    dict(zip(("dual_pixel", "shared_filters", "output_activation"), values, strict=True))
    for values in itertools.product((False, True), repeat=3)
]


def small(**variant):
    torch.manual_seed(0)
    return IFAN(width=4, iterations=3, **variant).double()


def views_of(network, height=24, width=40):
    torch.manual_seed(1)
    count = 3 if network.dual_pixel else 1
    return torch.rand(count, 2, 3, height, width, dtype=torch.float64).unbind()


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_filters_made_one_by_one_or_at_once_deblur_alike(variant):
    network = small(**variant)
    views = views_of(network)
    torch.testing.assert_close(
        network.deblur(*views).deblurred, network.deblur_for_training(*views).deblurred
    )


@pytest.mark.parametrize("shared", [False, True])
def test_gradients_are_those_of_the_training_path(shared):
    network = small(shared_filters=shared)
    views = views_of(network)
    gradients = []
    for deblur in (network.deblur, network.deblur_for_training):
        network.zero_grad()
        deblur(*views).deblurred.square().mean().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    assert all(gradient.abs().max() > 0 for gradient in gradients[0].values())
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("shared", [False, True])
@torch.no_grad()
def test_filters_are_in_released_order(shared):
    network = small(shared_filters=shared)
    (center,) = views_of(network)
    released = network.filters(center)
    assert released.shape == (2, 3 * 7 * 16, 3, 5)
    ours = released[:, released_channel_order(3, 16)]
    *skips, features = network.feature_extractor.pyramid(center)
    filtered = iterative_adaptive_convolution(
        features, split_prediction(ours, 16, shared_filters=shared)
    )
    torch.testing.assert_close(network.reconstructor(filtered, skips) + center, network(center))


@torch.no_grad()
def test_disparity_of_a_pass_is_that_asked_for_alone():
    network = small()
    (center,) = views_of(network)
    assert torch.equal(network.deblur(center).disparity, network.disparity(center))
    dual = small(dual_pixel=True)
    center, left, right = views_of(dual)
    found = dual.deblur(center, left, right).disparity
    assert found.shape == (2, 1, 3, 5)
    assert torch.equal(found, dual.disparity(left=left, right=right))
    assert not torch.equal(found, dual.disparity(left=right, right=left))


@torch.no_grad()
def test_output_activation_weakens_what_darkens():
    """The residual is activated: where it is negative, a tenth of it is left."""
    plain, activated = small(output_activation=False), small(output_activation=True)
    (center,) = views_of(plain)
    residual = plain(center) - center
    assert residual.min() < 0 < residual.max()
    expected = torch.where(residual > 0, residual, 0.1 * residual)
    torch.testing.assert_close(activated(center) - center, expected)


@torch.no_grad()
def test_smallest_picture():
    assert small()(torch.rand(1, 3, 8, 8, dtype=torch.float64)).shape == (1, 3, 8, 8)


@torch.no_grad()
def test_pictures_of_a_batch_do_not_see_each_other():
    network = small()
    (center,) = views_of(network)
    torch.testing.assert_close(network(center)[1:], network(center[1:]))


class LargestTensor(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that any operation returns."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
        return result


@pytest.mark.parametrize("shared", [False, True])
def test_neither_inference_nor_training_holds_the_whole_prediction(shared):
    network = IFAN(width=4, iterations=17, shared_filters=shared)
    center = torch.rand(1, 3, 64, 64)
    whole = 17 * 7 * 16 * 8 * 8
    full_size = 4 * 64 * 64  # a feature at the full size, which no network goes without
    with torch.no_grad(), LargestTensor() as largest:
        network.filters(center)
    assert largest.numel == whole
    for use in (network, network.deblur_for_training):
        with torch.no_grad(), LargestTensor() as largest:
            use(center)
        assert largest.numel == full_size < whole


class LivingFilters(TorchDispatchMode):
    """Notes how many results of 1x1 convolutions, which make filters, are alive at once."""

    def __init__(self):
        super().__init__()
        self.made = []
        self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.aten.convolution.default and args[1].shape[-2:] == (1, 1):
            self.made.append(weakref.ref(result))
            self.most = max(self.most, sum(filters() is not None for filters in self.made))
        return result


@pytest.mark.parametrize(("shared", "parts"), [(False, 7), (True, 4)])
@pytest.mark.parametrize("use", ["forward", "deblur", "deblur_for_training"])
@torch.no_grad()
def test_filters_of_an_iteration_are_gone_before_those_of_the_next_but_one_are_made(
    shared, parts, use
):
    network = IFAN(width=4, iterations=9, shared_filters=shared)
    with LivingFilters() as living:
        getattr(network, use)(torch.rand(1, 3, 32, 32))
    assert len(living.made) == 9 * parts
    assert parts < living.most <= 2 * parts


@torch.no_grad()
def test_filters_are_shown_to_whoever_wants_to_see_them_in_the_order_of_their_use():
    network = small()
    (center,) = views_of(network)
    seen = []
    result = network.deblur_for_training(center, seen=seen.append)
    expected = list(network.filter_predictor.one_by_one(result.filter_feature))
    assert len(seen) == 3
    torch.testing.assert_close(seen, expected)
    assert torch.equal(result.deblurred, network(center))


@pytest.mark.parametrize("size", [(8, 12), (12, 8), (7, 7), (0, 8)])
def test_refuses_sizes_that_are_no_multiples_of_8(size):
    network = IFAN(width=1, iterations=1)
    center = torch.rand(1, 3, *size)
    for use in (network, network.disparity, network.filters, network.deblur_for_training):
        with pytest.raises(ValueError, match=r"multiples of 8.*pad the picture"):
            use(center)


@pytest.mark.parametrize("sides", [{"left"}, {"right"}, {"left", "right"}])
def test_a_single_view_network_refuses_side_views(sides):
    view = torch.rand(1, 3, 8, 8)
    with pytest.raises(ValueError, match="takes the center view, and only that"):
        IFAN(width=1, iterations=1)(view, **dict.fromkeys(sides, view))


@pytest.mark.parametrize("sides", [{}, {"left"}, {"right"}])
def test_a_dual_pixel_network_needs_both_side_views(sides):
    network = IFAN(width=1, iterations=1, dual_pixel=True)
    given = dict.fromkeys(sides, torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="needs the left and the right view"):
        network(torch.rand(1, 3, 8, 8), **given)
    with pytest.raises(ValueError, match="needs the left and the right view"):
        network.disparity(**given)


def test_views_must_be_of_one_size():
    network = IFAN(width=1, iterations=1, dual_pixel=True)
    view, larger = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 8)
    for views in ((larger, view, view), (view, larger, view), (view, view, larger)):
        with pytest.raises(ValueError, match=r"differ in size \(16x8 and 8x8\)"):
            network(*views)


@pytest.mark.parametrize(("iterations", "expected"), [(8, 8), (17, 17), (26, 9), (35, 17)])
def test_reblurring_takes_as_many_iterations_as_the_authors_did(iterations, expected):
    with torch.device("meta"):
        assert ReblurringNetwork(iterations=iterations).reblurring_iterations == expected
    with torch.device("meta"):
        assert ReblurringNetwork(1, iterations, 3).reblurring_iterations == 3
