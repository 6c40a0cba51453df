"""What one sees of a training: lines, and files that other programs draw."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ifan.training.validation import Judged, band_gains


class Observer:
    """Is told what happens in a training; this one prints lines and keeps a table.

    Args:
        log: folder for the table.
        updates: how many there will be.
        say: prints a line.
        every: updates between lines.
    """

    def __init__(
        self, log: Path, updates: int, say: Callable[[str], None], every: int = 50
    ) -> None:
        self._updates = updates
        self._say = say
        self._every = every
        self._log = log
        self._since = time.monotonic()
        self._losses: list[dict[str, float]] = []

    def updated(
        self, update: int, losses: dict[str, float], norm: float, learning_rate: float
    ) -> None:
        self._losses.append({**losses, "gradient_norm": norm})
        if update % self._every:
            return
        seconds = (time.monotonic() - self._since) / len(self._losses)
        mean = {
            name: float(np.mean([one[name] for one in self._losses])) for name in self._losses[0]
        }
        self._losses = []
        self._since = time.monotonic()
        left = (self._updates - update) * seconds
        said = ", ".join(f"{name} {value:.5f}" for name, value in mean.items())
        self._say(f"update {update}: {said}, {seconds:.3f} s an update, {left / 60:.0f} min left")

    def skipped(self, line: str) -> None:
        self._say(line)

    def sampled(
        self, update: int, number: int, pictures: dict[str, npt.NDArray[np.float32]]
    ) -> None:
        pass

    def validated(self, update: int, judged: Sequence[Judged]) -> None:
        mean = np.mean([one[:3] for one in judged], axis=0)
        bands = ", ".join(f"{name} {value:+.2f}" for name, value in band_gains(judged).items())
        self._say(
            f"validation {update}: PSNR {mean[0]:.3f} ({mean[0] - mean[2]:+.3f} dB), SSIM {mean[1]:.4f}; {bands}"
        )

    def saved(self, update: int, path: Path) -> None:
        pass
