"""The script that made the bundled model of the checkpoints of its training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from ifan.models import load_released_checkpoint, save_released_checkpoint
from ifan.networks import IFAN

SCRIPT = Path(__file__).parents[2] / "training" / "average.py"


def networks_in(folder, count):
    """Networks with weights of chance, and the checkpoints that they are saved in."""
    torch.manual_seed(0)
    networks = [IFAN(width=4, iterations=2) for _ in range(count)]
    paths = [folder / f"{number}.pytorch" for number in range(count)]
    for path, network in zip(paths, networks, strict=True):
        save_released_checkpoint(path, network)
    return networks, paths


def test_the_average_of_checkpoints_has_the_mean_of_their_weights(tmp_path):
    networks, paths = networks_in(tmp_path, 3)
    subprocess.run([sys.executable, SCRIPT, *paths, "-o", tmp_path / "mean.pytorch"], check=True)
    mean = load_released_checkpoint(tmp_path / "mean.pytorch").network
    for found, *given in zip(
        mean.parameters(), *(network.parameters() for network in networks), strict=True
    ):
        torch.testing.assert_close(found, sum(given) / 3)


def test_a_part_may_be_averaged_alone_and_what_is_given_twice_counts_twice(tmp_path):
    networks, paths = networks_in(tmp_path, 2)
    mean = tmp_path / "mean.pytorch"
    part = ("--part", "reconstructor")
    subprocess.run([sys.executable, SCRIPT, paths[0], *paths, "-o", mean, *part], check=True)
    found = load_released_checkpoint(mean).network.state_dict()
    first, second = (network.state_dict() for network in networks)
    for key, weight in found.items():
        is_mean = key.startswith("reconstructor.")
        expected = (2 * first[key] + second[key]) / 3 if is_mean else first[key]
        torch.testing.assert_close(weight, expected)
