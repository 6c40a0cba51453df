"""What a batch on Ray costs, against a plain loop on the same cores.

    python benchmarks/batch.py [--pictures 200] [--rounds 2]
    python benchmarks/batch.py --memory [--pictures 2000] [--large 100]

Throughput: photographs of mixed size, from folder to folder, by a plain loop over `Deblurrer`, by
`ifan batch` with one worker that has all cores, and by it with a worker for each core. The ways
take turns and the best round of each counts. The time is from the first photograph on; what
starting takes before is told apart.

Memory: many small photographs and a large one, in megapixels, by a worker for each core. Told is
the largest that any process held: of the driver, of a worker, and of the rest of Ray.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pyarrow.parquet as pq

from ifan import Deblurrer
from ifan.benchmarking.processes import apart
from ifan.images import Metadata, Photograph, write_photograph

SIZES = ((640, 480), (1024, 768), (1600, 1200), (2400, 1600), (3000, 2000))
SMALL = (320, 240)


class Took(NamedTuple):
    """How long a way took.

    Attributes:
        start: seconds before the first photograph.
        work: seconds from then on.
    """

    start: float
    work: float


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        if options.memory:
            measure_memory(options, source, Path(folder))
        else:
            measure_throughput(options, source, Path(folder))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--large", type=float, default=100, help="megapixels of the large one")
    return parser.parse_args()


def measure_throughput(options: argparse.Namespace, source: Path, folder: Path) -> None:
    count = options.pictures or 200
    pixels = sum(
        write_picture(source / f"{n:04d}.jpg", *SIZES[n * 7 % len(SIZES)], n) for n in range(count)
    )
    cores = os.cpu_count() or 1
    ways: dict[str, Callable[[Path], Took]] = {
        "plain loop": lambda target: apart("plain loop", plain_loop, source, target),
        "1 worker": lambda target: by_batch(source, target, 1, cores),
        f"{cores} workers": lambda target: by_batch(source, target, cores, 1),
    }
    best: dict[str, Took] = {}
    for number in range(options.rounds):
        for name, way in ways.items():
            took = way(folder / f"{name}-{number}")
            best[name] = min(best.get(name, took), took, key=lambda took: took.work)
    print(f"{count} photographs, {pixels / 1e6:.0f} megapixels, {cores} cores")
    print(f"{'':12}{'start':>9}{'work':>9}{'MP/s':>8}{'of plain':>10}")
    plain = best["plain loop"].work
    for name, took in best.items():
        speed = pixels / 1e6 / took.work
        print(
            f"{name:12}{took.start:7.1f} s{took.work:7.1f} s{speed:8.2f}{plain / took.work:10.0%}"
        )


def plain_loop(source: Path, target: Path) -> Took:
    """Deblur one photograph after the other."""
    target.mkdir()
    began = time.perf_counter()
    deblurrer = Deblurrer()
    deblurrer.load()
    loaded = time.perf_counter()
    for path in sorted(source.iterdir()):
        deblurrer.deblur_file(path, target / path.name)
    return Took(loaded - began, time.perf_counter() - loaded)


def by_batch(source: Path, target: Path, workers: int, cpus: int) -> Took:
    began = time.time()
    run_batch(source, target, workers, cpus)
    table = pq.read_table(target / "manifest.parquet", columns=["finished", "seconds"])
    rows = table.to_pylist()
    first = min(row["finished"] - row["seconds"] for row in rows)
    return Took(first - began, max(row["finished"] for row in rows) - first)


def run_batch(source: Path, target: Path, workers: int, cpus: int) -> None:
    command = [sys.executable, "-m", "ifan", "batch", str(source), str(target)]
    pool = ["--workers", str(workers), "--cpus-per-worker", str(cpus)]
    subprocess.run([*command, *pool], check=True, capture_output=True)


def measure_memory(options: argparse.Namespace, source: Path, folder: Path) -> None:
    count = options.pictures or 2000
    for number in range(count):
        write_picture(source / f"{number:05d}.jpg", *SMALL, number)
    side = round((options.large * 1e6 / 1.5) ** 0.5)
    write_picture(source / "large.jpg", round(1.5 * side), side, count)
    watch = Watch()
    cores = os.cpu_count() or 1
    run_batch(source, folder / "target", cores, 1)
    watch.end()
    print(f"{count} photographs of {SMALL[0]}x{SMALL[1]} and one of {options.large:g} megapixels")
    for name, size in watch.largest.items():
        print(f"{name:12}{size / 1e9:6.2f} GB")


class Watch:
    """Looks again and again how much memory the processes that this one has started hold."""

    def __init__(self) -> None:
        self.largest: dict[str, int] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.2):
            held: dict[str, list[int]] = {}
            for process in psutil.Process().children(recursive=True):
                try:
                    name = " ".join(process.cmdline())
                    # Memory that processes share, as Ray's store is, counts once, for none of them.
                    memory = process.memory_info()
                    held.setdefault(kind_of(name), []).append(memory.rss - memory.shared)
                except psutil.Error:  # it has ended
                    continue
            sums = {"all": sum(map(sum, held.values()))}
            for kind, size in (sums | {kind: max(sizes) for kind, sizes in held.items()}).items():
                self.largest[kind] = max(self.largest.get(kind, 0), size)


def kind_of(command: str) -> str:
    if "ifan batch" in command:
        return "driver"
    return "worker" if "ray::MapWorker" in command else "rest of Ray"


def write_picture(path: Path, width: int, height: int, seed: int) -> int:
    """Write a photograph of clouds and grain; return how many pixels it has."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 200, (height // 64 + 1, width // 64 + 1, 3), np.uint8)
    pixels = coarse.repeat(64, axis=0).repeat(64, axis=1)[:height, :width]
    pixels = pixels + random.integers(0, 40, pixels.shape, np.uint8)
    photograph = Photograph(pixels, None, format="JPEG", metadata=Metadata(), path=path)
    write_photograph(photograph, path)
    return width * height


if __name__ == "__main__":
    main()
