"""What serving costs, and how it stands under load.

    python benchmarks/serving.py [--requests 200] [--concurrency 16] [--megapixels 2]

Overhead: the time that a request takes, over that of `Deblurrer.deblur_file` for the same JPEG.
Load: requests at once, with the health endpoint asked meanwhile; what became of them, how quickly
health was answered, and how the memory of both processes went.
"""

from __future__ import annotations

import argparse
import collections
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil

from ifan import Deblurrer
from ifan.images import FORMATS, Metadata, Photograph, encode_photograph, read_photograph, resize

EXAMPLE = Path(__file__).parents[1] / "examples" / "out-of-focus.jpg"


_ASK_FOR_HEALTH = """
import http.client, select, sys, time
from urllib.parse import urlsplit
connection = http.client.HTTPConnection(urlsplit(sys.argv[1]).netloc)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    begin = time.perf_counter()
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b'{"status":"alive"}'
    print(time.perf_counter() - begin)
"""


def photograph(megapixels: float) -> bytes:
    """Return a JPEG of a size: the example, enlarged or reduced."""
    example = read_photograph(EXAMPLE)
    scale = (megapixels * 1e6 / (example.height * example.width)) ** 0.5
    size = round(example.height * scale), round(example.width * scale)
    seen = np.multiply(example.pixels, 1 / 255, dtype=np.float32)
    pixels = np.clip(resize(seen, *size), 0, 1)
    pixels = np.rint(pixels * 255).astype(np.uint8)
    made = Photograph(pixels, None, "JPEG", Metadata(), EXAMPLE)
    return encode_photograph(made, FORMATS["JPEG"], "photo.jpg")


@contextmanager
def serving() -> Iterator[tuple[str, psutil.Process]]:
    """Start `ifan serve`; yield where it is, and its process."""
    command = [sys.executable, "-m", "ifan", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found[0], psutil.Process(process.pid)
    finally:
        process.terminate()
        print(f"stopped by SIGTERM: exit status {process.wait(60)}")


def overhead(data: bytes, repeats: int) -> None:
    """Print what requests take over direct calls, taken in turn."""
    with serving() as (url, _), tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "photo.jpg"), Path(folder, "sharp.jpg")
        source.write_bytes(data)
        deblurrer = Deblurrer()
        client = httpx.Client(base_url=url, timeout=600)
        beyond: list[float] = []

        def direct() -> None:
            deblurrer.deblur_file(source, target, overwrite=True)

        def served() -> None:
            begin = time.perf_counter()
            answer = client.post("/v1/deblur", files={"image": ("photo.jpg", source.read_bytes())})
            target.write_bytes(answer.content)
            stages = re.findall(r"dur=(\d+)", answer.headers["server-timing"])
            beyond.append(time.perf_counter() - begin - sum(map(int, stages)) / 1000)

        direct()  # the first ones compile
        served()
        seconds = [(_seconds(direct), _seconds(served)) for _ in range(repeats)]
        client.close()
    # The least of each is what other programs disturbed least.
    ratio = min(served for _, served in seconds) / min(direct for direct, _ in seconds)
    print(
        f"overhead for {len(data) / 1e6:.1f} MB of JPEG: {100 * (ratio - 1):+.1f} % (the least of "
        f"{repeats} times each); {1000 * statistics.median(beyond):.0f} ms are neither reading, "
        "network nor writing"
    )


def _seconds(call: Callable[[], None]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def load(data: bytes, requests: int, concurrency: int) -> None:
    """Print what becomes of many requests at once, of health, and of memory."""
    with serving() as (url, process):
        client = httpx.Client(base_url=url, timeout=600, limits=httpx.Limits(max_connections=None))
        processes = [process, *process.children()]
        memory: list[int] = []

        def deblur(_: int) -> int:
            answer = client.post("/v1/deblur", files={"image": ("photo.jpg", data)})
            if answer.status_code == 200:
                memory.append(sum(each.memory_info().rss for each in processes))
            return answer.status_code

        # In a process of its own, which no thread of this one holds up.
        asking = subprocess.Popen(
            [sys.executable, "-c", _ASK_FOR_HEALTH, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begin = time.perf_counter()
        with ThreadPoolExecutor(concurrency) as pool:
            statuses = collections.Counter(pool.map(deblur, range(requests)))
        seconds = time.perf_counter() - begin
        health = [float(line) for line in asking.communicate()[0].split()]
        client.close()
    answered = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    print(f"load, {requests} requests at {concurrency}: {answered}, none lost, in {seconds:.0f} s")
    _print_health(health)
    _print_memory(memory)


def _print_health(health: list[float]) -> None:
    parts = statistics.quantiles(health, n=100)
    print(
        f"health meanwhile, {len(health)} times: median {1000 * parts[49]:.1f} ms, p99 "
        f"{1000 * parts[98]:.1f} ms, longest {1000 * max(health):.1f} ms"
    )


def _print_memory(memory: list[int]) -> None:
    """Print how memory went: means of ten answers around the 50th and at the end."""
    tenth = max(1, len(memory) // 20)
    early = statistics.mean(memory[len(memory) // 4 - tenth : len(memory) // 4 + tenth])
    late = statistics.mean(memory[-2 * tenth :])
    print(
        f"memory of both processes: {early / 1e6:.0f} MB after a quarter, {late / 1e6:.0f} MB at "
        f"the end: {100 * (late / early - 1):+.1f} %, at most {max(memory) / 1e6:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--megapixels", type=float, default=2.0, help="for the overhead")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--load-megapixels", type=float, default=0.5)
    chosen = parser.parse_args()
    overhead(photograph(chosen.megapixels), chosen.repeats)
    load(photograph(chosen.load_megapixels), chosen.requests, chosen.concurrency)


if __name__ == "__main__":
    main()
