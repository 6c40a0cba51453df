"""Time and exactness of the renderer, as ratios to a plain one, and of whole simulated scenes.

The plain renderer is the model as one writes it down first: for each pixel, its own point spread
function is added to the picture with NumPy. Times are of the processor, on one core, best of five.

    python benchmarks/optics.py [--size 320] [--radius 15] [--scenes 100]

With `--scenes 10000` it shows whether memory stays flat.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

Array = npt.NDArray[np.float32]


def main() -> None:
    options = parse()
    print_start()
    print_rendering(options.size, options.radius)
    print_scenes(options.scenes)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=320, help="side of the rendered picture")
    parser.add_argument("--radius", type=float, default=15, help="largest |coc| in pixels")
    parser.add_argument("--scenes", type=int, default=100, help="how many scenes to simulate")
    return parser.parse_args()


def print_start() -> None:
    """How long the first call takes: loading from Numba's cache, or compiling if that is empty."""
    seconds = timed(lambda: two_layers_rendered(40, 2.0), repetitions=1)
    print(f"import and first call: {seconds:.2f} s (several seconds where nothing is cached yet)")


def two_layers_rendered(size: int, radius: float) -> Any:
    from ifan.optics import PointSpreadFunction, render

    psf = PointSpreadFunction()
    margin = psf.reach(radius)
    return render(two_layers(size + 2 * margin, (radius, radius), -radius), psf, margin=margin)


def two_layers(side: int, behind: tuple[float, float], in_front: float) -> list[Any]:
    """Noise behind, and a disc of noise in front that covers a quarter of the picture."""
    from ifan.optics import Layer

    random = np.random.default_rng(0)
    first, last = behind
    coc = np.broadcast_to(np.linspace(first, last, side, dtype=np.float32), (side, side))
    y, x = np.mgrid[:side, :side] - side / 2
    opacity = np.clip(side * 0.28 - np.hypot(y, x), 0, 1).astype(np.float32)
    colours = random.integers(0, 2, (2, side, side, 3)).astype(np.float32)
    return [
        Layer(colours[0], first if first == last else np.ascontiguousarray(coc)),
        Layer(colours[1], in_front, opacity),
    ]


def print_rendering(size: int, radius: float) -> None:
    from ifan.optics import (
        Aperture,
        Butterworth,
        Disc,
        Dome,
        Gaussian,
        HalfDisc,
        PointSpreadFunction,
        Polygon,
        render,
    )

    backgrounds = {"plane at the largest radius": radius, "slanted from sharp to largest": 0.0}
    apertures: tuple[Aperture, ...] = (Disc(), Polygon(), Butterworth(), Dome(), Gaussian())
    print(f"\nboth views of {size}x{size} pixels, two layers, radius up to {radius:g} px")
    print(f"{'':46}{'time':>10}{'plain':>10}{'speed-up':>10}{'differs':>10}")
    for aperture, (what, least) in product(apertures, backgrounds.items()):
        name = f"{type(aperture).__name__}, {what}"
        psf = PointSpreadFunction(aperture, HalfDisc(0.3))
        margin = psf.reach(radius)
        layers = two_layers(size + 2 * margin, (least, radius), -radius)

        def ours(
            layers: list[Any] = layers, psf: PointSpreadFunction = psf, margin: int = margin
        ) -> Any:
            return render(layers, psf, margin=margin)

        seconds = timed(ours)
        start = time.process_time()
        expected = plainly_rendered(layers, psf, margin)
        plain = time.process_time() - start
        difference = np.abs(np.stack(ours()) - expected).max()
        print(
            f"{name:46}{seconds:>8.3f} s{plain:>8.1f} s{plain / seconds:>9.0f}x{difference:>10.0e}"
        )


def plainly_rendered(layers: list[Any], psf: Any, margin: int) -> npt.NDArray[np.float64]:
    """Render with the exact point spread function at every pixel."""
    side = layers[0].colour.shape[0]
    views = np.zeros((2, side, side, 3))
    for layer in layers:
        opacity = np.ones((side, side)) if layer.opacity is None else layer.opacity
        values = np.dstack((layer.colour * opacity[..., None], opacity, np.ones_like(opacity)))
        spread = plainly_spread(values, np.broadcast_to(layer.coc, (side, side)), psf)
        weight = spread[..., 4:] if np.ptp(layer.coc) else 1.0
        views = views * (1 - spread[..., 3:4] / weight) + spread[..., :3] / weight
    return views[:, margin : side - margin, margin : side - margin]


def plainly_spread(values: Array, coc: Array, psf: Any) -> npt.NDArray[np.float64]:
    side, channels = values.shape[0], values.shape[2]
    widest = psf.reach(float(np.abs(coc).max()))
    spread = np.zeros((2, side + 2 * widest, side + 2 * widest, channels))
    known: dict[float, Any] = {}
    for y, x in np.ndindex(side, side):
        here = float(coc[y, x])
        if here not in known:
            known[here] = np.stack(psf.views(here))[..., None]
        kernels = known[here]
        reach = kernels.shape[1] // 2
        top, left = y + widest - reach, x + widest - reach
        square = spread[:, top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        square += kernels * values[y, x]
    return spread[:, widest : widest + side, widest : widest + side]


def print_scenes(count: int) -> None:
    """Simulate scenes from three synthetic photographs."""
    from ifan.datasets.simulated import SceneSimulator, Simulation

    simulator = SceneSimulator([photograph(seed) for seed in range(3)], Simulation())
    simulator.scene(0)
    seconds, memory = [], []
    for index in range(count):
        start = time.process_time()
        simulator.scene(index)
        seconds.append(time.process_time() - start)
        memory.append(psutil.Process().memory_info().rss / 2**20)
    print(f"\n{count} simulated scenes of 256x256 pixels, radius up to 15 px")
    print(
        f"time: {np.mean(seconds):.3f} s each, one in ten takes {np.quantile(seconds, 0.9):.3f} s "
        f"and more, the slowest {max(seconds):.3f} s"
    )
    tenths = [memory[i:j] for i, j in pairwise(np.linspace(0, count, 11).astype(int)) if j > i]
    print("memory (MB) in each tenth, at most:", *(f"{max(part):.0f}" for part in tenths))


def photograph(seed: int, side: int = 800) -> npt.NDArray[np.uint8]:
    """Discs on discs."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    picture = np.zeros((side, side, 3), np.uint8)
    for _ in range(600):
        row, column = random.uniform(0, side, 2)
        inside = np.hypot(y - row, x - column) < random.uniform(3, 60)
        picture[inside] = random.integers(0, 256, 3)
    return picture


def timed(work: Callable[[], Any], repetitions: int = 5) -> float:
    seconds = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
