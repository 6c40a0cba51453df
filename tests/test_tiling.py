import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifan.tiling import CELL, LEAST_SIZE, fitted_size, margins

sides = st.integers(1, 20_000)


@given(sides, sides, st.integers(0, 10))
def test_margins_are_the_least_that_make_whole_cells(height, width, cells):
    around = cells * CELL
    for side, (before, after) in zip((height, width), margins(height, width, around), strict=True):
        assert before == around
        padded = before + side + after
        assert padded % CELL == 0
        assert padded >= LEAST_SIZE
        assert around <= after
        assert after < around + CELL or padded == LEAST_SIZE


@given(sides, sides, st.integers(1, 20_000))
def test_fitting_never_enlarges_and_keeps_the_proportions(height, width, long_side):
    fitted = fitted_size(height, width, long_side)
    assert max(fitted) == min(long_side, max(height, width))
    scale = max(fitted) / max(height, width)
    for side, small in zip((height, width), fitted, strict=True):
        assert small >= 1
        assert small == 1 or abs(small - side * scale) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("size", "long_side", "fitted"),
    [
        ((4000, 6000), 2048, (1365, 2048)),
        ((6000, 4000), 2048, (2048, 1365)),
        ((2048, 100), 2048, (2048, 100)),
        ((1, 10_000), 100, (1, 100)),
    ],
)
def test_fitted_sizes_of_photographs(size, long_side, fitted):
    assert fitted_size(*size, long_side) == fitted
