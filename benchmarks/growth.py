"""How time and memory grow with the size of a photograph, as a table and a plot.

    python benchmarks/growth.py [--sizes 0.5,1,2,4,8,16,24,50,100] [--repeats 2] [--memory GB]
                                [--precision P] [--plain-up-to 2] [--plot growth.svg]

Measured are the bundled model and the paper's network (N = 17, width 32, with weights of ordinary
size) from file to file as `ifan benchmark` does it, at the full size; and the paper's network in
plain PyTorch (`benchmarks/plain.py`), which takes a picture as it is, up to the size that is given.
Each measurement is in a process of its own. The plot has the network's seconds per megapixel.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from curves import Curve, plot
from ifan.benchmarking.benchmark import Benchmark
from ifan.benchmarking.measuring import Setup, peak_bytes
from ifan.benchmarking.photographs import size_of
from ifan.benchmarking.processes import apart
from ifan.models import export_onnx, save_safetensors
from ifan.models.store import GRAPH_NAME, WEIGHTS_NAME
from ifan.tiling import CELL
from plain import build

WIDTH, ITERATIONS = 32, 17
PLAIN = "plain PyTorch, N=17, width 32"


class Measured(NamedTuple):
    """What one size took."""

    megapixels: float
    network_seconds: float
    file_seconds: float | None
    peak_bytes: int

    @property
    def seconds_per_megapixel(self) -> float:
        """The network's."""
        return self.network_seconds / self.megapixels


def main() -> None:
    options = parse()
    print(f"{'':32}{'megapixels':>11}{'network':>11}{'s/MP':>9}{'file to file':>14}{'peak':>10}")
    curves = []
    with tempfile.TemporaryDirectory() as folder:
        paper = Path(folder) / "paper"
        paper.mkdir()
        network = build(WIDTH, ITERATIONS).network
        save_safetensors(paper / WEIGHTS_NAME, network)
        export_onnx(paper / GRAPH_NAME, network)
        for name, rows in (
            ("bundled model", measured(options, Path(folder), None)),
            ("N=17, width 32", measured(options, Path(folder), str(paper))),
            (PLAIN, plainly_measured(options)),
        ):
            points = []
            for row in rows:
                print_row(name, row)
                points.append((row.megapixels, row.seconds_per_megapixel))
            curves.append(Curve(name, points))
    if options.plot:
        title = "seconds per megapixel, by megapixels"
        options.plot.write_text(plot([curve for curve in curves if curve.points], title))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=numbers, default=[0.5, 1, 2, 4, 8, 16, 24, 50, 100])
    parser.add_argument("--repeats", type=int, default=2, help="passes, of which the best counts")
    parser.add_argument("--memory", type=float, help="gigabytes that a photograph may take")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--plain-up-to", type=float, default=2, help="megapixels; 0: not at all")
    parser.add_argument("--plot", type=Path, help="an .svg")
    return parser.parse_args()


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def measured(options: argparse.Namespace, folder: Path, model: str | None) -> Iterator[Measured]:
    setup = Setup(model, "openvino", options.precision, "full", options.memory)
    benchmark = Benchmark(setup, setup.deblurrer(), options.repeats, folder)
    for megapixels in options.sizes:
        row = benchmark.photograph(megapixels)
        yield Measured(megapixels, row.network_seconds, row.file_seconds, row.peak_bytes)


def plainly_measured(options: argparse.Namespace) -> Iterator[Measured]:
    for megapixels in options.sizes:
        if megapixels <= options.plain_up_to:
            yield apart(f"plain at {megapixels:g}", plain_passes, megapixels, options.repeats)


def plain_passes(megapixels: float, repeats: int) -> Measured:
    network = build(WIDTH, ITERATIONS)
    height, width = (-(-side // CELL) * CELL for side in size_of(megapixels))
    picture = torch.from_numpy(np.random.default_rng(0).random((1, 3, height, width), np.float32))
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        with torch.inference_mode():
            network(picture)
        seconds.append(time.perf_counter() - started)
    return Measured(megapixels, min(seconds), None, peak_bytes())


def print_row(name: str, row: Measured) -> None:
    file_seconds = "-" if row.file_seconds is None else f"{row.file_seconds:.2f} s"
    print(
        f"{name:32}{row.megapixels:>11g}{row.network_seconds:>9.2f} s"
        f"{row.seconds_per_megapixel:>9.3f}{file_seconds:>14}{row.peak_bytes / 1e9:>7.2f} GB",
        flush=True,
    )


if __name__ == "__main__":
    main()
