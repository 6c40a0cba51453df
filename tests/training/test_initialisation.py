"""Where training begins: the paper's initialisation, and one near the identity."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

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
