import shutil
import sys

import pytest
from servers import KEYS, ROOT, started, with_settings

BUNDLED = ROOT / "src" / "ifan" / "models" / "bundled" / "ifan-s"


@pytest.fixture(scope="session")
def server():
    """A server as `ifan serve` starts it, for all tests that leave it as it is."""
    with started([sys.executable, "-m", "ifan", "serve", "--port", "0", "--verbose"]) as server:
        yield server


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def strict(tmp_path_factory):
    """A server with keys and narrow limits, and a folder of its own for temporary files."""
    limits = {
        "places": 4,
        "max_upload_bytes": 1_500_000,
        "max_pixels": 500_000,
        "transfer_seconds": 3,
        "idle_seconds": 0.5,
        "picture_seconds": 6,
        "result_seconds": 1.5,
        "kept_results": 1,
    }
    copy = shutil.copytree(BUNDLED, tmp_path_factory.mktemp("models") / "copy")
    folder = tmp_path_factory.mktemp("temporary")
    with with_settings(folder, api_keys=KEYS, models=["ifan-s", str(copy)], **limits) as server:
        server.folder = folder
        yield server


@pytest.fixture
def guest(strict):
    """A client with a key."""
    with strict.client(headers={"X-API-Key": KEYS[0]}) as client:
        yield client
