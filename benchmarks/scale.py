"""What an archive costs: how long 10^3, 10^6 and 10^9 photographs take, on how many machines.

    python benchmarks/scale.py --measure              what the steps cost on this machine, as JSON
    python benchmarks/scale.py [--costs FILE.json]    the table of docs/scale.md

The model is a queue. A lister finds photographs at a rate; parcels of them wait for workers; a
worker takes a parcel's core-seconds divided by its cores, or as long as the store's answers take,
or the line for its bytes, whichever is more; a driver takes every finished parcel, one after the
other. Sizes of photographs are drawn from a distribution, machines fail at random, and a parcel
that a machine fails in is begun again. Where there are more parcels than can be played through, the
middle of the run is stretched.

Everything that is no measurement is an assumption: the two tables below, and `ASSUMED`.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ifan import Deblurrer
from ifan.cluster.listing import PARCEL_PICTURES, PARCEL_PIXELS, growth
from ifan.images import (
    Metadata,
    Photograph,
    Rendition,
    decode_photograph,
    encode_photograph,
    output_format,
    read_photograph,
)

MEGA = 1e6
Numbers = NDArray[Any]
EXAMPLE = Path(__file__).parent.parent / "examples/out-of-focus.jpg"


class Costs(NamedTuple):
    """What the steps cost on one core, measured by `--measure`.

    Attributes:
        decode: core-seconds a megapixel, from a JPEG file to what the network is given.
        network: core-seconds a megapixel of what the network sees.
        encode: core-seconds a megapixel, from the correction to a JPEG file.
        read_bytes: a megapixel of the photograph's file.
        written_bytes: a megapixel of the result's file.
    """

    decode: float
    network: float
    encode: float
    read_bytes: float
    written_bytes: float


class Machine(NamedTuple):
    """A type of machine; prices and line rates are what the provider lists, and change."""

    name: str
    cores: int
    dollars_per_hour: float
    gigabits_per_second: float


class Archive(NamedTuple):
    """An archive, and what is hired for it."""

    photographs: int
    machine: Machine
    machines: int


# vCPUs of 4th-generation Xeons, as they are hired on demand in us-east-1 in 2025.
SMALL = Machine("c7i.4xlarge", 16, 0.714, 6.25)
LARGE = Machine("c7i.24xlarge", 96, 4.284, 37.5)

ARCHIVES = (
    Archive(10**3, SMALL, 1),
    Archive(10**6, SMALL, 1),
    Archive(10**6, LARGE, 4),
    Archive(10**9, LARGE, 100),
    Archive(10**9, LARGE, 400),
    Archive(10**9, LARGE, 1600),
)

ASSUMED = {
    "megapixels of the median photograph": 12.0,
    "spread of sizes (sigma of the logarithm)": 0.5,
    "long side that the network sees, in pixels": 2048,
    "cores of the measured machine in a vCPU": 0.5,
    "processors of a worker": 2,
    "photographs that one lister finds a second": 5000,
    "milliseconds of the driver for a parcel": 15.0,
    "milliseconds of the driver for a photograph": 0.1,
    "milliseconds of a request to the store": 30.0,
    "hours between failures of a machine": 2000.0,
    "minutes until a machine that failed is replaced": 10.0,
    "seconds until a worker is ready": 20.0,
    "dollars for a thousand PUT and LIST requests": 0.005,
    "dollars for a thousand GET requests": 0.0004,
}

PLAYED_PHOTOGRAPHS = 4_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--costs", type=Path, default=Path(__file__).with_name("scale_costs.json"))
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured()._asdict(), indent=2))
        return
    costs = Costs(**json.loads(options.costs.read_text()))
    for what, value in (costs._asdict() | ASSUMED).items():
        print(f"{what:55}{value:12.4g}")
    print(
        f"\n{'photographs':>12} {'machines':22}{'hours':>9}{'photographs/s':>15}"
        f"{'busy':>7}{'dollars':>12}{'each':>11}  limit"
    )
    for archive in ARCHIVES:
        print_row(archive, Play(costs, archive))


def print_row(archive: Archive, play: Play) -> None:
    machines = f"{archive.machines} x {archive.machine.name}"
    dollars = play.dollars
    print(
        f"{archive.photographs:12.0e} {machines:22}{play.seconds / 3600:9.2f}"
        f"{archive.photographs / play.seconds:15.1f}{play.busy:7.0%}{dollars:12,.2f}"
        f"{1e6 * dollars / archive.photographs:8.0f} u$  {play.limit}"
    )


class Play:
    """A batch played through.

    Attributes:
        seconds: from the start to the last parcel.
        busy: share of that in which workers work.
        limit: what the batch waits for most.
        dollars: for machines and requests.
    """

    def __init__(self, costs: Costs, archive: Archive) -> None:
        self._costs, self._archive = costs, archive
        self._random = np.random.default_rng(0)
        self._per_machine = max(1, archive.machine.cores // int(ASSUMED["processors of a worker"]))
        workers = archive.machines * self._per_machine
        pictures, needs = self._parcels()
        seconds = needs.max(axis=1)
        handled = self._handled(pictures, seconds, workers)
        left = archive.photographs - pictures.sum()
        a, b = len(handled) // 4, 3 * len(handled) // 4
        rate = pictures[a:b].sum() / (handled[b] - handled[a]) if b > a else 1.0
        played = handled[-1]
        self.seconds = played + left / rate
        stretch = archive.photographs / pictures.sum()
        most = needs.argmax(axis=1)
        shares = {
            what: float(seconds[most == kind].sum() * stretch / workers / self.seconds)
            for kind, what in enumerate(("processors", "store's answers", "line"))
        }
        self.busy = sum(shares.values())
        driver = self._driver_seconds(pictures).sum()
        shares["driver"] = float(driver * stretch / self.seconds)
        listing = ASSUMED["photographs that one lister finds a second"]
        shares["lister"] = archive.photographs / listing / self.seconds
        self.limit = max(shares, key=lambda name: shares[name])
        self.dollars = self._dollars(len(pictures) * stretch)

    def _driver_seconds(self, pictures: Numbers) -> Numbers:
        parcel = ASSUMED["milliseconds of the driver for a parcel"]
        return (parcel + pictures * ASSUMED["milliseconds of the driver for a photograph"]) / 1000

    def _parcels(self) -> tuple[Numbers, Numbers]:
        """Draw parcels: how many photographs each has, and seconds of its worker, by what for."""
        megapixels = self._sizes()
        seen = np.minimum(
            megapixels, ASSUMED["long side that the network sees, in pixels"] ** 2 / 1.5e6
        )
        c, machine = self._costs, self._archive.machine
        cores = (
            ASSUMED["processors of a worker"] * ASSUMED["cores of the measured machine in a vCPU"]
        )
        compute = (megapixels * (c.decode + c.encode) + seen * c.network) / cores
        # A thread reads, another writes the result and a line of the journal.
        answers = np.full_like(
            megapixels, 2 * ASSUMED["milliseconds of a request to the store"] / 1000
        )
        line = machine.gigabits_per_second * 1e9 / 8 / self._per_machine
        transfer = megapixels * (c.read_bytes + c.written_bytes) / line
        ends = _parcel_ends(megapixels, self._archive.photographs)
        needs = np.stack(
            [np.add.reduceat(n, ends[:-1]) for n in (compute, answers, transfer)], axis=1
        )
        return np.diff(np.append(ends[:-1], len(megapixels))), needs

    def _sizes(self) -> Numbers:
        count = min(self._archive.photographs, PLAYED_PHOTOGRAPHS)
        median = ASSUMED["megapixels of the median photograph"]
        spread = ASSUMED["spread of sizes (sigma of the logarithm)"]
        return median * np.exp(spread * self._random.standard_normal(count))

    def _handled(self, pictures: Numbers, seconds: Numbers, workers: int) -> Numbers:
        """Return when the driver has taken each parcel, in seconds from the start."""
        found = np.cumsum(pictures) / ASSUMED["photographs that one lister finds a second"]
        free = [ASSUMED["seconds until a worker is ready"]] * workers
        failing = 1 / (3600 * ASSUMED["hours between failures of a machine"])
        replaced = 60 * ASSUMED["minutes until a machine that failed is replaced"]
        handled, driver = np.zeros(len(pictures)), 0.0
        handling = self._driver_seconds(pictures)
        running: list[tuple[float, int]] = []
        for number, work in enumerate(seconds):
            begin = max(heapq.heappop(free), found[number])
            end = begin + work
            if self._random.random() < failing * work:
                end += work / 2 + replaced
            heapq.heappush(free, end)
            heapq.heappush(running, (end, number))
        while running:
            end, number = heapq.heappop(running)
            driver = max(driver, end) + handling[number]
            handled[number] = driver
        return np.sort(handled)

    def _dollars(self, parcels: float) -> float:
        machine, count = self._archive.machine, self._archive.photographs
        hired = self._archive.machines * self.seconds / 3600 * machine.dollars_per_hour
        # Results and the journal; two listings, one of which counts only; photographs and targets.
        put = 2 * count + 2 * parcels + 2 * count / 1000
        got = 2 * count
        requests = put * ASSUMED["dollars for a thousand PUT and LIST requests"]
        requests += got * ASSUMED["dollars for a thousand GET requests"]
        return float(hired + requests / 1000)


def _parcel_ends(megapixels: Numbers, photographs: int) -> Numbers:
    """Return where parcels begin, and at last where the photographs end.

    All are as large as those in the middle of the archive, though they grow on its way.
    """
    times = growth(int(photographs * megapixels.mean() * MEGA / PARCEL_PIXELS) // 2)
    begins, pixels, count = [0], 0.0, 0
    for number, size in enumerate(megapixels):
        is_enough = (pixels + size) * MEGA > times * PARCEL_PIXELS
        if count and (is_enough or count == times * PARCEL_PICTURES):
            begins.append(number)
            pixels, count = 0.0, 0
        pixels, count = pixels + size, count + 1
    return np.array([*begins, len(megapixels)])


def measured() -> Costs:
    """Measure the steps on one core, with a photograph of 12 megapixels."""
    os.environ["VIPS_CONCURRENCY"] = "1"
    deblurrer = Deblurrer(threads=1)
    example = read_photograph(EXAMPLE).pixels
    height, width = example.shape[:2]
    # Mirrored again and again, as there is no large one.
    tiled = np.pad(example, ((0, 3000 - height), (0, 4000 - width), (0, 0)), mode="symmetric")
    photograph = Photograph(tiled, None, format="JPEG", metadata=Metadata(), path=EXAMPLE)
    data = encode_photograph(photograph, output_format(EXAMPLE), EXAMPLE)
    steps: dict[str, list[float]] = {"decode": [], "network": [], "encode": []}

    def encoded(renditions: list[Rendition], deblurred: Any) -> bytes:
        sharp = renditions[0].corrected(deblurred, 1.0)
        return encode_photograph(sharp, output_format(EXAMPLE), EXAMPLE)

    for _ in range(4):
        renditions = _timed(
            steps["decode"], lambda: deblurrer.renditions(decode_photograph(data, EXAMPLE))
        )
        deblurred = _timed(steps["network"], partial(deblurrer.infer, renditions))
        result = _timed(steps["encode"], partial(encoded, renditions, deblurred))
    seen = np.prod(renditions[0].view.shape[:2]) / MEGA
    pixels = tiled.shape[0] * tiled.shape[1] / MEGA
    best = {name: min(seconds[1:]) for name, seconds in steps.items()}
    return Costs(
        decode=best["decode"] / pixels,
        network=best["network"] / seen,
        encode=best["encode"] / pixels,
        read_bytes=len(data) / pixels,
        written_bytes=len(result) / pixels,
    )


def _timed(seconds: list[float], work: Callable[[], Any]) -> Any:
    """Do work, and note the processor's time that it takes."""
    began = time.process_time()
    result = work()
    seconds.append(time.process_time() - began)
    return result


if __name__ == "__main__":
    main()
