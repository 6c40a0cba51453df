"""The inner loop of the renderer: every pixel spreads its light by a kernel of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ifan.optics.kernels import NODES, KernelTable

Array = npt.NDArray[np.float32]

EIGHT = 8
"""Neighbouring pixels that are added to at once: what fills a register of 256 bits."""


def scatter(values: Array, coc: Array, table: KernelTable) -> tuple[Array, Array]:
    """Spread the values of every pixel over both views.

    Args:
        values: HxWx4. Pixels of which all four are 0 are skipped.
        coc: signed radii in pixels, within the range of the table: HxW, or one for all pixels, in
            an array without dimensions, which is two to three times as fast.
        table: of the point spread function.

    Returns:
        The left and the right view, HxWx4. Light that leaves the picture is lost, and none comes
        in from outside.
    """
    height, width = values.shape[:2]
    # So wide around that no kernel has to be cut at the border, nor what pads its rows to eights.
    margin = int(table.reach.max()) + EIGHT - 1
    # Each value of each view has rows of its own, as neighbouring pixels are added to at once.
    spread = np.zeros((height + 2 * margin, 8, width + 2 * margin), np.float32)
    if coc.ndim:
        _scatter(
            np.ascontiguousarray(values, np.float32),
            np.ascontiguousarray(coc, np.float32),
            *table,
            # Handed over, as a global of another file would be compiled in and cached for good.
            NODES,
            margin,
            spread.reshape(-1),
        )
    else:
        rows = np.ascontiguousarray(values.transpose(0, 2, 1), np.float32)
        _scatter_evenly(rows, table.weights, table.spans, margin, spread)
    inside = spread[margin : margin + height, :, margin : margin + width].transpose(0, 2, 1)
    return inside[..., :4], inside[..., 4:]


@njit(cache=True, nogil=True, fastmath=True)
def _scatter_evenly(rows, weights, spans, margin, spread):  # type: ignore[no-untyped-def]
    """Do the work of `scatter` with one kernel for all pixels; `rows` is Hx4xW."""
    size = len(spans)
    kernel = weights.reshape(size, -1)
    for y in range(len(rows)):
        begin, end = 0, rows.shape[2]
        while begin < end and not rows[y, :, begin].any():
            begin += 1
        while begin < end and not rows[y, :, end - 1].any():
            end -= 1
        for down in range(size):
            for tap in range(spans[down, 0], spans[down, 1]):
                weight = kernel[down, tap]
                left = margin - size // 2 + begin + tap
                # The mirror of the left view.
                right = margin + size // 2 + begin - tap
                for value in range(4):
                    light = rows[y, value, begin:end]
                    target = spread[y + margin - size // 2 + down]
                    left_row = target[value, left : left + light.size]
                    for x in range(light.size):
                        left_row[x] += weight * light[x]
                    right_row = target[4 + value, right : right + light.size]
                    for x in range(light.size):
                        right_row[x] += weight * light[x]


@intrinsic
def _add_eight(  # type: ignore[no-untyped-def]
    _context, spread, left, right, pitch, weights, changes, tap, fraction, v0, v1, v2, v3
):
    """Add one value times eight neighbouring weights to both views, for each of four values.

    With w = weights[tap:tap + 8] + fraction * changes[tap:tap + 8] and i from 0 to 3:

        spread[left + i * pitch:][:8] += vi * w
        spread[right + i * pitch:][:8] += vi * w[::-1]

    Numba does not vectorise rows that are as short as those of kernels.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where_left, where_right, step, where, share = (arguments[i] for i in (1, 2, 3, 6, 7))
        kinds = signature.args

        def address(number: int, index: Any) -> Any:
            array = context.make_array(kinds[number])(context, builder, arguments[number])
            return builder.bitcast(builder.gep(array.data, [index]), eight.as_pointer())

        def load(address: Any) -> Any:
            # An array of float32 may begin at any multiple of 4 bytes.
            return builder.load(address, align=4)

        def add(one: Any, factor: Any, other: Any) -> Any:
            product = builder.fmul(factor, other, flags=("fast",))
            return builder.fadd(one, product, flags=("fast",))

        change = load(address(5, where))
        forwards = add(load(address(4, where)), _repeated(builder, share), change)
        backwards = builder.shuffle_vector(forwards, forwards, _order(reversed(range(EIGHT))))
        for value in arguments[8:]:
            repeated = _repeated(builder, value)
            for target, row in ((where_left, forwards), (where_right, backwards)):
                place = address(0, target)
                builder.store(add(load(place), repeated, row), place, align=4)
            where_left, where_right = (builder.add(i, step) for i in (where_left, where_right))
        return context.get_dummy_value()

    eight = ir.VectorType(ir.FloatType(), EIGHT)
    arguments = (spread, left, right, pitch, weights, changes, tap, fraction, v0, v1, v2, v3)
    return types.void(*arguments), generate


def _order(lanes: Iterable[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), EIGHT), list(lanes))


def _repeated(builder: Any, scalar: Any) -> Any:
    """Return a vector with the scalar in each lane."""
    undefined = ir.Constant(ir.VectorType(ir.FloatType(), EIGHT), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, _order([0] * EIGHT))


@njit(cache=True, nogil=True, fastmath=True)
def _scatter(  # type: ignore[no-untyped-def]
    values, coc, first, reaches, taps, rows, weights, changes, spans, nodes, margin, spread
):
    """Do the work of `scatter`; `spread` is (H + 2 margin) x 8 x (W + 2 margin), flat."""
    height, width = coc.shape
    pitch = width + 2 * margin
    for y in range(height):
        for x in range(width):
            v0, v1, v2, v3 = values[y, x, 0], values[y, x, 1], values[y, x, 2], values[y, x, 3]
            if v0 == 0 and v1 == 0 and v2 == 0 and v3 == 0:
                continue
            position = nodes * coc[y, x] / (1 + abs(coc[y, x])) - first
            interval = min(max(int(position), 0), reaches.size - 1)
            fraction = np.float32(position - interval)
            reach = reaches[interval]
            for row in range(2 * reach + 1):
                begin, end = spans[rows[interval] + row, 0], spans[rows[interval] + row, 1]
                tap = taps[interval] + row * (2 * reach + EIGHT)
                left = (y + margin + row - reach) * 8 * pitch + x + margin
                right = left + 4 * pitch + 1 - EIGHT
                for column in range(begin, end, EIGHT):
                    offset = column - reach
                    _add_eight(  # type: ignore[call-arg]
                        spread,
                        left + offset,
                        # The mirror of the left view.
                        right - offset,
                        pitch,
                        weights,
                        changes,
                        tap + column,
                        fraction,
                        v0,
                        v1,
                        v2,
                        v3,
                    )
