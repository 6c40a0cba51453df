"""One setup, measured photograph by photograph, each in a process of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from ifan import __version__, tiling
from ifan.benchmarking.cost import multiplications
from ifan.benchmarking.measuring import Measured, Setup, measure_photograph, measure_product
from ifan.benchmarking.photographs import size_of, write_synthetic
from ifan.benchmarking.processes import apart, go_on
from ifan.deblurrer import Deblurrer
from ifan.engines.without_telemetry import openvino
from ifan.errors import EngineError
from ifan.working_size import parse_working_size, sizes_for_blur

_COLD_START_MEGAPIXELS = 1.0


class Row(NamedTuple):
    """What was measured of one photograph.

    Attributes:
        megapixels: as asked for.
        height: of the photograph in pixels.
        width: of the photograph in pixels.
        network_seconds: of the network, in the quickest pass.
        megapixels_per_second: of the photograph, through the network.
        multiplications: multiply-accumulate operations that the network needs, what tiles compute
            twice not included.
        of_peak: those in a second, as a share of the machine's matrix product; None on a GPU.
        file_seconds: from the file to the file, in the quickest pass.
        peak_bytes: the most memory that the process had at a time, the program included.
    """

    megapixels: float
    height: int
    width: int
    network_seconds: float
    megapixels_per_second: float
    multiplications: int
    of_peak: float | None
    file_seconds: float
    peak_bytes: int


class Benchmark:
    """Measures one setup.

    Args:
        setup: what is measured.
        deblurrer: made of the setup.
        repeats: passes of each photograph; the quickest counts.
        folder: where photographs and results go.
        require_going_on: asked again and again; what it raises ends a measurement.
    """

    def __init__(
        self,
        setup: Setup,
        deblurrer: Deblurrer,
        repeats: int,
        folder: Path,
        require_going_on: Callable[[], None] = go_on,
    ) -> None:
        self._setup = setup
        self._deblurrer = deblurrer
        self._repeats = repeats
        self._apart = partial(apart, require_going_on=require_going_on)
        self._source = folder / "photograph.jpg"
        self._target = folder / "result.jpg"
        self._one_megapixel: Measured | None = None

    @cached_property
    def product(self) -> float | None:
        """Multiply-accumulate operations a second of the CPU's matrix product; None on a GPU."""
        choice = self._deblurrer.choice
        if choice.device != "cpu":
            return None
        return self._apart("matrix product", measure_product, choice.precision)

    def photograph(self, megapixels: float) -> Row:
        """Measure one photograph.

        Raises:
            IfanError: it cannot be deblurred, or its file not be written.
        """
        height, width = size_of(megapixels)
        measured = self._measured(megapixels)
        needed = self._multiplications(height, width)
        seconds = measured.network_seconds
        return Row(
            megapixels,
            height,
            width,
            seconds,
            height * width / 1e6 / seconds,
            needed,
            needed / seconds / self.product if self.product else None,
            measured.file_seconds,
            measured.peak_bytes,
        )

    def cold_start(self) -> float:
        """Return the seconds that `ifan deblur` of one megapixel takes besides the network.

        That is from the start of its process to its end, less the network's quickest pass; the
        network was compiled before, as it is after the first photograph of a size.

        Raises:
            IfanError: it cannot be deblurred.
        """
        known = self._one_megapixel or self._measured(_COLD_START_MEGAPIXELS)
        write_synthetic(self._source, *size_of(_COLD_START_MEGAPIXELS))
        return min(self._run_command() for _ in range(self._repeats)) - known.network_seconds

    def described(self) -> dict[str, Any]:
        """Return what was measured with what, in words and numbers for JSON."""
        choice = self._deblurrer.choice
        processor = openvino.Core().get_property("CPU", "FULL_DEVICE_NAME")
        return {
            "ifan": __version__,
            "model": self._deblurrer.model.name,
            "engine": choice.engine,
            "device": choice.device,
            "precision": choice.precision,
            "working_size": self._setup.working_size,
            "memory_gigabytes": self._setup.memory,
            "repeats": self._repeats,
            "system": platform.platform(),
            "processor": processor,
            "logical_cores": os.cpu_count(),
        }

    def _measured(self, megapixels: float) -> Measured:
        write_synthetic(self._source, *size_of(megapixels))
        what = f"{megapixels:g} megapixels"
        try:
            measured = self._apart(
                what, measure_photograph, self._setup, self._source, self._target, self._repeats
            )
        except EngineError as error:  # the photograph's name says nothing to anybody
            raise EngineError(what, error.reason, error.remedy) from error
        if megapixels == _COLD_START_MEGAPIXELS:
            self._one_megapixel = measured
        return measured

    def _multiplications(self, height: int, width: int) -> int:
        """Return what the network needs for a photograph at the size that it sees."""
        working_size = parse_working_size(self._setup.working_size)
        if working_size is not None:
            height, width = tiling.fitted_size(height, width, working_size)
        sizes = [(height, width)]
        if self._setup.working_size == "blur":
            sizes = sizes_for_blur(height, width)
        return sum(self._multiplications_at(*size) for size in sizes)

    def _multiplications_at(self, height: int, width: int) -> int:
        (_, below), (_, beside) = tiling.margins(height, width)
        return multiplications(self._deblurrer.model.graph(), height + below, width + beside)

    def _run_command(self) -> float:
        """Return the seconds that the command takes."""
        setup = self._setup
        command = [sys.executable, "-m", "ifan", "deblur", str(self._source), "--overwrite"]
        command += ["-o", str(self._target), "--engine", setup.engine]
        command += ["--precision", setup.precision, "--working-size", setup.working_size]
        command += ["--model", setup.model] if setup.model is not None else []
        command += ["--memory", str(setup.memory)] if setup.memory is not None else []
        if self._deblurrer.dual_pixel:
            command += ["--left", str(self._source), "--right", str(self._source)]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            reason = f"failed: {done.stderr.strip() or done.returncode}"
            raise EngineError("ifan deblur", reason, "run it on a photograph of your own")
        return seconds
