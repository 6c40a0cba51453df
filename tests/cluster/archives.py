"""Archives to deblur, a cluster to do it, and processes that are killed while they do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

PATIENCE_SECONDS = 400
BAD = "b/broken.jpg"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty photographs of several kinds in folders, and one that is broken."""
    folder = tmp_path_factory.mktemp("archive")
    for name in ("a", "b/deep"):
        (folder / name).mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(37):
        height, width = random.integers(120, 420, 2)
        coarse = random.integers(0, 255, (height // 16 + 2, width // 16 + 2, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        exif = Image.Exif()
        exif[0x010F] = f"Maker {number}"
        place = folder / ("a", "b/deep", ".")[number % 3] / f"IMG_{number:03d}.jpg"
        picture.save(place, quality=92, exif=exif)
    picture.convert("LA").save(folder / "a/grey.png")
    picture.save(folder / "a/IMG_000.tif")
    picture.save(folder / "b/photo.heic.webp")
    (folder / BAD).write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (folder / "notes.txt").write_text("no photograph")
    (folder / ".hidden.jpg").write_bytes((folder / "a/IMG_000.jpg").read_bytes())
    return folder


@pytest.fixture(scope="module")
def ray_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`$IFAN_HOME` of the workers, set before their cluster starts."""
    # Ray's workers give way to all else; beside other tests they would hardly ever run.
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("ray-home")
        patch.setenv("IFAN_HOME", str(home))
        patch.setenv("RAY_worker_niceness", "0")
        yield home


@pytest.fixture(scope="module")
def cluster(ray_home: Path) -> Iterator[Any]:
    """A Ray cluster: a head that computes nothing, and two nodes of one processor."""
    from ray.cluster_utils import Cluster

    import ifan.cluster  # noqa: F401 - sets Ray up as the command line does

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": 10**8, "include_dashboard": False},
    )
    for _ in range(2):
        add_node(cluster)
    yield cluster
    cluster.shutdown()


def add_node(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=10**8)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def start(ray_home: Path) -> Iterator[Start]:
    """Starts `ifan batch` in a process of its own, which does not outlive the test."""
    processes = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ifan", "batch", *map(str, arguments)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the status and all that was said, once the process has ended."""
    said, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, said + errors


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, while a process goes on."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def results(target: Path) -> dict[str, bytes]:
    """Return the result pictures of a folder by their names."""
    found = (path for path in target.rglob("*") if path.is_file())
    names = {path.relative_to(target).as_posix(): path for path in found}
    return {
        name: path.read_bytes()
        for name, path in names.items()
        if "/." not in f"/{name}" and name not in ("manifest.parquet", "failures.jsonl")
    }


def ray_workers() -> list[psutil.Process]:
    """Return the processes that deblur now."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "ray::MapWorker" in " ".join(process.info["cmdline"] or ())
    ]
