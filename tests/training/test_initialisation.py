"""Where training begins: the paper's initialisation, and one near the identity."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ifan.errors import ModelError
from ifan.models import load_released_checkpoint, save_released_checkpoint
from ifan.networks.iac import iterative_adaptive_convolution
from ifan.training.initialisation import make_networks
from ifan.training.recipe import open_recipe

SMALL = ["network.width=8", "network.iterations=3"]


def networks(*overrides):
    torch.manual_seed(0)
    return make_networks(open_recipe("ifan", [*SMALL, *overrides]))


def test_the_paper_begins_with_xavier_and_stronger_filters():
    network, reblurring = networks()
    predictor = network.filter_predictor
    strong = {*predictor.refinement.modules(), *predictor.output.modules()}
    for module in (*network.modules(), *reblurring.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            gain = 1.5 if module in strong else 1.0
            taps = math.prod(module.kernel_size)
            bound = gain * math.sqrt(6 / ((module.in_channels + module.out_channels) * taps))
            assert 0.9 * bound < module.weight.abs().max() <= bound
            assert not module.bias.any()


@pytest.mark.parametrize("architecture", ["ifan", "B", "D", "F", "fac"])
@torch.no_grad()
def test_a_gentle_start_is_the_identity(architecture):
    losses = {"B": "{disparity: 0, reblurring: 0}", "D": "{reblurring: 0}", "F": "{disparity: 0}"}
    network, _ = networks(
        f"network.architecture={architecture}",
        f"network.iterations={17 if architecture in 'BD' else 3}",
        f"losses={losses.get(architecture, '{}')}",
        "initialisation=gentle",
        "network.output_activation=false",
    )
    picture = torch.rand(1, 3, 32, 48)
    assert torch.equal(network(picture), picture)


@torch.no_grad()
def test_filters_nearly_copy_at_a_gentle_start():
    network, reblurring = networks("initialisation=gentle")
    features = torch.rand(1, 32, 4, 6)
    feature = network.deblur_for_training(torch.rand(1, 3, 32, 48)).filter_feature
    predictor = network.filter_predictor
    filtered = iterative_adaptive_convolution(features, predictor.one_by_one(feature))
    assert (filtered - features).abs().mean() < 0.3 * features.abs().mean()
    sharp = torch.rand(1, 3, 4, 6)
    assert (reblurring(feature, predictor.output, sharp) - sharp).abs().max() < 0.1


@torch.no_grad()
def test_features_keep_their_size_at_a_gentle_start():
    """Neither fading nor exploding from stage to stage: within a factor of three of each other."""
    network, _ = networks("initialisation=gentle")
    sizes = [
        feature.square().mean().sqrt().item()
        for feature in network.feature_extractor.pyramid(torch.rand(2, 3, 64, 64))
    ]
    assert max(sizes) < 3 * min(sizes)


@pytest.fixture
def begun(tmp_path):
    """A checkpoint of both networks, of the shape that the recipe has."""
    network, reblurring = make_networks(open_recipe("ifan", [*SMALL, "seed=1"]))
    save_released_checkpoint(tmp_path / "begun.pytorch", network, reblurring)
    return tmp_path / "begun.pytorch"


def test_a_training_goes_on_from_the_weights_of_a_model(begun):
    expected = load_released_checkpoint(begun)
    for ours, theirs in zip(networks(f"start={begun}"), expected[:2], strict=True):
        weights = theirs.state_dict()
        assert all(torch.equal(tensor, weights[n]) for n, tensor in ours.state_dict().items())


def test_a_model_of_another_shape_is_no_start(begun):
    with pytest.raises(ModelError, match=r"is another network .*width=8.*; change the recipe"):
        networks(f"start={begun}", "network.width=4")


@pytest.mark.parametrize(
    "change", ["network.output_activation=false", "network.shared_filters=true"]
)
@pytest.mark.parametrize("width", [8, 16])
def test_a_model_that_does_something_else_with_its_weights_is_no_start(begun, change, width):
    with pytest.raises(ModelError, match=r"is another network .*; change the recipe"):
        networks(f"start={begun}", change, f"network.width={width}", "losses.reblurring=0")


@pytest.mark.parametrize("width", [16, 24])
@torch.no_grad()
def test_a_wider_network_begins_as_the_one_it_starts_from(begun, width):
    """It gives the same, though no two of its channels are read alike."""
    network, _ = networks(f"start={begun}", f"network.width={width}", "losses.reblurring=0")
    smaller = load_released_checkpoint(begun)[0]
    picture = torch.rand(1, 3, 40, 56)
    torch.testing.assert_close(network(picture), smaller(picture), rtol=0, atol=1e-4)
    torch.testing.assert_close(network.disparity(picture), smaller.disparity(picture))
    weight = network.reconstructor.output.weight
    assert len(weight.flatten().unique()) == weight.numel()


@torch.no_grad()
def test_further_iterations_copy_what_is_positive(begun):
    network, _ = networks(f"start={begun}", "network.iterations=5", "losses.reblurring=0")
    smaller = load_released_checkpoint(begun)[0]
    feature, defocused = torch.rand(2, 1, 32, 5, 6)
    found = network.apply_filters(feature, defocused)
    torch.testing.assert_close(found, smaller.apply_filters(feature, defocused))


def test_a_run_that_goes_on_does_not_need_the_model_that_it_began_with(tmp_path):
    recipe = open_recipe("ifan", [*SMALL, f"start={tmp_path / 'gone.pytorch'}"])
    with pytest.raises(ModelError):
        make_networks(recipe)
    make_networks(recipe, begins=False)
