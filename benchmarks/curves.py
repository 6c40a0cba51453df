"""Curves on logarithmic axes as SVG, in colours that can be read on white and on black."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 44
COLOURS = ("#3b8eea", "#e07b1f", "#8a63d2", "#2f9e63")
GREY = "#808890"
STEPS = (1, 2, 5)


class Curve(NamedTuple):
    """Points of one colour, joined."""

    name: str
    points: Sequence[tuple[float, float]]


class Axis(NamedTuple):
    """Values on a logarithmic scale, from one end of the plot to the other, in pixels."""

    least: float
    most: float
    start: float
    stop: float

    def place(self, value: float) -> float:
        """Return where a value lies, in pixels."""
        share = math.log(value / self.least) / math.log(self.most / self.least)
        return self.start + share * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return round values between the ends."""
        decades = range(math.floor(math.log10(self.least)), math.ceil(math.log10(self.most)) + 1)
        values = (step * 10.0**decade for decade in decades for step in STEPS)
        return [value for value in values if self.least * 0.999 <= value <= self.most * 1.001]


def plot(curves: Sequence[Curve], title: str) -> str:
    """Draw curves.

    Args:
        curves: of positive values.
        title: what is drawn.

    Returns:
        The content of an SVG file.
    """
    points = [point for curve in curves for point in curve.points]
    xs, ys = zip(*points, strict=True)
    across = Axis(*_ends(xs), LEFT, WIDTH - RIGHT)
    down = Axis(*_ends(ys), HEIGHT - BOTTOM, TOP)
    parts = [_text(LEFT, 20, title, GREY, "start")]
    for x in across.ticks():
        place = across.place(x)
        parts += [
            _line((place, TOP), (place, HEIGHT - BOTTOM)),
            _text(place, HEIGHT - BOTTOM + 20, f"{x:g}"),
        ]
    for y in down.ticks():
        place = down.place(y)
        parts += [
            _line((LEFT, place), (WIDTH - RIGHT, place)),
            _text(LEFT - 8, place + 4, f"{y:g}", GREY, "end"),
        ]
    for index, curve in enumerate(curves):
        parts += _drawn(curve, COLOURS[index % len(COLOURS)], across, down)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13">'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Return round numbers around the values, two even if all values are one round number."""
    least, most = _round_below(min(values)), 1 / _round_below(1 / max(values))
    return least, most if most > 1.01 * least else 1 / _round_below(1 / (1.5 * most))


def _round_below(value: float) -> float:
    decade: float = 10.0 ** math.floor(math.log10(value))
    return max(step * decade for step in STEPS if step * decade <= value * 1.000001)


def _drawn(curve: Curve, colour: str, across: Axis, down: Axis) -> list[str]:
    places = [(across.place(x), down.place(y)) for x, y in curve.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    last_x, last_y = places[-1]
    inside = last_x > WIDTH - 200
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places),
        _text(
            last_x if inside else last_x + 10,
            last_y - 12 if inside else last_y + 4,
            curve.name,
            colour,
            "end" if inside else "start",
        ),
    ]


def _line(start: tuple[float, float], stop: tuple[float, float]) -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{stop[0]:.1f}" y2="{stop[1]:.1f}" '
        f'stroke="{GREY}" stroke-opacity="0.35"/>'
    )


def _text(x: float, y: float, text: str, colour: str = GREY, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
