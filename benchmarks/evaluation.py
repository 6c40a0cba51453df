"""What scoring a picture costs beside deblurring it.

    python benchmarks/evaluation.py

Times the four metrics of a pair of DPDD's size, 1680x1120, and one pass of the paper's network (N =
17, width 32) in float32 over such a picture, with OpenVINO; medians of several runs, turn by turn.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ifan import Deblurrer
from ifan.evaluation.lpips import Lpips
from ifan.evaluation.methods import ModelMethod
from ifan.evaluation.metrics import mae, psnr, ssim
from ifan.models import save_released_checkpoint
from ifan.networks import IFAN

HEIGHT, WIDTH, RUNS = 1120, 1680, 5


def main() -> None:
    torch.manual_seed(1)
    random = np.random.default_rng(1)
    target = random.random((HEIGHT, WIDTH, 3), np.float32)
    picture = np.clip(target + random.normal(0, 0.1, target.shape).astype(np.float32), 0, 1)
    lpips = Lpips()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IFAN_HOME"] = folder  # where the graph goes
        weights = Path(folder) / "ifan.pytorch"
        save_released_checkpoint(weights, IFAN(width=32, iterations=17))
        deblurrer = Deblurrer(weights, engine="openvino", precision="fp32", working_size="full")
        method = ModelMethod(deblurrer)
        steps: dict[str, Callable[[], object]] = {
            "network": lambda: method.make({"center": picture}, weights, None),
            "PSNR": lambda: psnr(picture, target),
            "SSIM": lambda: ssim(picture, target),
            "MAE": lambda: mae(picture, target),
            "LPIPS": lambda: lpips(target, [picture]),
        }
        steps["network"]()  # compiles
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(RUNS):
            for name, step in steps.items():
                started = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    network = medians["network"]
    for name, seconds in medians.items():
        print(f"{name:12} {seconds:7.2f} s {seconds / network:7.1%}")
    metrics = sum(medians.values()) - network
    print(f"{'four metrics':12} {metrics:7.2f} s {metrics / network:7.1%} of the network's time")


if __name__ == "__main__":
    main()
