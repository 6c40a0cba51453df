"""The plots of the benchmarks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SOURCE = Path(__file__).parents[2] / "benchmarks" / "curves.py"


@pytest.fixture(scope="module")
def curves():
    spec = importlib.util.spec_from_file_location("curves", _SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("value", [0.02, 1, 2, 5, 3])
def test_a_single_point_can_be_drawn(curves, value):
    drawn = curves.plot([curves.Curve("one size", [(value, value)])], "seconds")
    assert '<circle cx="' in drawn
    assert "nan" not in drawn


@pytest.mark.parametrize(
    ("values", "ends"),
    [([2], (2, 5)), ([3], (2, 5)), ([1, 1], (1, 2)), ([5], (5, 10)), ([1, 5], (1, 5))],
)
def test_ends_are_round_numbers_around_the_values(curves, values, ends):
    assert curves._ends(values) == pytest.approx(ends)
