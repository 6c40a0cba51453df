"""Parameters and operations are those that were published."""

import pytest
import torch

from ifan.networks import IFAN
from ifan.networks.ablations import create_network
from ifan.training.cost import cost

PUBLISHED = {8: (9.437, 347.4), 17: (10.477, 362.4), 26: (11.517, 377.4), 35: (12.558, 392.3)}
PUBLISHED[44] = (13.598, 407.3)


@pytest.mark.parametrize("iterations", PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(iterations):
    found = cost(IFAN(iterations=iterations))
    published = PUBLISHED[iterations]
    assert (round(found.parameters / 1e6, 3), round(found.macs / 1e9, 1)) == published


@pytest.mark.parametrize("shared", [False, True])
def test_the_dual_pixel_network_costs_what_was_published_in_either_reading(shared):
    found = cost(IFAN(dual_pixel=True, shared_filters=shared))
    assert (round(found.parameters / 1e6, 3), round(found.macs / 1e9, 1)) == (10.478, 363.2)


@pytest.mark.parametrize("architecture", ["B", "D", "F", "fac"])
def test_the_networks_it_is_compared_with_cost_about_as_much(architecture):
    ours, theirs = cost(IFAN()), cost(create_network(architecture))
    assert theirs.parameters == pytest.approx(ours.parameters, rel=0.03)
    assert theirs.macs == pytest.approx(ours.macs, rel=0.15)


def test_four_times_the_pixels_cost_four_times_as_much():
    network = IFAN(width=8, iterations=2)
    assert cost(network, 64, 128).macs * 4 == cost(network, 128, 256).macs


def test_counting_leaves_the_network_as_it_was():
    network = IFAN(width=8, iterations=2)
    cost(network)
    assert network(torch.rand(1, 3, 8, 8)).isfinite().all()
    assert not any(module._forward_hooks for module in network.modules())


def test_the_text_names_both_numbers():
    text = str(cost(IFAN()))
    assert "10.477 M" in text
    assert "362.4 G for a picture of 1280x720" in text
