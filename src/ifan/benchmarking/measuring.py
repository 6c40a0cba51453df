"""What is measured in one process: passes from file to file, its memory, the machine's own peak."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ifan.deblurrer import Deblurrer
from ifan.engines.selection import Precision

_PRODUCT_SIDE = 4096
_PRODUCTS = 5


class Setup(NamedTuple):
    """What is measured; as the arguments of `Deblurrer`."""

    model: str | None = None
    engine: str = "auto"
    precision: str = "auto"
    working_size: str = "full"
    memory: float | None = None

    def deblurrer(self) -> Deblurrer:
        """Return a deblurrer that is not loaded yet."""
        return Deblurrer(
            self.model,
            engine=self.engine,
            precision=self.precision,
            working_size=self.working_size,
            memory=self.memory,
        )


class Measured(NamedTuple):
    """What deblurring a photograph takes.

    Attributes:
        network_seconds: of the network alone, in the quickest pass.
        file_seconds: from the file to the file, in the quickest pass.
        peak_bytes: the most memory that the process had at a time, the program included.
    """

    network_seconds: float
    file_seconds: float
    peak_bytes: int


def measure_photograph(setup: Setup, source: Path, target: Path, repeats: int) -> Measured:
    """Deblur a photograph several times. The first pass also compiles the network.

    Args:
        setup: how.
        source: the photograph; it is its own side views for a dual-pixel model.
        target: where the result goes.
        repeats: how many passes.

    Raises:
        IfanError: as `Deblurrer.deblur_file` does.
    """
    deblurrer = setup.deblurrer()
    passes = [_pass(deblurrer, source, target) for _ in range(repeats)]
    network, file = (min(seconds) for seconds in zip(*passes, strict=True))
    return Measured(network, file, peak_bytes())


def _pass(deblurrer: Deblurrer, source: Path, target: Path) -> tuple[float, float]:
    """Return the seconds of the network, and those from file to file."""
    from ifan.images import read_photograph, write_photograph

    started = time.perf_counter()
    photograph = read_photograph(source)
    side = photograph if deblurrer.dual_pixel else None
    renditions = deblurrer.renditions(photograph, left=side, right=side)
    before = time.perf_counter()
    deblurred = deblurrer.infer(renditions)
    after = time.perf_counter()
    write_photograph(renditions[0].corrected(deblurred, 1.0), target, overwrite=True)
    return after - before, time.perf_counter() - started


def measure_product(precision: Precision) -> float:
    """Multiply matrices with OpenVINO on the CPU, as fast as it can.

    Args:
        precision: number format of the arithmetic.

    Returns:
        Multiply-accumulate operations a second, in the quickest of several products.
    """
    from ifan.engines.openvino import HINTS
    from ifan.engines.without_telemetry import openvino

    side = _PRODUCT_SIDE
    random = np.random.default_rng(0)
    left, right = random.random((2, side, side), np.float32)
    parameter = openvino.opset13.parameter([side, side], openvino.Type.f32)
    product = openvino.opset13.matmul(parameter, right, transpose_a=False, transpose_b=False)
    hints = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
    model = openvino.Model([product], [parameter])
    request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()
    seconds = []
    for _ in range(_PRODUCTS):
        started = time.perf_counter()
        request.infer([left], share_inputs=True, share_outputs=True)
        seconds.append(time.perf_counter() - started)
    return side**3 / min(seconds)


def peak_bytes() -> int:
    """Return the most memory that this process had at a time so far, in bytes."""
    if sys.platform == "linux":
        # Not what getrusage says: that counts what the process had that started this one.
        said = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        assert said is not None  # noqa: S101 - Linux has it since 2.6.17
        return 1024 * int(said[1])
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS
