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
    networks = [load_released_checkpoint(path).network for path in options.checkpoints]
    states = [network.state_dict() for network in networks]
    average = {
        key: torch.stack([state[key] for state in states]).mean(0)
        for key in states[0]
        if key.startswith(options.part)
    }
    if not average:
        parser.error(f"there is no {options.part}; there are {', '.join(parts(states[0]))}")
    networks[0].load_state_dict(states[0] | average)
    save_released_checkpoint(options.output, networks[0])


def parts(state: dict[str, torch.Tensor]) -> list[str]:
    """Return the parts of a network."""
    return sorted({key.partition(".")[0] for key in state})


if __name__ == "__main__":
    main()
