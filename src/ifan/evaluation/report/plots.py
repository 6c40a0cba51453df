"""Distributions as SVG: a dot for each picture, stacked where several are alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from ifan.evaluation.report.numbers import NAMES, shown

_WIDTH, _LEFT, _RIGHT = 520, 112, 18
_TOP, _BOTTOM = 8, 34
_ROW = 74
"""Height that the dots of one method have."""
_BINS = 56
_TICKS = 5
_RADIUS, _LEAST_RADIUS = 4.0, 1.8


class Series(NamedTuple):
    """Values to be drawn.

    Attributes:
        label: of whom.
        colour: number of its colour, see `style.css`.
        values: by the name of the picture.
    """

    label: str
    colour: int
    values: Sequence[tuple[str, float]]


class _Axis(NamedTuple):
    low: float
    high: float
    step: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.low) / (self.high - self.low) * (_WIDTH - _LEFT - _RIGHT)


def dot_plot(metric: str, series: Sequence[Series]) -> str:
    """Return an SVG of the values of one metric; infinite ones have no place in it.

    Args:
        metric: its name.
        series: whose.
    """
    finite = [
        one._replace(values=[pair for pair in one.values if math.isfinite(pair[1])])
        for one in series
    ]
    finite = [one for one in finite if one.values]
    if not finite:
        return ""
    axis = _axis([value for one in finite for _, value in one.values])
    height = _TOP + _ROW * len(finite) + _BOTTOM
    rows = "".join(_row(axis, one, metric, number) for number, one in enumerate(finite))
    said = "; ".join(f"{one.label}: {_described(metric, one.values)}" for one in finite)
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(f"{NAMES[metric]}. {said}")}">'
        f"{_scale(axis, height)}{rows}</svg>"
    )


def _axis(values: Sequence[float]) -> _Axis:
    """Return limits that are multiples of a round step and hold all values."""
    low, high = min(values), max(values)
    span = high - low
    if span < 1e-9 * abs(high):  # which the numbers at the axis would not tell
        span = abs(high)
    span = span or 1.0
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(power * times for times in (1, 2, 5, 10) if span / (power * times) <= _TICKS)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return _Axis(low, high if high > low else low + step, step)


def _scale(axis: _Axis, height: int) -> str:
    """Return the lines and numbers of the axis."""
    base = height - _BOTTOM
    digits = max(0, -math.floor(math.log10(axis.step)))
    lines = []
    for number in range(round((axis.high - axis.low) / axis.step) + 1):
        value = axis.low + number * axis.step
        x = axis.x(value)
        lines.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{base}"/>'
            f'<text class="tick" x="{x:.1f}" y="{base + 18}">{value:.{digits}f}</text>'
        )
    return "".join(lines)


def _row(axis: _Axis, series: Series, metric: str, number: int) -> str:
    """Return the dots of one method, stacked upwards, and a line at their mean."""
    base = _TOP + _ROW * (number + 1) - 6
    width = (axis.high - axis.low) / _BINS
    stacks: dict[int, list[tuple[str, float]]] = {}
    for name, value in series.values:
        stacks.setdefault(min(_BINS - 1, int((value - axis.low) / width)), []).append((name, value))
    highest = max(map(len, stacks.values()))
    spacing = min(2 * _RADIUS, (_ROW - 18) / highest)
    radius = max(_LEAST_RADIUS, spacing / 2)
    dots = []
    for place, stack in stacks.items():
        x = axis.x(axis.low + (place + 0.5) * width)
        for level, (name, value) in enumerate(stack):
            y = base - radius - spacing * level
            title = escape(f"{name}: {shown(metric, value)}")
            place_of_dot = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.2f}"'
            dots.append(f"<circle {place_of_dot}><title>{title}</title></circle>")
    mean = sum(value for _, value in series.values) / len(series.values)
    x = axis.x(mean)
    return (
        f'<g class="colour{series.colour}"><line class="base" x1="{_LEFT}" '
        f'x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>{"".join(dots)}'
        f'<line class="mean" x1="{x:.1f}" x2="{x:.1f}" y1="{base - _ROW + 14}" y2="{base}"/></g>'
        f'<text class="row" x="0" y="{base - 24}">{escape(_short(series.label))}</text>'
        f'<text class="value" x="0" y="{base - 6}">mean {shown(metric, mean)}</text>'
    )


def _short(label: str) -> str:
    return label if len(label) <= 16 else f"{label[:15]}…"


def _described(metric: str, values: Sequence[tuple[str, float]]) -> str:
    numbers = [value for _, value in values]
    mean = sum(numbers) / len(numbers)
    low, high = shown(metric, min(numbers)), shown(metric, max(numbers))
    return f"mean {shown(metric, mean)}, from {low} to {high}, {len(numbers)} pictures"
