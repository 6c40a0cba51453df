"""The inner loop of the renderer: every pixel spreads its light by a kernel of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ifan.optics.kernels import NODES, KernelTable

Array = npt.NDArray[np.float32]

CHANNELS = 4
"""Values that one pixel spreads at once. With two views they fill a register of 256 bits."""


def scatter(values: Array, coc: Array, table: KernelTable) -> tuple[Array, Array]:
    """Spread the values of every pixel over both views.

    Args:
        values: HxWx4. Pixels of which all four are 0 are skipped.
        coc: HxW, signed radii in pixels, within the range of the table.
        table: of the point spread function.

    Returns:
        The left and the right view, HxWx4. Light that leaves the picture is lost, and none comes
        in from outside.
    """
    height, width = coc.shape
    # So wide around that no kernel has to be cut at the border.
    margin = int(table.reach.max())
    spread = np.zeros((height + 2 * margin, width + 2 * margin, 2 * CHANNELS), np.float32)
    _scatter(
        np.ascontiguousarray(values, np.float32),
        np.ascontiguousarray(coc, np.float32),
        *table,
        # Handed over, as a global of another file would be compiled in and cached for good.
        NODES,
        margin,
        spread.reshape(-1),
    )
    inside = spread[margin : margin + height, margin : margin + width]
    return inside[..., :CHANNELS], inside[..., CHANNELS:]


@intrinsic
def _add_tap(  # type: ignore[no-untyped-def]
    _context, spread, position, left, right, v0, v1, v2, v3
):
    """spread[position:position + 8] += (left * v0 ... left * v3, right * v0 ... right * v3).

    As one operation on eight numbers: Numba does not vectorise straight-line code by itself, and
    the renderer is three times as fast with it.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, where, *scalars = arguments
        eight = ir.VectorType(ir.FloatType(), 2 * CHANNELS)
        data = context.make_array(signature.args[0])(context, builder, array).data
        address = builder.bitcast(builder.gep(data, [where]), eight.as_pointer())
        weights = _vector(builder, eight, [scalars[0]] * CHANNELS + [scalars[1]] * CHANNELS)
        colours = _vector(builder, eight, scalars[2:] * 2)
        # An array of float32 may begin at any multiple of 4 bytes.
        old = builder.load(address, align=4)
        fast = ("fast",)
        new = builder.fadd(old, builder.fmul(weights, colours, flags=fast), flags=fast)
        builder.store(new, address, align=4)
        return context.get_dummy_value()

    return types.void(spread, position, left, right, v0, v1, v2, v3), generate


def _vector(builder: Any, kind: Any, scalars: list[Any]) -> Any:
    vector = ir.Constant(kind, ir.Undefined)
    for lane, scalar in enumerate(scalars):
        vector = builder.insert_element(vector, scalar, ir.Constant(ir.IntType(32), lane))
    return vector


@njit(cache=True, nogil=True, fastmath=True)
def _scatter(  # type: ignore[no-untyped-def]
    values, coc, first, reaches, taps, rows, weights, spans, nodes, margin, spread
):
    """Do the work of `scatter`; `spread` is (H + 2 margin) x (W + 2 margin) x 8, flat."""
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
                tap = taps[interval] + 4 * (row * (2 * reach + 1) + begin)
                target = ((y + margin + row - reach) * pitch + x + margin - reach + begin) * 8
                # A slice, whose indices Numba knows not to be negative.
                row_weights = weights[tap : tap + 4 * (end - begin)]
                for column in range(end - begin):
                    left = row_weights[4 * column] + fraction * row_weights[4 * column + 2]
                    right = row_weights[4 * column + 1] + fraction * row_weights[4 * column + 3]
                    _add_tap(  # type: ignore[call-arg]
                        spread, target + 8 * column, left, right, v0, v1, v2, v3
                    )
