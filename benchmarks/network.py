"""Peak memory and time of one pass through the network, as ratios to a plain implementation.

The last column is the mean difference to the plain one's output, in parts of full scale.

Each way of running runs in a process of its own, so that its peak is its own. All take turns for
several rounds and the best of each counts, as machines are noisy. Peak: what the process held at
most, less what it held before the first pass. Pictures that are too small drown in what setting up
takes.

With --stages, what each engine takes of memory in each stage that large pictures go through.

    python benchmarks/network.py [--stages] [--height 720] [--width 1280]
                                 [--channels 32] [--iterations 17] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

sys.path.insert(0, str(Path(__file__).parent))
from numpy.typing import NDArray

from ifan.benchmarking.measuring import peak_bytes
from ifan.engines import Array, Choice, Engine, open_engine, selection
from ifan.models import export_onnx
from ifan.tiling import CELL
from plain import PlainIFAN, build

PLAIN = "plain torch fp32"
CONTESTANTS: dict[str, tuple[selection.EngineName, selection.Precision]] = {
    "torch fp32": ("torch", "fp32"),
    "openvino fp32": ("openvino", "fp32"),
    "openvino bf16": ("openvino", "bf16"),
    "onnxruntime fp32": ("onnxruntime", "fp32"),
}
STAGES = {
    "whole": (("center",), ("deblurred",)),
    "encode": (("center",), ("encoded", "defocused")),
    "predict": (("encoded",), ("filter_feature",)),
    "apply": (("filter_feature", "defocused"), ("bottleneck",)),
    "decode": (("bottleneck", "center"), ("deblurred",)),
}
PASSES = 3


def main() -> None:
    options = parse()
    if options.one:
        print(json.dumps(measure(options)))
        return
    if options.stages:
        print_stages(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        export_onnx(graph, build(options.channels, options.iterations).network)
        names = (PLAIN, *CONTESTANTS)
        rounds = [
            {name: measure_apart(name, graph) for name in names} for _ in range(options.rounds)
        ]
        results = {name: best([measured[name] for measured in rounds]) for name in names}
        outputs = {name: np.load(output_file(graph, name)) for name in results}
    for name, output in outputs.items():
        results[name]["difference"] = float(np.abs(output - outputs[PLAIN]).mean())
    print_table(options, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--channels", type=int, default=32, help="the network's width")
    parser.add_argument("--iterations", type=int, default=17, help="the paper's N")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each way of running has")
    parser.add_argument("--stages", action="store_true", help="memory of each stage instead")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--stage", default="whole", help=argparse.SUPPRESS)
    parser.add_argument("--graph", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_apart(name: str, graph: Path, stage: str = "whole") -> dict[str, float]:
    """Measure one way of running in a process of its own."""
    command = [sys.executable, *sys.argv, "--one", name, "--graph", str(graph), "--stage", stage]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(answer.splitlines()[-1])
    return result


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the least time and memory of several rounds."""
    return {key: min(measured[key] for measured in rounds) for key in rounds[0]}


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Run the network in this process; return peak memory in MB and seconds of the best pass."""
    random = np.random.default_rng(0)
    picture = random.random((1, 3, options.height, options.width), np.float32)
    run = runner(options, picture)
    before = psutil.Process().memory_info().rss / 2**20
    seconds = []
    for _ in range(PASSES):
        started = time.perf_counter()
        output = run()
        seconds.append(time.perf_counter() - started)
    result = {"peak": peak_bytes() / 2**20 - before, "seconds": min(seconds)}
    np.save(output_file(options.graph, options.one), output)
    return result


def output_file(graph: Path, name: str) -> Path:
    return graph.with_name(f"{name}.npy")


def runner(options: argparse.Namespace, picture: Array) -> Callable[[], Array]:
    network = build(options.channels, options.iterations)
    if options.one == PLAIN:
        return lambda: plain_pass(network, picture)
    name, precision = CONTESTANTS[options.one]
    engine: Engine = open_engine(
        Choice(name, "cpu", precision, ""),
        graph=lambda: options.graph,
        network=lambda: network.network,
    )
    given, wanted = STAGES[options.stage]
    arrays = {n: picture if n == "center" else feature(picture, options, precision) for n in given}
    return lambda: engine.run(arrays, wanted)[0]


def feature(picture: Array, options: argparse.Namespace, precision: str) -> NDArray[Any]:
    """Return a feature of zeros, in the number format that the engine has for it."""
    _, _, height, width = picture.shape
    kind = np.float32 if precision == "fp32" else np.float16
    return np.zeros((1, 4 * options.channels, height // CELL, width // CELL), kind)


def print_stages(options: argparse.Namespace) -> None:
    pixels = options.height * options.width * options.channels
    print("bytes for each pixel and each channel of the network's width")
    print(f"{'':18}" + "".join(f"{stage:>13}" for stage in STAGES))
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        export_onnx(graph, build(options.channels, options.iterations).network)
        for name in CONTESTANTS:
            peaks = (measure_apart(name, graph, stage)["peak"] for stage in STAGES)
            print(f"{name:18}" + "".join(f"{peak * 2**20 / pixels:13.1f}" for peak in peaks))


def plain_pass(network: PlainIFAN, picture: Array) -> Array:
    with torch.inference_mode():
        output: Array = network(torch.from_numpy(picture)).numpy()
        return output


def print_table(options: argparse.Namespace, results: dict[str, dict[str, float]]) -> None:
    plain = results[PLAIN]
    pixels = options.height * options.width
    print(
        f"width {options.channels}, N={options.iterations}, "
        f"{options.width}x{options.height} pixels, {torch.get_num_threads()} threads"
    )
    titles = ("peak", "of plain", "B/px/channel", "time", "speed-up", "differs")
    print(f"{'':18}" + "".join(f"{title:>13}" for title in titles))
    for name, result in results.items():
        cells = (
            f"{result['peak']:.0f} MB",
            f"{result['peak'] / plain['peak']:.0%}",
            f"{result['peak'] * 2**20 / pixels / options.channels:.1f}",
            f"{result['seconds']:.2f} s",
            f"{plain['seconds'] / result['seconds']:.1f}x",
            f"{result['difference']:.0e}",
        )
        print(f"{name:18}" + "".join(f"{cell:>13}" for cell in cells))


if __name__ == "__main__":
    main()
