from __future__ import annotations

import json
import os
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ifan.networks import IFAN, ReblurringNetwork

pytest_plugins = ["browser", "file_server"]

# How long an example takes says something of the machine only.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

GOLDEN = Path(__file__).parent / "golden"

# Of several processes that share the tests, each has its share of the cores. Processes that tests
# start inherit that; and as there are hundreds, they keep what Python has compiled.
_SHARE = (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _SHARE)))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models are kept: a new folder for each test, never the user's own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("IFAN_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def checkpoint_layout() -> dict[str, dict[str, list[int]]]:
    """For each released model, every key with its shape."""
    layout = json.loads((GOLDEN / "checkpoint_layout.json").read_text())
    return {name: model["tensors"] for name, model in layout.items()}


@pytest.fixture(scope="session")
def parameters_million() -> dict[str, float]:
    """For each released model, how many parameters its network has."""
    layout = json.loads((GOLDEN / "checkpoint_layout.json").read_text())
    return {name: model["parameters_million"] for name, model in layout.items()}


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Read a golden file by its name."""
    from safetensors.torch import load_file

    def read(name: str) -> Any:
        path = GOLDEN / name
        return json.loads(path.read_text()) if path.suffix == ".json" else load_file(path)

    return read


@pytest.fixture(scope="session")
def with_golden_weights() -> Callable[..., Any]:
    """Fill a network, or the reblurring network, with the weights that golden values are for."""
    import torch

    from ifan.models.released import load_released, released_name
    from ifan.networks import IFAN

    @cache
    def weight(key: str, shape: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(golden_weight(key, shape))

    def fill(network: IFAN | ReblurringNetwork) -> IFAN | ReblurringNetwork:
        prefix = "" if isinstance(network, IFAN) else "reblurNet."
        shapes = {released_name(n): tuple(t.shape) for n, t in network.state_dict().items()}
        load_released(network, {n: weight(prefix + n, shape) for n, shape in shapes.items()})
        return network

    return fill


def golden_weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weights rule of the golden values: random numbers that depend on the released key."""
    random = np.random.RandomState(zlib.crc32(key.encode()))
    values = random.standard_normal(shape)
    predicts_filters = key.startswith(("F.3.", "reblurNet.RBF.3."))
    if len(shape) == 4:
        fan_in = shape[0] * 4 if "_u." in key else np.prod(shape[1:])
        return values / np.sqrt(fan_in) * (0.15 if predicts_filters else 1)
    values *= 0.05
    if predicts_filters:
        values[: shape[0] * 6 // 7] += 1 / 3
    return values
