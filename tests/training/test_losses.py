"""The training tasks against values of the released implementation, in both readings."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ifan.models.released import released_name
from ifan.networks import IFAN, ReblurringNetwork
from ifan.networks.ablations import ARCHITECTURES, create_network
from ifan.networks.disparity import downsample, warp_horizontally
from ifan.training.devices import open_fabric
from ifan.training.losses import (
    Tasks,
    difference,
    disparity_of_coc,
    growth,
    mean_light,
    reblur,
    warp_right_to_left,
)
from ifan.training.views import Views

ALL = {"deblurring": 1.0, "disparity": 1.0, "reblurring": 1.0}
READINGS = {"shared_filter": True, "separate_filters": False}


@pytest.fixture(scope="module", params=READINGS)
def reading(request):
    return request.param


@pytest.fixture(scope="module")
def networks(with_golden_weights, reading):
    variant = {"iterations": 17, "shared_filters": READINGS[reading]}
    return with_golden_weights(IFAN(**variant)), with_golden_weights(ReblurringNetwork(**variant))


@pytest.fixture(scope="module")
def values(golden, reading):
    return golden(f"ifan_n17_train_{reading}.safetensors")


def assert_equal_to_1e6(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@torch.no_grad()
def test_auxiliary_pictures(networks, values):
    network, reblurring = networks
    result = network.deblur_for_training(values["input"])
    assert_equal_to_1e6(result.deblurred, values["result"])
    warped = warp_right_to_left(network, values["left"], values["right"])
    assert_equal_to_1e6(warped, values["right_warped"])
    assert_equal_to_1e6(downsample(values["left"]), values["left_down"])
    reblurred = reblur(reblurring, network, result.filter_feature, values["target"])
    assert_equal_to_1e6(reblurred, values["reblurred"])


def test_losses_and_gradients(networks, values, golden, reading):
    expected = golden("ifan_n17_train.json")[reading]
    tasks = Tasks(*networks, ALL)
    outcome = tasks(
        Views(values["input"], values["target"], left=values["left"], right=values["right"])
    )
    losses = {
        "loss_deblur": outcome.losses["deblurring"],
        "loss_disparity": outcome.losses["disparity"],
        "loss_reblur": outcome.losses["reblurring"],
        "loss_total": outcome.total,
    }
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(expected[name], rel=1e-6), name

    outcome.total.backward()
    network, reblurring = networks
    gradients = {
        prefix + released_name(name): parameter.grad
        for prefix, module in (("", network), ("reblurNet.", reblurring))
        for name, parameter in module.named_parameters()
    }
    for name, norm in expected["grad_norm"].items():
        assert gradients[name].norm().item() == pytest.approx(norm, rel=1e-6), name


@torch.no_grad()
def test_a_dual_pixel_network_estimates_from_both_views():
    torch.manual_seed(0)
    network = IFAN(width=2, iterations=1, dual_pixel=True)
    left, right = torch.rand(2, 1, 3, 16, 24)
    disparity = network.disparity(left=left, right=right)
    expected = warp_horizontally(downsample(right), disparity)
    assert torch.equal(warp_right_to_left(network, left, right), expected)


def test_the_disparity_loss_is_smallest_at_the_true_disparity():
    """Views that lie two cells apart: the right estimate leaves an error at the border only."""
    torch.manual_seed(0)
    cells = torch.rand(1, 3, 4, 14)
    left, right = (
        part.repeat_interleave(8, -1).repeat_interleave(8, -2)
        for part in (cells[..., 2:], cells[..., :-2])
    )
    views = Views(left, left, left, right)
    losses = {
        disparity: Tasks(ConstantDisparity(disparity), None, {"disparity": 1.0})(views).total
        for disparity in (-2.0, 0.0, 2.0)
    }
    assert min(losses, key=losses.get) == 2.0


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_defocus_loss_is_smallest_at_the_disparity_of_the_blur_whatever_its_sign(sign):
    """Half discs of radius 12 px have centroids 8 / (3 pi) * 12 = 10.2 px = 1.27 cells apart."""
    torch.manual_seed(0)
    network = IFAN(width=1, iterations=1)
    views = Views(*torch.rand(2, 1, 3, 16, 24), coc=torch.full((1, 1, 16, 24), -12.0))
    estimate, losses = network.disparity_estimator[-1], {}
    with torch.no_grad():
        estimate.weight.zero_()
        for disparity in (0.0, 0.8, 1.27, 1.6):
            estimate.bias.fill_(sign * disparity)
            losses[disparity] = Tasks(network, None, {"defocus": 1.0})(views).total.item()
    assert min(losses, key=losses.get) == 1.27
    assert losses[1.27] == pytest.approx(0, abs=1e-4)


def test_without_the_true_blur_the_defocus_task_is_left_out():
    """As with real pictures to validate with."""
    network = IFAN(width=1, iterations=1)
    outcome = Tasks(network, None, {"deblurring": 1.0, "defocus": 1.0})(
        Views(*torch.rand(2, 1, 3, 16, 24))
    )
    assert outcome.losses.keys() == {"deblurring"}


class Constant(IFAN):
    def __init__(self, level):
        super().__init__(width=1, iterations=1)
        self.level = level

    def deblur_for_training(self, center, **options):
        whole = super().deblur_for_training(center, **options)
        return whole._replace(deblurred=torch.full_like(center, self.level))


class ConstantDisparity(IFAN):
    def __init__(self, disparity):
        super().__init__(width=1, iterations=1)
        self.value = disparity

    def disparity(self, center):
        height, width = center.shape[-2:]
        return torch.full((1, 1, height // 8, width // 8), self.value)


def test_losses_under_mixed_precision_stay_near_those_in_full():
    torch.manual_seed(0)
    weights = ALL | {"bottleneck": 1.0}
    tasks = Tasks(IFAN(width=4, iterations=2), ReblurringNetwork(4, 2, 2), weights)
    torch.nn.init.normal_(tasks.bottleneck_reader.weight)
    views = Views(*torch.rand(4, 1, 3, 32, 48))
    full = tasks(views)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = tasks(views)
    mixed.total.backward()
    assert mixed.total.dtype == torch.float32
    for task, loss in full.losses.items():
        torch.testing.assert_close(mixed.losses[task], loss, rtol=0.02, atol=0)
    assert all(parameter.grad.isfinite().all() for parameter in tasks.network.parameters())


def test_a_task_without_weight_is_left_out_with_all_that_it_needs():
    """Pairs train: no views, no reblurring network."""
    torch.manual_seed(0)
    network = IFAN(width=2, iterations=1)
    center, target = torch.rand(2, 1, 3, 16, 24)
    weights = {"deblurring": 2.0, "disparity": 0.0, "reblurring": 0.0}
    outcome = Tasks(network, None, weights)(Views(center, target))
    assert outcome.losses.keys() == {"deblurring"}
    error = (network(center) - target).square().mean()
    torch.testing.assert_close(outcome.total, 2 * error)


@pytest.mark.parametrize(
    ("name", "epsilon", "expected"),
    [
        ("squared", 1e-3, 0.125),
        ("absolute", 1e-3, 0.25),
        ("charbonnier", 1e-3, 0.2505),
        ("charbonnier", 1.2, (1.3 + 1.2) / 2),
        ("root-mean-square", 1e-6, math.log(1 + 0.125**0.5)),
    ],
)
def test_ways_to_compare_pictures(name, epsilon, expected):
    found = difference(name, epsilon)(torch.tensor([[0.5, 0.0]]), torch.zeros(1, 2))
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_by_the_root_mean_square_a_nearly_sharp_picture_counts_as_much_as_a_blurred_one():
    found = torch.tensor([[0.01, 0.01], [0.1, 0.1]], requires_grad=True)
    difference("root-mean-square", 1e-4)(found, torch.zeros(2, 2)).backward()
    torch.testing.assert_close(found.grad, torch.full((2, 2), 0.25), rtol=0.1, atol=0)


def test_by_the_root_mean_square_a_picture_that_blew_up_does_not_drown_the_others():
    found = torch.tensor([[0.1, 0.1], [1e5, 1e5]], requires_grad=True)
    difference("root-mean-square", 1e-4)(found, torch.zeros(2, 2)).backward()
    moves = (found.grad * found).abs().sum(dim=1)  # for each e-fold of the picture
    assert moves[1] < 20 * moves[0]


def test_the_colour_loss_compares_mean_light():
    """The mean of black and white, coded, has a fifth of white's light, not half of it."""
    views = Views(*torch.zeros(2, 1, 3, 16, 16))
    views.target[..., ::2] = 1
    losses = {}
    for level in (0.5, 0.735):
        tasks = Tasks(Constant(level), None, {"colour": 1.0}, difference("absolute", 1e-3))
        losses[level] = float(tasks(views).total)
    assert losses[0.5] == pytest.approx(0.5 - 0.214, abs=1e-3)
    assert losses[0.735] == pytest.approx(0, abs=1e-3)


def test_the_colour_loss_takes_what_is_brighter_than_white_for_white():
    views = Views(torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16))
    assert Tasks(Constant(1.5), None, {"colour": 1.0})(views).total == 0


def test_mixed_precision_does_not_round_what_losses_compare():
    """In bfloat16 an error of 0.001 at 0.7 would be none, or four times as large."""
    views = Views(torch.full((1, 3, 16, 16), 0.7), torch.full((1, 3, 16, 16), 0.7))
    tasks = Tasks(Constant(0.701), None, {"deblurring": 1.0}, difference("absolute", 1e-3))
    mixed = open_fabric("bf16", "cpu").setup(tasks)
    assert float(mixed(views).total) == pytest.approx(0.001, rel=1e-3)


def test_filters_that_could_enlarge_without_bound_cost_and_others_do_not():
    network = IFAN(width=8, iterations=3)
    tasks = Tasks(network, None, {"deblurring": 1.0, "growth": 1.0})
    views = Views(*torch.rand(2, 1, 3, 16, 24))
    output = network.filter_predictor.output
    with torch.no_grad():
        output.weight.zero_()
        output.bias.copy_(network.filter_predictor.copying_bias())
    assert tasks(views).losses["growth"] == 0
    sharpening = torch.tensor([-0.5, 2.0, -0.5]).repeat_interleave(32)
    with torch.no_grad():
        # The vertical taps of the first two of three iterations: 3 x 3 times larger is free.
        output.bias[: 3 * 32] = output.bias[7 * 32 : 10 * 32] = sharpening
        assert tasks(views).losses["growth"] == 0
        output.bias[14 * 32 : 17 * 32] = sharpening
        output.bias[4 * 32 : 5 * 32] = 0.1  # one that makes smaller makes up for nothing
    outcome = tasks(views)
    assert float(outcome.losses["growth"]) == pytest.approx(math.log(2.7) ** 2)
    outcome.total.backward()
    assert output.bias.grad[:32].max() < 0 < output.bias.grad[32:64].min()


def test_the_bottleneck_loss_trains_all_that_leads_to_an_eighth_of_the_size_and_nothing_after_it():
    torch.manual_seed(0)
    tasks = Tasks(IFAN(width=4, iterations=2), None, {"bottleneck": 1.0})
    views = Views(*torch.rand(2, 1, 3, 16, 24))
    # Before anything is learnt, the picture that is read is the input.
    torch.testing.assert_close(tasks(views).total, F.mse_loss(views.center, views.target))
    torch.nn.init.normal_(tasks.bottleneck_reader.weight)
    tasks(views).total.backward()
    parts = {
        name.partition(".")[2] if name.startswith("reconstructor") else name.partition(".")[0]
        for name, parameter in tasks.network.named_parameters()
        if parameter.grad is None
    }
    assert {part.partition(".")[0] for part in parts} == {"upsamplers", "refiners", "output"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_network_has_a_bottleneck_to_learn_at(architecture):
    torch.manual_seed(0)
    tasks = Tasks(create_network(architecture, width=4, iterations=2), None, {"bottleneck": 1.0})
    torch.nn.init.normal_(tasks.bottleneck_reader.weight)
    tasks(Views(*torch.rand(2, 1, 3, 16, 24))).total.backward()
    first = tasks.network.feature_extractor.stages[0][0][0].weight
    assert first.grad.abs().max() > 0


EVERY = {
    "deblurring": 1.0,
    "reblurring": 0.7,
    "defocus": 0.1,
    "colour": 0.5,
    "growth": 1.0,
    "bottleneck": 0.4,
}


def small_tasks(weights):
    """Tasks whose growth counts, and pictures for them."""
    torch.manual_seed(0)
    variant = {"width": 4, "iterations": 3}
    tasks = Tasks(IFAN(**variant), ReblurringNetwork(**variant), weights)
    with torch.no_grad():
        tasks.network.filter_predictor.output.bias += 0.6
        if "bottleneck" in weights:
            tasks.bottleneck_reader.weight.normal_()
    views = Views(*torch.rand(2, 2, 3, 16, 24), coc=4 * torch.randn(2, 1, 16, 24))
    return tasks, views


def losses_by_themselves(tasks, views):
    """The same losses, each of a pass of its own through all that it needs."""
    network = tasks.network

    def one_pass():
        return network.deblur_for_training(views.center)

    light = F.mse_loss(mean_light(one_pass().deblurred), mean_light(views.target))
    reblurred = reblur(tasks.reblurring, network, one_pass().filter_feature, views.target)
    size = network.disparity(views.center).abs()
    read = F.pixel_shuffle(tasks.bottleneck_reader(network.deblur(views.center).bottleneck), 8)
    return {
        "deblurring": F.mse_loss(one_pass().deblurred, views.target),
        "colour": light,
        "reblurring": F.mse_loss(reblurred, downsample(views.center)),
        "defocus": F.mse_loss(size, disparity_of_coc(views.coc)),
        "bottleneck": F.mse_loss(views.center + read, views.target),
        "growth": growth(network.filter_predictor.one_by_one(one_pass().filter_feature)),
    }


def test_losses_that_share_a_pass_are_those_of_passes_of_their_own():
    tasks, views = small_tasks(EVERY)
    outcome = tasks(views)
    outcome.total.backward()
    found = {name: parameter.grad for name, parameter in tasks.named_parameters()}
    tasks.zero_grad()
    alone = losses_by_themselves(tasks, views)
    total = sum(EVERY[task] * loss for task, loss in alone.items())
    total.backward()
    assert alone["growth"] > 0
    torch.testing.assert_close(outcome.losses, alone, rtol=1e-6, atol=0)
    torch.testing.assert_close(outcome.total, total, rtol=1e-6, atol=0)
    for name, parameter in tasks.named_parameters():
        error = (found[name] - parameter.grad).norm()
        assert error < 3e-6 * parameter.grad.norm(), name


@pytest.mark.parametrize("weights", [EVERY, ALL | {"disparity": 0.0}])
def test_a_pass_estimates_disparity_and_makes_filters_once(weights):
    tasks, views = small_tasks(weights)
    predictor, made = tasks.network.filter_predictor, []
    estimator, one_by_one = tasks.network.disparity_estimator, predictor.one_by_one
    estimator.register_forward_hook(lambda *_: made.append("disparity"))

    def counted(feature):
        for filters in one_by_one(feature):
            made.append("filters")
            yield filters

    predictor.one_by_one = counted
    tasks(views)
    assert sorted(made) == ["disparity", "filters", "filters", "filters"]
