"""How sure one can be that one method is better than another: paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from ifan.evaluation.metrics import Scores

HIGHER_IS_BETTER = {"psnr": True, "ssim": True, "mae": False, "lpips": False}

_RESAMPLES = 10_000
_SEED = 1
_LEVEL = 0.95


class Difference(BaseModel):
    """How much one set of scores exceeds another, picture by picture.

    Attributes:
        metric: which one.
        mean: of the differences.
        low: lower end of the 95 % bootstrap interval of that mean; None for less than two pictures.
        high: its upper end.
        better: pictures in which the first is better.
        pictures: how many were scored by both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    metric: str
    mean: float
    low: float | None
    high: float | None
    better: int
    pictures: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def is_gain(self) -> bool:
        """Whether the mean is a change for the better."""
        return self.mean > 0 if HIGHER_IS_BETTER[self.metric] else self.mean < 0


def differences(first: Mapping[int, Scores], second: Mapping[int, Scores]) -> dict[str, Difference]:
    """Compare two sets of scores over the pictures that both have.

    Args:
        first: scores by the number of the picture.
        second: those that are subtracted.

    Returns:
        The difference by metric; nothing if no picture is in both.
    """
    both = sorted(set(first) & set(second))
    if not both:
        return {}
    return {
        metric: _difference(
            metric,
            [_step(getattr(first[n], metric), getattr(second[n], metric)) for n in both],
        )
        for metric in HIGHER_IS_BETTER
    }


def _step(first: float, second: float) -> float:
    """Subtract; of two pictures that both equal their target, neither is nearer."""
    return 0.0 if first == second else first - second


def _difference(metric: str, steps: Sequence[float]) -> Difference:
    values = np.array(steps)
    low = high = None
    with np.errstate(invalid="ignore"):  # infinite in both directions
        mean = float(values.mean())
        if len(values) > 1:
            low, high = _interval(values)
    better = int(((values > 0) if HIGHER_IS_BETTER[metric] else (values < 0)).sum())
    return Difference(
        metric=metric, mean=mean, low=low, high=high, better=better, pictures=len(values)
    )


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean (Efron, 1979)."""
    random = np.random.default_rng(_SEED)
    drawn = random.integers(len(values), size=(_RESAMPLES, len(values)))
    means = np.sort(values[drawn].mean(axis=1))
    # No interpolation, which would not know infinite ones.
    beyond = round((1 - _LEVEL) / 2 * _RESAMPLES)
    return float(means[beyond]), float(means[-1 - beyond])
