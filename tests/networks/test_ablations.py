"""The networks of the paper's Tables 1 and 5."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ifan.networks import ReblurringNetwork, SeparableFilters, iterative_adaptive_convolution
from ifan.networks.ablations import (
    ARCHITECTURES,
    FACNetwork,
    create_network,
    filter_adaptive_convolution,
)
from ifan.networks.disparity import downsample, warp_horizontally
from ifan.networks.layers import ResidualUnit

LOSSES = {
    "ifan": {"disparity", "reblurring"},
    "B": set(),
    "D": {"disparity"},
    "F": {"reblurring"},
    "fac": {"disparity", "reblurring"},
}
ABLATIONS = sorted(LOSSES.keys() - {"ifan"})
sizes = st.integers(1, 7)
seeds = st.integers(0, 2**32 - 1)


def small(architecture, **options):
    torch.manual_seed(0)
    return create_network(architecture, width=3, iterations=2, kernel_size=5, **options).double()


def picture(count=2, height=24, width=40):
    torch.manual_seed(1)
    return torch.rand(count, 3, height, width, dtype=torch.float64)


def k3(in_channels, out_channels, repeated=1):
    """How many parameters a 3x3 convolution has, several times."""
    return repeated * (9 * in_channels * out_channels + out_channels)


ENCODER = (
    (k3(3, 32) + k3(32, 32, 2))
    + (k3(32, 64) + k3(64, 64, 2))
    + (k3(64, 128) + k3(128, 128, 2))
    + k3(128, 128, 3)
)
DISPARITY_ESTIMATOR = k3(128, 128, 1 + 4 + 4) + k3(128, 1)
FUSION = k3(256, 128) + k3(128, 128, 4 + 4 + 1)
REFINEMENT = k3(128, 128, 1 + 4 + 4)
UPPER_RECONSTRUCTOR = (
    (16 * 128 * 128 + 128 + k3(128, 128, 4))
    + (16 * 128 * 64 + 64 + k3(64, 64, 4))
    + (16 * 64 * 32 + 32 + k3(32, 32, 4))
    + k3(32, 3)
)
RECONSTRUCTOR = k3(128, 128, 1 + 6 + 1) + UPPER_RECONSTRUCTOR
PARAMETERS = {
    "ifan": 2 * ENCODER
    + (DISPARITY_ESTIMATOR + k3(1, 128))
    + (FUSION + REFINEMENT + (128 + 1) * 17 * 7 * 128)
    + RECONSTRUCTOR,
    "B": 2 * ENCODER + FUSION + k3(128, 128, 1 + 2 * 19 + 1) + UPPER_RECONSTRUCTOR,
    "D": 2 * ENCODER
    + (DISPARITY_ESTIMATOR + (1 + 1) * 128)
    + (k3(256, 128) + k3(128, 128, 8) + k3(128, 192) + k3(192, 128))
    + (k3(256, 128) + k3(128, 128, 10 + 8 + 1))
    + RECONSTRUCTOR,
    "F": 2 * ENCODER
    + k3(128, 128, 1 + 6 + 1)
    + (FUSION + REFINEMENT + (128 + 1) * 17 * 7 * 128)
    + RECONSTRUCTOR,
    "fac": 2 * ENCODER
    + (DISPARITY_ESTIMATOR + k3(1, 128))
    + (FUSION + REFINEMENT + (128 + 1) * 11 * 11 * 128)
    + RECONSTRUCTOR,
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_are_those_of_the_layers(architecture):
    with torch.device("meta"):
        network = create_network(architecture, width=32, iterations=17)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == PARAMETERS[architecture]


@pytest.mark.parametrize("architecture", ABLATIONS)
def test_no_row_of_a_table_is_much_larger_than_another(architecture):
    assert PARAMETERS[architecture] == pytest.approx(PARAMETERS["ifan"], rel=0.015)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_deblurs_and_gives_to_the_losses_what_it_can(architecture):
    network, center = small(architecture), picture()
    result = network.deblur_for_training(center)
    assert result.deblurred.shape == center.shape
    torch.testing.assert_close(network(center), result.deblurred)

    assert network.predicts_filters == ("reblurring" in LOSSES[architecture])
    if network.predicts_filters:
        values = {"ifan": 2 * 7, "F": 2 * 7, "fac": 5 * 5}[architecture]
        filters = network.filter_predictor.output(result.filter_feature)
        assert filters.shape == (2, values * 12, 3, 5)
    else:
        assert result.filter_feature is None

    assert network.estimates_disparity == ("disparity" in LOSSES[architecture])
    if network.estimates_disparity:
        assert network.disparity(center).shape == (2, 1, 3, 5)
        torch.testing.assert_close(result.disparity, network.disparity(center))
    else:
        assert result.disparity is None
        with pytest.raises(ValueError, match="has no disparity map estimator"):
            network.disparity(center)


@pytest.mark.parametrize("architecture", ABLATIONS)
def test_takes_the_center_view_only(architecture):
    network, center = small(architecture), picture()
    with pytest.raises(ValueError, match="takes the center view, and only that"):
        network(center, center, center)
    with pytest.raises(ValueError, match="multiples of 8, not 24x36"):
        network(center[..., :36])


@pytest.mark.parametrize("architecture", ABLATIONS)
@torch.no_grad()
def test_output_activation_weakens_what_darkens(architecture):
    center = picture()
    plain, activated = (
        small(architecture, output_activation=option)(center) - center for option in (False, True)
    )
    assert plain.min() < 0 < plain.max()
    torch.testing.assert_close(activated, torch.where(plain > 0, plain, 0.1 * plain))


@torch.no_grad()
def test_the_filters_of_f_can_be_shared():
    center = picture()
    separate, shared = (small("F", shared_filters=option) for option in (False, True))
    assert not torch.allclose(separate(center), shared(center))
    before = shared(center)
    shared.filter_predictor.output.weight.reshape(2, 7, -1)[:, 3:6] = 0  # the horizontal ones
    assert torch.equal(shared(center), before)


@torch.no_grad()
def start_near_the_identity(network):
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, 0.1)
    for unit in network.modules():
        if isinstance(unit, ResidualUnit):
            unit.conv2.weight *= 0.3
    network.reconstructor.output.weight *= 0.1
    if network.predicts_filters:
        network.filter_predictor.output.weight *= 0.01
        network.filter_predictor.output.bias.copy_(network.filter_predictor.copying_bias())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_learns_every_part_from_the_losses_that_apply(architecture):
    """Overfitting one batch, the output gets nearer to the target than the input is."""
    torch.manual_seed(0)
    options = {"iterations": 2, "kernel_size": 5, "output_activation": False}
    network = create_network(architecture, width=4, **options)
    start_near_the_identity(network)
    modules = torch.nn.ModuleList([network])
    if network.predicts_filters:
        channels = network.filter_predictor.output.out_channels
        modules.append(ReblurringNetwork(4, 2, 2, prediction_channels=channels))
    torch.manual_seed(0)
    target = F.interpolate(torch.rand(1, 3, 7, 9), (24, 32), mode="bicubic").clamp(0, 1)
    center = F.avg_pool2d(F.pad(target, (3, 3, 3, 3), mode="replicate"), 7, stride=1)
    left, right = center.roll(-4, -1), center.roll(4, -1)

    def losses():
        result = network.deblur_for_training(center)
        found = {"deblurring": F.mse_loss(result.deblurred, target)}
        if network.estimates_disparity:
            warped = warp_horizontally(downsample(right), network.disparity(right))
            found["disparity"] = F.mse_loss(warped, downsample(left))
        if network.predicts_filters:
            reblurred = modules[1](
                result.filter_feature, network.filter_predictor.output, target[..., ::8, ::8]
            )
            found["reblurring"] = F.mse_loss(reblurred, downsample(center))
        return found

    optimizer = torch.optim.Adam(modules.parameters(), 2e-3)
    first = losses()
    assert first.keys() == {"deblurring"} | LOSSES[architecture]
    sum(first.values()).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in modules.parameters())
    for _ in range(40):
        optimizer.step()
        optimizer.zero_grad()
        last = losses()
        sum(last.values()).backward()
    assert last["deblurring"] < 0.9 * F.mse_loss(center, target)
    assert all(last[name] < first[name] for name in LOSSES[architecture])


@pytest.mark.parametrize("architecture", ["ifan", "F", "fac"])
@torch.no_grad()
def test_filters_that_start_as_copies_leave_the_defocused_feature(architecture):
    network, center = small(architecture), picture()
    network.filter_predictor.output.weight.zero_()
    network.filter_predictor.output.bias.copy_(network.filter_predictor.copying_bias())
    defocused = network.feature_extractor(center).abs()  # positive: activations change nothing
    found = network.deblur_feature(network.filter_encoder(center), defocused)
    assert torch.equal(found.feature, defocused)


def random_features(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 3), sizes, sizes, st.sampled_from([1, 3, 5]))
def test_fac_filters_each_pixel_of_each_channel_with_its_own_filter(
    seed, channels, height, width, size
):
    features = random_features(seed, 2, channels, height, width)
    filters = random_features(seed + 1, 2, size, size, channels, height, width)
    expected = torch.zeros_like(features)
    for y in range(height):
        for x in range(width):
            for row in range(size):
                for column in range(size):
                    source_y = min(max(y + row - size // 2, 0), height - 1)
                    source_x = min(max(x + column - size // 2, 0), width - 1)
                    tap = filters[:, row, column, :, y, x]
                    expected[:, :, y, x] += tap * features[:, :, source_y, source_x]
    found = filter_adaptive_convolution(features, filters.flatten(1, 3))
    torch.testing.assert_close(found, expected)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 3), sizes, sizes)
def test_one_iteration_of_the_iac_is_an_fac_with_separable_filters(seed, channels, height, width):
    """The dense filter: each column is the vertical filter there, times the horizontal tap."""
    features = random_features(seed, 2, channels, height, width)
    vertical = random_features(seed + 1, 3, 2, channels, height, width)
    horizontal = random_features(seed + 2, 3, 2, channels, height, width)
    filters = SeparableFilters(tuple(vertical), tuple(horizontal), torch.zeros_like(features))
    expected = iterative_adaptive_convolution(features, [filters], final_activation=False)

    columns = torch.arange(width)
    dense = [
        vertical[row][..., (columns + column - 1).clamp(0, width - 1)] * horizontal[column]
        for row in range(3)
        for column in range(3)
    ]
    found = filter_adaptive_convolution(features, torch.cat(dense, dim=1))
    torch.testing.assert_close(found, expected)


def test_fac_has_as_many_values_as_the_iac_of_the_paper():
    with torch.device("meta"):
        values = [
            create_network(architecture, width=1).filter_predictor.output.out_channels / 4
            for architecture in ("ifan", "fac")
        ]
    assert values == [119, 121]


def test_filters_without_a_middle_are_refused():
    with pytest.raises(ValueError, match="kernel_size must be odd, not 4"):
        FACNetwork(width=1, kernel_size=4)
