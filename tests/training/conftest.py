from __future__ import annotations

import math
import os
import subprocess
import sys
from contextlib import suppress

import numpy as np
import psutil
import pytest
import torch
from PIL import Image, ImageFilter

from ifan.training.checkpoints import RunFolder
from ifan.training.loop import Training
from ifan.training.observing import Observer
from ifan.training.recipe import open_recipe


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """Coloured squares and the same, blurred: pictures to train with that need no views."""
    root = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 2)):
        for kind in ("source", "target"):
            (root / split / kind).mkdir(parents=True)
        for number in range(count):
            cells = random.integers(0, 256, (6, 8, 3), np.uint8)
            sharp = Image.fromarray(cells).resize((64, 48), Image.Resampling.NEAREST)
            sharp.save(root / split / "target" / f"{number:03}.png")
            blurred = sharp.filter(ImageFilter.BoxBlur(2))
            blurred.save(root / split / "source" / f"{number:03}.png")
    return root


@pytest.fixture(scope="session")
def small(pairs):
    """Changes to the recipe `pairs-only` that make it a training of a second or two."""
    changes = {
        "data.root": pairs,
        "validation.root": pairs,
        "network.width": 4,
        "network.iterations": 2,
        "crop": 16,
        "batch": 4,
        "updates": 12,
        "save_every": 3,
        "validation.every": 6,
        "validation.first": 2,
        "validation.last": 0,
    }
    return [f"{key}={value}" for key, value in changes.items()]


@pytest.fixture
def train(small, tmp_path):
    """Trains in this process, in one thread, as `start` does elsewhere; stopped after an update."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run(*changes, name="pairs-only", log_root="logs", resume=False, until=math.inf):
        recipe = open_recipe(name, [*small, *changes])
        folder = RunFolder(tmp_path / log_root, recipe.mode)
        observer = Observer(folder.log, recipe.updates, lambda _: None, samples=folder.samples)
        training = Training(
            recipe,
            folder,
            observer,
            workers=0,
            resume=resume,
            stopped=lambda: training.update >= until,
        )
        training.run()

    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def start(small, tmp_path):
    """Starts the command line in a process of its own, or in several by torchrun's options."""
    processes = []

    def run(*changes, options=(), torchrun=()):
        command = ["-m", "ifan"]
        if torchrun:
            command = ["-m", "torch.distributed.run", *torchrun, *command]
        process = subprocess.Popen(
            [
                *(sys.executable, *command, "train", "pairs-only", "--workers=0", *options),
                *(f"--set={change}" for change in (*small, *changes)),
            ],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            started = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for one in started:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        # Not read to its end: what a killed torchrun had started may still have it open.
        process.stdout.close()
        process.wait()
