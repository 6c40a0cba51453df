"""The files for containers, as far as they can be tried without any."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from servers import ROOT, encoded, opened, picture

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def steps():
    """The instructions of the Dockerfile: name, and what follows it."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.strip().split(" ", 1)) for line in lines]


def test_what_the_image_copies_is_enough_to_install_from(tmp_path):
    for name, rest in steps():
        if name == "COPY" and "--from" not in rest:
            *sources, target = rest.split()
            for source in sources:
                assert is_sent(source), f"{source} is kept out of the build"
                copy(ROOT / source, tmp_path / target.lstrip("/"))
    (install,) = [rest for name, rest in steps() if "pip install" in rest]
    assert "-c /source/constraints.txt '/source[serve,raw]'" in install
    assert (tmp_path / "source" / "constraints.txt").is_file()
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path]
    checked([sys.executable, "-m", "pip", "wheel", *options, tmp_path / "source"])
    (wheel,) = tmp_path.glob("ifan-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in (ROOT / "src/ifan/serving/page").rglob("*") if path.is_file()]
    assert {str(path.relative_to(ROOT / "src")) for path in files} <= names


def is_sent(path):
    """Whether .dockerignore, which leaves out all but what it names, lets a path into a build."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    return any(f"!{name}" in lines for name in (path, *map(str, Path(path).parents)))


def copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def checked(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_image_runs_without_rights_and_the_server_gets_the_signals():
    instructions = dict(steps())
    assert instructions["USER"] == "ifan"
    assert instructions["CMD"].startswith("["), "a shell would keep SIGTERM for itself"
    names = [name for name, _ in steps()]
    assert names.count("FROM") == 2
    assert all("slim" in rest for name, rest in steps() if name == "FROM")
    assert names.index("USER") < names.index("CMD")


def test_the_user_of_the_image_can_write_where_graphs_are_kept():
    names = [name for name, _ in steps()]
    user = dict(steps())["USER"]
    (home,) = [
        word.removeprefix("IFAN_HOME=")
        for name, rest in steps()
        for word in rest.split()
        if name == "ENV" and word.startswith("IFAN_HOME=")
    ]
    (made,) = [number for number, (_, rest) in enumerate(steps()) if "useradd" in rest]
    assert f"install -d -o {user} {home}" in steps()[made][1]
    assert names[made] == "RUN"
    assert made < names.index("USER")
    text = (ROOT / "docs" / "serving.md").read_text()
    assert f"-v ifan:{home}" in text


@pytest.fixture
def predictor():
    """The predictor that cog.yaml names."""
    path, name = yaml.safe_load((ROOT / "cog.yaml").read_text())["predict"].split(":")
    specification = importlib.util.spec_from_file_location("predictor", ROOT / path)
    module = importlib.util.module_from_spec(specification)
    before = list(sys.path)
    specification.loader.exec_module(module)
    sys.path[:] = before
    return getattr(module, name)()


def test_the_predictor_of_cog_makes_a_photograph_sharp(predictor, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encoded(picture(), "JPEG"))
    predictor.setup()
    sharp = Path(predictor.predict(image=photo, strength=0.5))
    assert sharp.name == "photo.deblurred.jpg"
    assert opened(sharp.read_bytes()).size == (64, 48)
    assert sharp.read_bytes() != photo.read_bytes()


def test_cog_is_given_the_predictor():
    settings = yaml.safe_load((ROOT / "cog.yaml").read_text())
    predictor, _ = settings["predict"].split(":")
    assert (ROOT / predictor).is_file()
    for path in (predictor, settings["build"]["python_requirements"], "cog.yaml", "src/ifan"):
        assert is_sent(path), f"{path} is kept out of the build"


def test_cog_installs_what_the_package_requires():
    build = yaml.safe_load((ROOT / "cog.yaml").read_text())["build"]
    lines = (ROOT / build["python_requirements"]).read_text().splitlines()
    required = {line for line in lines if line and not line.startswith("#")}
    assert required == {*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["raw"]}
