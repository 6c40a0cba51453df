import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifan.tiling import CELL, LEAST_SIZE, fitted_size, least_tile, margins, tiles

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


@st.composite
def maps(draw):
    """A map, a halo, and a limit that is not too small for the least tile."""
    height, width = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    halo = draw(st.integers(0, 60))
    least = min(height, 2 * halo + 9) * min(width, 2 * halo + 9)
    return height, width, halo, draw(st.integers(least, 2 * height * width))


@given(maps())
def test_tiles_give_each_cell_once(case):
    height, width, halo, most = case
    given_times = np.zeros((height, width), int)
    for rows, columns in tiles(height, width, halo, most):
        given_times[rows.write, columns.write] += 1
    assert (given_times == 1).all()


@given(maps())
def test_tiles_read_a_halo_around_what_they_give_but_not_beyond_the_picture(case):
    height, width, halo, most = case
    for tile in tiles(height, width, halo, most):
        for span, length in zip(tile, (height, width), strict=True):
            assert span.start == 0 or span.start <= span.first - halo
            assert span.stop == length or span.stop >= span.last + halo
            assert 0 <= span.start <= span.first < span.last <= span.stop <= length


@given(maps())
def test_tiles_are_of_one_size_within_the_limit(case):
    height, width, halo, most = case
    sizes = {
        tuple(span.stop - span.start for span in tile) for tile in tiles(height, width, halo, most)
    }
    assert len(sizes) == 1
    (size,) = sizes
    assert np.prod(size) <= most
    if height * width <= most:
        assert size == (height, width)


@given(maps())
def test_what_a_tile_keeps_is_where_it_belongs(case):
    height, width, halo, most = case
    numbers = np.arange(height * width).reshape(height, width)
    for rows, columns in tiles(height, width, halo, most):
        tile = numbers[rows.read, columns.read]
        assert (tile[rows.keep, columns.keep] == numbers[rows.write, columns.write]).all()


@pytest.mark.parametrize("size", [(100, 100), (100, 30), (41, 7)])
def test_a_limit_without_room_for_the_halo_is_refused(size):
    least = least_tile(*size, 20)
    assert list(tiles(*size, 20, least))
    with pytest.raises(ValueError, match="no room for a halo of 20"):
        tiles(*size, 20, least - 1)


@pytest.mark.parametrize(("halo", "extra"), [(5, 0.15), (7, 0.2)])
def test_a_24_megapixel_photograph_is_cut_with_little_to_do_twice(halo, extra):
    parts = tiles(500, 750, halo, 20_000)
    work = sum((row.stop - row.start) * (column.stop - column.start) for row, column in parts)
    assert work < (1 + extra) * 500 * 750
