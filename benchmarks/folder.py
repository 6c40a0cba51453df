"""What a folder of photographs costs beside the network: reading, writing, and all between.

Makes 100 JPEGs of 2 megapixels of the example photograph, and measures the network alone, on arrays
that are there already, and `ifan.worklist.run`, from file to file. Both run in this process, in
turn, a part of the folder at a time, as machines are noisy.

    python benchmarks/folder.py [--photographs 100] [--rounds 10] [--model ifan-s]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ifan import Deblurrer
from ifan.engines import Array, Engine, open_engine
from ifan.images import read_photograph
from ifan.worklist import Task, plan, run

EXAMPLE = Path(__file__).parents[1] / "examples" / "out-of-focus.jpg"
LARGER = (1800, 1200)
WIDTH, HEIGHT = 1728, 1152
QUALITY = 92


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        make_photographs(Path(folder, "photos"), options.photographs)
        tasks = plan([Path(folder, "photos")], Path(folder, "out"))
        deblurrer = Deblurrer(options.model)
        choice = deblurrer.choice
        engine = open_engine(choice, graph=deblurrer.model.graph, network=deblurrer.model.network)
        warm_up(deblurrer, engine, tasks[0])
        network, whole = measure(deblurrer, engine, tasks, options.rounds)
    print(
        f"{options.photographs} photographs of {WIDTH}x{HEIGHT} pixels, {deblurrer.model.name} by "
        f"{choice.engine} in {choice.precision}, {os.cpu_count()} cores"
    )
    ratios = [theirs / its for theirs, its in zip(whole, network, strict=True)]
    print(f"network alone {sum(network):8.1f} s")
    print(f"whole folder  {sum(whole):8.1f} s, {sum(whole) / sum(network):.2f} times as long")
    print(f"median round  {statistics.median(ratios):10.2f} times as long")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photographs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10, help="parts of the folder")
    parser.add_argument("--model")
    return parser.parse_args()


def make_photographs(folder: Path, count: int) -> None:
    """Write crops of the example photograph, turned over at random."""
    folder.mkdir()
    random = np.random.default_rng(0)
    with Image.open(EXAMPLE) as example:
        turned = example.transpose(Image.Transpose.ROTATE_90).resize(
            LARGER, Image.Resampling.LANCZOS
        )
    for number in range(count):
        left = int(random.integers(LARGER[0] - WIDTH + 1))
        top = int(random.integers(LARGER[1] - HEIGHT + 1))
        crop = turned.crop((left, top, left + WIDTH, top + HEIGHT))
        for way in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM):
            if random.random() < 0.5:
                crop = crop.transpose(way)
        crop.save(folder / f"{number:03}.jpg", quality=QUALITY)


def warm_up(deblurrer: Deblurrer, engine: Engine, task: Task) -> None:
    """Have both compile what they compile for a size."""
    deblurred(engine, array_of(task))
    for outcome in run(deblurrer, [task]):
        if outcome.error:
            raise outcome.error
    task.target.unlink()


def measure(
    deblurrer: Deblurrer, engine: Engine, tasks: list[Task], rounds: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of the network alone and of the whole work, in each round."""
    network, whole = [], []
    for number in range(rounds):
        part = tasks[number::rounds]
        arrays = [array_of(task) for task in part]
        # Each is first as often as second: what slows a machine down is to meet both.
        if number % 2:
            network.append(seconds_of_network(engine, arrays))
        whole.append(seconds_of_run(deblurrer, part))
        if not number % 2:
            network.append(seconds_of_network(engine, arrays))
    return network, whole


def deblurred(engine: Engine, array: Array) -> Array:
    result: Array = engine.run({"center": array}, ("deblurred",))[0]
    return result


def seconds_of_network(engine: Engine, arrays: list[Array]) -> float:
    started = time.perf_counter()
    for array in arrays:
        deblurred(engine, array)
    return time.perf_counter() - started


def seconds_of_run(deblurrer: Deblurrer, tasks: list[Task]) -> float:
    started = time.perf_counter()
    outcomes = list(run(deblurrer, tasks))
    seconds = time.perf_counter() - started
    assert all(outcome.status == "done" for outcome in outcomes)
    return seconds


def array_of(task: Task) -> Array:
    """Return a photograph as the network takes it: 1x3xHxW."""
    pixels = read_photograph(task.source).pixels
    planes = pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255
    return np.ascontiguousarray(planes)


if __name__ == "__main__":
    main()
