"""Averages the weights of checkpoints: python training/average.py A B ... -o AVERAGE.

Of trainings that went on from one another, the average can be better than each, as their last steps
lead to different sides of the same valley (Wortsman et al.: "Model soups", ICML 2022). One that is
given several times counts as often. With `--part reconstructor`, all else is that of the first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ifan.models import load_released_checkpoint, save_released_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--part", default="", help="of the network; by default all of it")
    options = parser.parse_args()
    network, _, description = load_released_checkpoint(options.checkpoints[0])
    others = [load_released_checkpoint(path) for path in options.checkpoints[1:]]
    if any(other.description != description for other in others):
        parser.error("the checkpoints are of different networks")
    states = [each.state_dict() for each in (network, *(other.network for other in others))]
    average = {
        key: torch.stack([state[key] for state in states]).mean(0)
        for key in states[0]
        if options.part in ("", key.partition(".")[0])
    }
    if not average:
        parser.error(f"there is no {options.part}; there are {', '.join(parts(states[0]))}")
    network.load_state_dict(states[0] | average)
    save_released_checkpoint(options.output, network, sample_bits=description.sample_bits)


def parts(state: dict[str, torch.Tensor]) -> list[str]:
    """Return the parts of a network."""
    return sorted({key.partition(".")[0] for key in state})


if __name__ == "__main__":
    main()
