"""How time and memory grow with the size of a photograph, as a table and a plot.

    python benchmarks/growth.py [--sizes 0.5,1,2,4,8,16,24,50,100] [--rounds 3] [--memory GB]
                                [--precision P] [--paper-up-to 24] [--plain-up-to 2]
                                [--plot growth.svg]

Measured are ifan-s and the paper's network (N = 17, width 32, with weights of ordinary
size) from file to file as `ifan benchmark` does it, at the full size; and the paper's network in
plain PyTorch (`benchmarks/plain.py`), which takes a picture as it is; both up to the size that is
given. Each measurement is in a process of its own. The sizes take turns for several rounds and the
best of each counts, as machines are noisy. The plot has the network's seconds per megapixel.
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
BUNDLED, PAPER, PLAIN = "ifan-s", "N=17, width 32", "plain PyTorch, N=17, width 32"
PASSES = 2


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
    best: dict[tuple[str, float], Measured] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, options.rounds + 1):
            print_head(f"round {number}")
            for name, row in one_round(options, Path(folder)):
                print_row(name, row)
                key = name, row.megapixels
                best[key] = min(best.get(key, row), row, key=lambda row: row.network_seconds)
    print_head("best of each")
    curves: dict[str, list[tuple[float, float]]] = {}
    for (name, megapixels), row in best.items():
        print_row(name, row)
        curves.setdefault(name, []).append((megapixels, row.seconds_per_megapixel))
    if options.plot:
        title = "seconds per megapixel, by megapixels"
        options.plot.write_text(plot([Curve(*curve) for curve in curves.items()], title))


def one_round(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Measured]]:
    """Measure each size once, by its way's name."""
    paper = folder / "paper"
    if not paper.exists():
        paper.mkdir()
        network = build(WIDTH, ITERATIONS).network
        save_safetensors(paper / WEIGHTS_NAME, network)
        export_onnx(paper / GRAPH_NAME, network)
    for megapixels in options.sizes:
        yield BUNDLED, measured(options, megapixels, folder, None)
        if megapixels <= options.paper_up_to:
            yield PAPER, measured(options, megapixels, folder, str(paper))
        if megapixels <= options.plain_up_to:
            yield PLAIN, apart(f"plain at {megapixels:g}", plain_passes, megapixels)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=numbers, default=[0.5, 1, 2, 4, 8, 16, 24, 50, 100])
    parser.add_argument("--rounds", type=int, default=3, help="turns of all sizes")
    parser.add_argument("--memory", type=float, help="gigabytes that a photograph may take")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--paper-up-to", type=float, default=24, help="megapixels")
    parser.add_argument("--plain-up-to", type=float, default=2, help="megapixels; 0: not at all")
    parser.add_argument("--plot", type=Path, help="an .svg")
    return parser.parse_args()


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def measured(
    options: argparse.Namespace, megapixels: float, folder: Path, model: str | None
) -> Measured:
    setup = Setup(model, "openvino", options.precision, "full", options.memory)
    row = Benchmark(setup, setup.deblurrer(), PASSES, folder).photograph(megapixels)
    return Measured(megapixels, row.network_seconds, row.file_seconds, row.peak_bytes)


def plain_passes(megapixels: float) -> Measured:
    network = build(WIDTH, ITERATIONS)
    height, width = (-(-side // CELL) * CELL for side in size_of(megapixels))
    picture = torch.from_numpy(np.random.default_rng(0).random((1, 3, height, width), np.float32))
    seconds = []
    for _ in range(PASSES):
        started = time.perf_counter()
        with torch.inference_mode():
            network(picture)
        seconds.append(time.perf_counter() - started)
    return Measured(megapixels, min(seconds), None, peak_bytes())


def print_head(name: str) -> None:
    print(
        f"{name:32}{'megapixels':>11}{'network':>11}{'s/MP':>9}{'file to file':>14}{'peak':>10}",
        flush=True,
    )


def print_row(name: str, row: Measured) -> None:
    file_seconds = "-" if row.file_seconds is None else f"{row.file_seconds:.2f} s"
    print(
        f"{name:32}{row.megapixels:>11g}{row.network_seconds:>9.2f} s"
        f"{row.seconds_per_megapixel:>9.3f}{file_seconds:>14}{row.peak_bytes / 1e9:>7.2f} GB",
        flush=True,
    )


if __name__ == "__main__":
    main()
