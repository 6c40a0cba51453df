import hashlib
import re

import pytest

from ifan.models.catalogue import catalogue
from ifan.models.store import open_model

WEIGHTS = open_model().weights


@pytest.fixture
def home(folder, monkeypatch):
    """Where models are kept; also that of the processes that are started."""
    monkeypatch.setenv("IFAN_HOME", str(folder / "home"))
    return folder / "home"


def test_list_and_show_know_the_catalogue(ifan, home):
    rows = [line.split() for line in ifan("models", "list").stdout.splitlines()]
    assert [(name, here) for name, here, *_ in rows[1:]] == [
        (entry.name, "yes" if entry.origin == "bundled" else "no") for entry in catalogue()
    ]
    shown = ifan("models", "show", "ifan-s").stdout
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() in shown
    assert re.search(r"^  terms +Apache-2\.0$", shown, re.MULTILINE)
    assert re.search(r"^  trained on +8-bit pictures$", shown, re.MULTILINE)
    shown = ifan("models", "show", "IFAN").stdout
    assert "AGPL-3.0" in shown
    assert "PSNR 25.366 dB" in shown
    done = ifan("models", "show", "nothing", status=1)
    assert done.stderr.startswith("nothing: is neither a file nor a model that is known; see ")
    assert not home.exists()


def test_a_damaged_model_does_not_hide_the_others(ifan, home):
    contents = {
        "broken": b"version https://git-lfs.github.com/spec/v1\n",
        "IFAN": WEIGHTS.read_bytes()[:-1],  # is in the catalogue
        "whole": WEIGHTS.read_bytes(),
    }
    for name, content in contents.items():
        (home / "models" / name).mkdir(parents=True)
        (home / "models" / name / "model.safetensors").write_bytes(content)
    done = ifan("models", "list", status=1)
    rows = {name: columns for name, *columns in map(str.split, done.stdout.splitlines()[1:])}
    assert rows.keys() == {entry.name for entry in catalogue()} | {"broken", "whole"}
    assert rows["ifan-s"][:4] == rows["whole"][:4] == ["yes", "8", "16", "single"]
    assert rows["broken"][:4] == ["unusable", "-", "-", "-"]
    assert rows["IFAN"][:4] == ["unusable", "17", "32", "single"]
    faults = done.stderr.splitlines()
    assert len(faults) == 2
    for line, name in zip(faults, ("IFAN", "broken"), strict=True):
        weights = home / "models" / name / "model.safetensors"
        reason = "is damaged or no checkpoint at all; download or copy it again"
        assert line == f"{weights}: {reason}"


def test_what_is_exported_can_be_imported_and_used(ifan, save, folder, home):
    save("a.png")
    done = ifan("models", "export", "ifan-s", "-o", "copy.pytorch")
    assert done.stdout == "ifan-s -> copy.pytorch\n"
    done = ifan("models", "import", "copy.pytorch", "--name", "mine")
    assert done.stdout.endswith("use it with --model mine\n")
    assert (home / "models" / "mine" / "model.safetensors").is_file()
    assert "\nmine " in ifan("models", "list").stdout
    # The weights, and which reading of them is meant, have come through.
    options = ["--engine", "torch", "--precision", "fp32"]
    ifan("deblur", "a.png", "-o", "mine.png", "--model", "mine", *options)
    ifan("deblur", "a.png", "-o", "bundled.png", *options)
    assert (folder / "mine.png").read_bytes() == (folder / "bundled.png").read_bytes()


def test_what_cannot_be_imported_or_exported(ifan, folder, home):
    (folder / "text.pth").write_text("hello")
    (home / "models" / "mine").mkdir(parents=True)
    (home / "models" / "mine" / "model.safetensors").write_bytes(WEIGHTS.read_bytes())
    for arguments, line in [
        (["import", "none.pth"], "none.pth: does not exist; check the name"),
        (["import", "text.pth"], "text.pth: is "),
        (["import", WEIGHTS, "--name", "ifan-s"], "ifan-s: is the name of a bundled model"),
        (["import", WEIGHTS, "--name", "mine"], "already exists; give --overwrite or another"),
        (["export", "ifan-s", "-o", "a.zip"], "a.zip: is of no kind that is written; use .onnx,"),
        (["export", "ifan-s", "-o", "text.pth"], "text.pth: already exists; give --overwrite"),
    ]:
        done = ifan("models", *arguments, status=1)
        assert len(done.stderr.splitlines()) == 1
        assert line in done.stderr
    assert (folder / "text.pth").read_text() == "hello"
    ifan("models", "import", WEIGHTS, "--sample-bits", "12", status=2)
