"""Small models for tests of what keeps, finds and ships them."""

from __future__ import annotations

import torch

from ifan.models import save_released_checkpoint
from ifan.models.catalogue import find
from ifan.networks import IFAN

BUNDLED = ["ifan-s", "ifan-m"]


def small_network(**variant):
    torch.manual_seed(0)
    return IFAN(width=1, iterations=1, **variant).eval()


def of_the_catalogue(name, folder):
    """Return a file in the released form with random weights of a released model's shapes."""
    path = folder / find(name).file
    save_released_checkpoint(path, IFAN(**find(name).configuration.model_dump()))
    return path


def assert_weights_of(model, network):
    found, expected = model.network().state_dict(), network.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
