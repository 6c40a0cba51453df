"""What docs/serving.md says one can call is called."""

import re
import subprocess
import sys

import pytest
from servers import ROOT, encoded, opened, picture

PAGE = (ROOT / "docs" / "serving.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(command, text, server, folder):
    (folder / "photo.jpg").write_bytes(encoded(picture(), "JPEG"))
    text = text.replace("http://127.0.0.1:8000", server.url.rstrip("/"))
    done = subprocess.run([*command, text], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("line", blocks("sh")[0].splitlines())
def test_curl_gets_a_picture(server, tmp_path, line):
    run(["bash", "-c"], line, server, tmp_path)
    (made,) = [path for path in tmp_path.iterdir() if path.name != "photo.jpg"]
    assert opened(made.read_bytes()).size == (64, 48)
    assert made.name in ("sharp.jpg", "photo.deblurred.png", "map.png")


def test_python_gets_a_picture(server, tmp_path):
    run([sys.executable, "-c"], blocks("python")[0], server, tmp_path)
    assert opened((tmp_path / "sharp.jpg").read_bytes()).size == (64, 48)


def test_python_watches_a_job(server, tmp_path):
    program = f"{blocks('python')[1]}\nopen('sharp.jpg', 'wb').write(sharp)\n"
    said = run([sys.executable, "-c"], program, server, tmp_path)
    assert said.split()[-1] == "done"
    assert opened((tmp_path / "sharp.jpg").read_bytes()).size == (64, 48)


def test_every_address_that_is_named_is_there(client):
    paths = client.get("/openapi.json").json()["paths"]
    named = set(re.findall(r"`(GET|POST|DELETE) (/\S+)`", PAGE)) - {("GET", "/openapi.json")}
    assert named == {
        (method.upper(), path) for path, methods in paths.items() for method in methods
    }
