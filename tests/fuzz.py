"""Damages valid files, and sees to it that each is read, or refused in one line, and nothing else.

    python tests/fuzz.py --count 10000 --seed 1

Each file is made from its number, so one run is as the other. It is given to worker processes,
whose crashes, hangs and hunger for memory are noticed and laid to the very file.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import logging
import os
import resource
import select
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from damage import damaged

WORKERS = 2
SLOWEST_SECONDS = 5.0
LARGEST_BYTES = 1 << 30
LONGEST_LINE = 400
# So many are enough to begin with; each costs two new processes.
MOST_FINDINGS = 200
# What a careful server would allow. Without a limit a tiny file may rightly ask for gigabytes.
MAX_PIXELS = 10_000_000
# Of a worker: so that a mistake ends in `MemoryError`, and not in the end of other programs.
_ADDRESS_SPACE = 16 << 30
_START_SECONDS = 120.0
_NAME = "fuzzed"
# A damaged file. What is said of it must not depend on the files before it.
_CANARY = b"\xff\xd8\xff\xe0"


# In a worker.


def examine(data: bytes) -> tuple[bool, str]:
    """Read a file and, if it can be read, write it anew.

    Returns:
        Whether it was read, and its shape or the refusal.

    Raises:
        Exception: whatever nobody has promised.
    """
    from ifan.errors import IfanError

    try:
        photograph = _decoded(data)
    except IfanError as error:
        return False, _one_line(error)
    _require_sane(photograph)
    for name in _targets(photograph, data):
        _encode(photograph, name)
    return True, f"{photograph.pixels.shape} {photograph.pixels.dtype}"


def _decoded(data: bytes) -> Any:
    from ifan.errors import PictureError
    from ifan.images.reading import decode_photograph

    try:
        return decode_photograph(data, _NAME, max_pixels=MAX_PIXELS)
    except PictureError as error:
        if "pages" not in error.reason:
            raise
        return decode_photograph(data, _NAME, page=1, max_pixels=MAX_PIXELS)


def _targets(photograph: Any, data: bytes) -> set[str]:
    """Return the file's own format, or what stands for it, and another one by chance."""
    from ifan.images.formats import FORMATS

    own = FORMATS[photograph.format]
    return {own.name if own.saver else own.result, ("JPEG", "PNG", "TIFF")[zlib.crc32(data) % 3]}


def _encode(photograph: Any, name: str) -> None:
    from ifan.errors import IfanError
    from ifan.images.formats import FORMATS
    from ifan.images.writing import encode_photograph

    try:
        encode_photograph(photograph, FORMATS[name], _NAME)
    except IfanError as error:
        _one_line(error)


def _one_line(error: Exception) -> str:
    line = str(error)
    if not line.isprintable() or not 0 < len(line) < LONGEST_LINE:
        raise ValueError(f"no short single line: {line!r}")
    return line


def _require_sane(photograph: Any) -> None:
    pixels, alpha = photograph.pixels, photograph.alpha
    if pixels.dtype.name not in ("uint8", "uint16", "float32"):
        raise ValueError(f"pixels of {pixels.dtype}")
    if pixels.shape[2:] not in ((), (3,)) or not 0 < pixels[..., 0].size <= MAX_PIXELS:
        raise ValueError(f"pixels of shape {pixels.shape}")
    if alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
        raise ValueError(f"alpha of {alpha.dtype} {alpha.shape} for {pixels.dtype} {pixels.shape}")


def serve() -> None:
    """Examine the files that come on standard input, and report on each in a line of JSON."""
    reports = os.fdopen(os.dup(1), "w")
    # What decoders say goes where nobody takes it for a report.
    os.dup2(2, 1)
    faulthandler.enable()
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", DeprecationWarning)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from ifan.images import reading, writing  # noqa: F401

    expected = examine(_CANARY)
    print(json.dumps({"ready": True}), file=reports, flush=True)
    while size := sys.stdin.buffer.read(8):
        data = sys.stdin.buffer.read(struct.unpack("<Q", size)[0])
        print(json.dumps(_verdict_of(data, expected)), file=reports, flush=True)


def _verdict_of(data: bytes, expected: tuple[bool, str]) -> dict[str, Any]:
    """Examine a file, and then the canary, of which the same is `expected` as ever."""
    start = time.perf_counter()
    try:
        was_read, text = examine(data)
        outcome = "read" if was_read else "refused"
        if examine(_CANARY) != expected:
            raise ValueError("another file is spoken of in its words")
    except BaseException as error:  # whatever it is, it is a finding
        outcome = "finding"
        calls = traceback.extract_tb(error.__traceback__)[-3:]
        places = " > ".join(f"{Path(call.filename).name}:{call.lineno}" for call in calls)
        text = f"{type(error).__name__}: {str(error)[:300]!r} at {places}"
    memory = psutil.Process().memory_info().rss
    peak = _peak_memory()
    seconds = time.perf_counter() - start
    return {"outcome": outcome, "text": text, "seconds": seconds, "memory": memory, "peak": peak}


def _peak_memory() -> int:
    """Return the most memory that this process has had, in bytes."""
    if sys.platform == "linux":
        # What `getrusage` says begins with what the process had that started this one.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    # In kilobytes, but in bytes on a Mac.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# The parent.


@dataclass
class Verdict:
    """What became of a file.

    Attributes:
        outcome: "read", "refused" or "finding".
        text: the shape, the refusal, or what was found.
        seconds: how long it took.
        peak: the most memory the worker has had so far, in bytes.
        memory: what it had afterwards.
    """

    outcome: str
    text: str
    seconds: float
    peak: int = 0
    memory: int = 0


class Worker:
    """A process that examines one file after another, and is started anew when it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115, closed in `close`
        self._buffer = b""

    def examine(self, data: bytes) -> Verdict:
        """Return what becomes of a file; what was found must come again in a fresh process."""
        verdict = self._examine_once(data)
        if verdict.outcome != "finding":
            return verdict
        self._end()
        again = self._examine_once(data)
        if again.outcome == "finding":
            self._end()
            return again
        if verdict.text.startswith("hangs"):
            # The machine was busy with something else.
            return again
        verdict.text += ", but only after other files"
        return verdict

    def close(self) -> None:
        """End the process."""
        self._end()
        self._noise.close()

    def lines_of_noise(self) -> int:
        """Return how many lines decoders have written to standard error."""
        self._noise.seek(0)
        return sum(1 for _ in self._noise)

    def _examine_once(self, data: bytes) -> Verdict:
        process = self._process or self._start()
        heard_before = os.fstat(self._noise.fileno()).st_size
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(struct.pack("<Q", len(data)) + data)
            process.stdin.flush()
        start = time.perf_counter()
        report = self._report(SLOWEST_SECONDS)
        seconds = time.perf_counter() - start
        if report is not None:
            return _within_limits(Verdict(**report))
        self._end()
        if process.returncode == -9 and seconds >= SLOWEST_SECONDS:
            return Verdict("finding", f"hangs for more than {SLOWEST_SECONDS:g} s", seconds)
        said = os.pread(self._noise.fileno(), 1500, heard_before).decode(errors="replace")
        return Verdict("finding", f"ends with {process.returncode}: {said!r}", seconds)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, __file__, "--serve"]
        # Where pytest or the caller has found the packages.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            env=environment,
        )
        self._buffer = b""
        if self._report(_START_SECONDS) is None:
            raise RuntimeError(f"no worker: {os.pread(self._noise.fileno(), 2000, 0)!r}")
        return self._process

    def _report(self, seconds: float) -> dict[str, Any] | None:
        """Wait for a line; None if the process dies or is too slow."""
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                return None
            more = os.read(descriptor, 1 << 16)
            if not more:
                return None
            self._buffer += more
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def _end(self) -> None:
        """End the process; one that is dying already keeps its own exit status."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()
        process.communicate()


def _within_limits(verdict: Verdict) -> Verdict:
    if verdict.outcome == "finding" or verdict.peak <= LARGEST_BYTES:
        return verdict
    text = f"takes more than {LARGEST_BYTES >> 20} MiB ({verdict.text})"
    return replace(verdict, outcome="finding", text=text)


@dataclass
class Finding:
    """A file that was neither read nor refused as it should be."""

    number: int
    made_from: str
    text: str
    path: Path


@dataclass
class Summary:
    """What became of all files."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "none")
    peak: int = 0
    growth: int = 0
    noise: int = 0


class Run:
    """Many damaged files."""

    def __init__(self, seed: int, keep: Path) -> None:
        # Not above: what makes the files is not to be loaded in the workers.
        from corpus import corpus

        self.files = corpus()
        self.summary = Summary()
        self._seed = seed
        self._keep = keep
        self._lock = threading.Lock()

    def examine(self, count: int) -> Summary:
        """Examine all files as they are, then `count` damaged ones."""
        numbers = iter(range(-len(self.files), count))
        with ThreadPoolExecutor(WORKERS) as pool:
            for future in [pool.submit(self._work, numbers) for _ in range(WORKERS)]:
                future.result()
        self.summary.findings.sort(key=lambda finding: finding.number)
        return self.summary

    def _work(self, numbers: Iterator[int]) -> None:
        worker, first = Worker(), 0
        with contextlib.closing(worker):
            while (number := self._next(numbers)) is not None:
                made_from, data = self._make(number)
                verdict = worker.examine(data)
                with self._lock:
                    self._note(number, made_from, data, verdict)
                    # All that is loaded once is loaded when the whole corpus has been read.
                    first = verdict.memory if number < 0 else first
                    self.summary.growth = max(self.summary.growth, verdict.memory - first)
            with self._lock:
                self.summary.noise += worker.lines_of_noise()

    def _next(self, numbers: Iterator[int]) -> int | None:
        with self._lock:
            enough = len(self.summary.findings) >= MOST_FINDINGS
            return None if enough else next(numbers, None)

    def _make(self, number: int) -> tuple[str, bytes]:
        if number >= 0:
            return damaged(self.files, self._seed, number)
        return list(self.files.items())[number]

    def _note(self, number: int, made_from: str, data: bytes, verdict: Verdict) -> None:
        summary = self.summary
        summary.outcomes[made_from.split("/")[0], verdict.outcome] += 1
        summary.peak = max(summary.peak, verdict.peak)
        summary.slowest = max(summary.slowest, (verdict.seconds, f"{number} ({made_from})"))
        if verdict.outcome == "finding":
            self._keep.mkdir(parents=True, exist_ok=True)
            path = self._keep / f"seed-{self._seed}-number-{number}.bin"
            path.write_bytes(data)
            summary.findings.append(Finding(number, made_from, verdict.text, path))


def fuzz(count: int, seed: int, keep: Path) -> Summary:
    """Examine `count` damaged files; those that are findings are written to `keep`."""
    return Run(seed, keep).examine(count)


def describe(summary: Summary, count: int, seed: int) -> Iterator[str]:
    """Say what became of all files, line by line."""
    seconds, slowest = summary.slowest
    yield f"seed {seed}, {count} damaged files, and the whole ones"
    for name in sorted({name for name, _ in summary.outcomes}):
        read, refused = (summary.outcomes[name, outcome] for outcome in ("read", "refused"))
        yield f"  {name:10} {read:6} read {refused:6} refused"
    yield f"slowest: {seconds:.2f} s, number {slowest}"
    yield f"a worker's memory: {summary.peak >> 20} MiB at most, grew {summary.growth >> 20} MiB"
    yield f"lines that decoders wrote to standard error: {summary.noise}"
    alike: dict[str, list[Finding]] = {}
    for finding in summary.findings:
        alike.setdefault(finding.text, []).append(finding)
    yield f"findings: {len(summary.findings)}, {len(alike)} of them different"
    for text, findings in alike.items():
        smallest = min(findings, key=lambda finding: finding.path.stat().st_size)
        yield f"  {len(findings)} x {text}"
        yield f"    number {smallest.number} ({smallest.made_from})"
        yield f"    python tests/fuzz.py --reproduce {smallest.path}"


def reproduce(path: Path) -> Verdict:
    """Examine one file."""
    with contextlib.closing(Worker()) as worker:
        return worker.examine(path.read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="how many damaged files")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other files")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where findings go")
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="examine one file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve()
        return 0
    if chosen.reproduce:
        verdict = reproduce(chosen.reproduce)
        sys.stdout.write(f"{verdict.outcome} in {verdict.seconds:.2f} s: {verdict.text}\n")
        return int(verdict.outcome == "finding")
    summary = fuzz(chosen.count, chosen.seed, chosen.keep)
    for line in describe(summary, chosen.count, chosen.seed):
        sys.stdout.write(f"{line}\n")
    return int(bool(summary.findings))


if __name__ == "__main__":
    sys.exit(main())
