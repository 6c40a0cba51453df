"""What users get from `pip install ifan`: the wheel, alone in an environment of its own."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from processes import Process

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "src" / "ifan" / "models" / "bundled"
LIMIT_BYTES = 450_000_000


def checked(*command, **options):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The folder of an environment with the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("installation")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    checked(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("ifan-*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    checked(*pip, "--python", python, "install", wheel, "-c", ROOT / "constraints.txt")
    yield folder / "env"
    shutil.rmtree(folder)


@pytest.fixture
def run(environment, tmp_path):
    """Runs a program of the environment, which sees nothing of the source."""
    variables = {"PATH": os.environ["PATH"], "IFAN_HOME": str(tmp_path / "home")}

    def start(program, *arguments, status=0):
        done = subprocess.run(
            [str(environment / "bin" / program), *map(str, arguments)],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        return done

    return start


def packages(environment):
    (folder,) = environment.glob("lib/python*/site-packages")
    return folder


def test_it_is_light(environment):
    # The environment has no pip of its own: this is the program and what it requires.
    folder = packages(environment)
    installed = {path.name for path in folder.iterdir()}
    assert {"ifan", "openvino", "pyvips"} <= installed
    assert not installed & {
        "torch",
        "onnx",
        "onnxruntime",
        "numba",
        "ray",
        "scipy",
        "skimage",
        "PIL",
    }
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert sum(sizes) < LIMIT_BYTES


@pytest.mark.parametrize("model", ["ifan-s", "ifan-m"])
def test_a_bundled_model_is_inside_with_its_card(environment, model):
    models = packages(environment) / "ifan" / "models"
    assert (models / "catalogue.toml").is_file()
    assert (packages(environment) / "ifan" / "py.typed").is_file()
    for name in ("model.safetensors", "model.onnx", "README.md"):
        inside = (models / "bundled" / model / name).read_bytes()
        assert inside == (BUNDLED / model / name).read_bytes()


def test_it_deblurs_the_example(run, tmp_path):
    shutil.copy(ROOT / "examples" / "out-of-focus.jpg", tmp_path)
    run("ifan", "deblur", "out-of-focus.jpg")
    run("ifan", "defocus-map", "out-of-focus.jpg")
    with (
        Image.open(tmp_path / "out-of-focus.jpg") as before,
        Image.open(tmp_path / "out-of-focus.deblurred.jpg") as after,
        Image.open(tmp_path / "out-of-focus.defocus.png") as values,
    ):
        assert after.size == before.size == values.size
        old, new = (np.asarray(picture).astype(float) for picture in (before, after))
    assert np.abs(new - old).mean() > 1
    # Steeper edges on the table behind, which is out of focus.
    table = np.s_[150:650, 300:950]
    assert np.mean(np.diff(new[table], axis=0) ** 2) > 1.5 * np.mean(
        np.diff(old[table], axis=0) ** 2
    )


def test_the_python_interface(run):
    program = (
        "import json, numpy, ifan\n"
        "sharp = ifan.Deblurrer()(numpy.zeros((5, 7, 3), 'uint8'))\n"
        "print(json.dumps([ifan.__file__, sharp.shape, str(sharp.dtype)]))\n"
    )
    file, shape, dtype = json.loads(run("python", "-c", program).stdout)
    assert "site-packages" in file
    assert (shape, dtype) == ([5, 7, 3], "uint8")


def test_it_knows_its_models(run):
    shown = run("ifan", "models", "show", "ifan-s").stdout
    weights = (BUNDLED / "ifan-s" / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() in shown
    assert "ifan-s" in run("ifan", "models", "list").stdout
    said = run("ifan", "doctor").stdout
    assert "pip install 'ifan[torch]'" in said
    assert "used by default: ifan-s with openvino" in said


def test_serving_needs_an_extra_and_no_pytorch(environment, run):
    said = run("ifan", "serve", "--port", "0", status=1).stderr
    assert (
        said
        == "ifan serve: needs an extra; install what is missing with: pip install 'ifan[serve]'\n"
    )
    (wheel,) = environment.parent.glob("ifan-*.whl")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    python = environment / "bin" / "python"
    options = ("-c", ROOT / "constraints.txt", "--quiet")
    checked(*pip, "--python", python, "install", f"{wheel}[serve]", *options)
    variables = {"PATH": os.environ["PATH"], "IFAN_HOME": str(environment / "home")}
    command = [environment / "bin" / "ifan", "serve", "--port", "0"]
    with Process(command, env=variables, stdout=subprocess.PIPE, text=True) as server:
        address = server.stdout.readline().split()[4]
        with (ROOT / "examples" / "out-of-focus.jpg").open("rb") as photo:
            answer = requests.post(f"{address}v1/deblur?working_size=200", data=photo, timeout=60)
        page = requests.get(f"{address}page/page.js", timeout=60)
        server.terminate()
        assert server.wait(60) == 0
    with Image.open(io.BytesIO(answer.content)) as sharp:
        assert sharp.size == (1068, 1600)
    assert page.status_code == 200
    assert not {"torch", "gradio"} & {path.name for path in packages(environment).iterdir()}


def test_what_needs_pytorch_says_so_and_how_to_get_it(run, tmp_path):
    picture = tmp_path / "a.png"
    Image.new("RGB", (16, 16)).save(picture)
    (tmp_path / "some.pytorch").write_bytes(b"PK\x03\x04 as torch.save begins")
    weights = BUNDLED / "ifan-s" / "model.safetensors"
    for arguments in (
        ["deblur", picture, "--model", "some.pytorch"],
        ["deblur", picture, "--engine", "torch"],
        # Weights alone are no graph, which the engine that is here needs.
        ["deblur", picture, "--model", weights],
        ["models", "import", "some.pytorch"],
        ["models", "export", "ifan-s", "-o", "a.safetensors"],
    ):
        done = run("ifan", *arguments, status=1)
        assert len(done.stderr.splitlines()) == 1
        assert "PyTorch" in done.stderr or "--engine torch: is not installed" in done.stderr
        assert "pip install 'ifan[torch]'" in done.stderr
    done = run("ifan", "evaluate", "--data", tmp_path, status=1)
    assert (
        done.stderr == "skimage: is not installed; install it with: pip install 'ifan[evaluate]'\n"
    )
    run("ifan", "models", "export", "ifan-s", "-o", "a.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (BUNDLED / "ifan-s" / "model.onnx").read_bytes()
    done = run("ifan", "deblur", picture, "--engine", "onnxruntime", status=1)
    assert done.stderr == "--engine onnxruntime: is not installed; pip install 'ifan[onnx]'\n"
    assert not (tmp_path / "a.deblurred.png").exists()
