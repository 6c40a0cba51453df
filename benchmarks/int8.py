"""What arithmetic in 8-bit integers costs a picture, and what time it saves.

    python benchmarks/int8.py FOLDER [--photographs SHARP] [--model M | --paper]
                              [--crops 64] [--rounds 9]

Needs NNCF (pip install nncf), which quantises a graph after its training: scenes simulated from
sharp photographs, or crops of the example photograph if none are given, show it the range of each
tensor. What is not quantised is computed in bfloat16.

FOLDER holds pairs NAME_input.png and NAME_target.png. For each way of computing it prints the time
that the first picture takes, also as ratios to float32 and bfloat16, and the PSNR of each pair and
the mean. Times are of the processor, all cores together, the best of some rounds in which all ways
take turns. With --paper, only the times, of a network of the paper's size with random weights.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
from skimage.metrics import peak_signal_noise_ratio

from ifan import Deblurrer
from ifan.datasets.simulated import SceneSimulator, Simulation
from ifan.datasets.writing.sources import find_sources, read_pixels
from ifan.engines import Array
from ifan.engines.openvino import OpenVINOEngine
from ifan.engines.without_telemetry import openvino
from ifan.models import export_onnx
from ifan.tiling import CELL
from plain import build
from quality import Picture, read

EXAMPLE = Path(__file__).parents[1] / "examples" / "out-of-focus.jpg"
CROP = 256
PHOTOGRAPHS = 24
"""Photographs that scenes are simulated from."""

CONVOLUTIONS = "Convolution", "ConvolutionBackpropData"


def main() -> None:
    options = parse()
    pairs = {source.name.removesuffix("_input.png"): pair(source) for source in inputs(options)}
    crops = simulated(options) if options.photographs else of_example(options.crops)
    with tempfile.TemporaryDirectory() as folder:
        engines = contestants(graph_file(options, Path(folder)), crops, Path(folder))
        first, _ = next(iter(pairs.values()))
        runs = {name: runner(engine, first) for name, engine in engines.items()}
        seconds = best_seconds(runs, options.rounds)
        print(f"{first.shape[1]}x{first.shape[0]} pixels, {len(crops)} crops")
        print_times(seconds)
        if not options.paper:
            print_quality(engines, pairs)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="pairs")
    parser.add_argument("--photographs", type=Path, help="folder of sharp photographs")
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--model")
    network.add_argument("--paper", action="store_true", help="random weights, times only")
    parser.add_argument("--crops", type=int, default=64, help="how many to calibrate with")
    parser.add_argument("--rounds", type=int, default=9, help="of which the best time counts")
    return parser.parse_args()


def inputs(options: argparse.Namespace) -> list[Path]:
    sources = sorted(options.folder.glob("*_input.png"))
    if not sources:
        sys.exit(f"{options.folder} holds no NAME_input.png")
    return sources


def pair(source: Path) -> tuple[Picture, Picture]:
    """Read a picture and its target, cut to a size that the network takes."""
    target = source.with_name(source.name.replace("_input", "_target"))
    picture = read(source, linear=False)
    height, width = (side // CELL * CELL for side in picture.shape[:2])
    return picture[:height, :width], read(target, linear=False)[:height, :width]


def simulated(options: argparse.Namespace) -> list[Picture]:
    """Simulate pictures that are out of focus."""
    sources = find_sources(options.photographs, None)[:PHOTOGRAPHS]
    photographs = [read_pixels(source.photograph) for source in sources]
    simulator = SceneSimulator(photographs, Simulation(height=CROP, width=CROP))
    return [simulator.scene(number).center for number in range(options.crops)]


def of_example(count: int) -> list[Picture]:
    """Cut crops out of the example photograph, each turned and mirrored at random."""
    picture = read(EXAMPLE, linear=False)
    random = np.random.default_rng(0)
    crops = []
    for _ in range(count):
        top, left = (random.integers(side - CROP + 1) for side in picture.shape[:2])
        crop = picture[top : top + CROP, left : left + CROP]
        crops.append(np.rot90(crop, int(random.integers(4)))[:: random.choice((-1, 1))])
    return crops


def graph_file(options: argparse.Namespace, folder: Path) -> Path:
    if not options.paper:
        return Deblurrer(options.model).model.graph()
    file = folder / "paper.onnx"
    export_onnx(file, build(32, 17).network)
    return file


def contestants(graph: Path, crops: list[Picture], folder: Path) -> dict[str, OpenVINOEngine]:
    """Return all ways of computing, by name."""
    engines = {"fp32": OpenVINOEngine(graph, "fp32"), "bf16": OpenVINOEngine(graph, "bf16")}
    whole = openvino.Core().read_model(graph)
    model = openvino.Model([whole.output("deblurred")], whole.get_parameters())
    ways = {"int8 everywhere": [], "int8 in large layers": all_but_large_convolutions(model)}
    for name, ignored in ways.items():
        file = folder / f"{name}.xml"
        openvino.save_model(quantised(model, crops, ignored), file, compress_to_fp16=False)
        engines[name] = OpenVINOEngine(file, "bf16")
    return engines


def quantised(model: Any, crops: list[Picture], ignored: list[str]) -> Any:
    """Quantise a graph: weights symmetrically, activations asymmetrically, as leaky ReLUs need.

    Args:
        model: the graph.
        crops: pictures to calibrate with.
        ignored: operations that are left as they are.
    """
    # Without this package NNCF reports nothing to its makers.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import nncf

    nncf.set_log_level(logging.ERROR)
    return nncf.quantize(
        model,
        nncf.Dataset(crops, tensor),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(crops),
        ignored_scope=nncf.IgnoredScope(names=ignored),
    )


def all_but_large_convolutions(model: Any) -> list[str]:
    """Return all operations but convolutions at the full and the half size.

    The last convolution, whose three channels are the correction, is left out, too.
    """
    sized = model.clone()
    sized.reshape([1, 3, CROP, CROP])
    return [
        operation.get_friendly_name()
        for operation in sized.get_ordered_ops()
        if operation.get_type_name() not in ("Parameter", "Result", "Constant")
        and not is_large_convolution(operation)
    ]


def is_large_convolution(operation: Any) -> bool:
    if operation.get_type_name() not in CONVOLUTIONS:
        return False
    _, channels, height, _ = operation.output(0).shape
    return bool(height >= CROP // 2 and channels > 3)


def tensor(picture: Picture) -> Array:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None])


def runner(engine: OpenVINOEngine, picture: Picture) -> Callable[[], Array]:
    given = {"center": tensor(picture)}
    return lambda: engine.run(given, ("deblurred",))[0]


def best_seconds(runs: dict[str, Callable[[], Array]], rounds: int) -> dict[str, float]:
    """Let all take turns; the first turn compiles and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
    return {name: min(times[1:]) for name, times in seconds.items()}


def print_times(seconds: dict[str, float]) -> None:
    print(f"{'':24}{'time':>9}{'of fp32':>10}{'of bf16':>10}")
    for name, best in seconds.items():
        ratios = (best / seconds[other] for other in ("fp32", "bf16"))
        print(f"{name:24}{best:7.3f} s" + "".join(f"{ratio:10.2f}" for ratio in ratios))


def print_quality(
    engines: dict[str, OpenVINOEngine], pairs: dict[str, tuple[Picture, Picture]]
) -> None:
    print("PSNR in dB")
    print(f"{'':24}" + "".join(f"{name:>10}" for name in (*pairs, "mean")))
    print_row("input", [psnr(target, source) for source, target in pairs.values()])
    for name, engine in engines.items():
        results = (runner(engine, source)() for source, _ in pairs.values())
        targets = (target for _, target in pairs.values())
        pictures = (result[0].transpose(1, 2, 0).clip(0, 1) for result in results)
        print_row(name, list(map(psnr, targets, pictures)))


def psnr(target: Picture, picture: Picture) -> float:
    return float(peak_signal_noise_ratio(target, picture, data_range=1))


def print_row(name: str, values: list[float]) -> None:
    print(f"{name:24}" + "".join(f"{value:10.2f}" for value in (*values, np.mean(values))))


if __name__ == "__main__":
    main()
