"""The script that made the bundled model of the checkpoints of its training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from ifan.models import load_released_checkpoint, save_released_checkpoint
from ifan.networks import IFAN

SCRIPT = Path(__file__).parents[2] / "training" / "average.py"


def test_the_average_of_checkpoints_has_the_mean_of_their_weights(tmp_path):
    torch.manual_seed(0)
    networks = [IFAN(width=4, iterations=2) for _ in range(3)]
    paths = [tmp_path / f"{number}.pytorch" for number in range(3)]
    for path, network in zip(paths, networks, strict=True):
        save_released_checkpoint(path, network)
    subprocess.run([sys.executable, SCRIPT, *paths, "-o", tmp_path / "mean.pytorch"], check=True)
    mean = load_released_checkpoint(tmp_path / "mean.pytorch").network
    for found, *given in zip(
        mean.parameters(), *(network.parameters() for network in networks), strict=True
    ):
        torch.testing.assert_close(found, sum(given) / 3)
