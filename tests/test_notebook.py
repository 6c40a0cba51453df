"""The notebook runs from top to bottom, as it is."""

import os
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).parents[1] / "examples" / "ifan.ipynb"

_RUN = """
import asyncio, sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300).execute()
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        print(output.get("text", ""), *output.get("data", {}))
"""


def test_the_notebook_shows_what_it_makes(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(NOTEBOOK)],
        cwd=tmp_path,
        env={**os.environ, "IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("image/jpeg") == 2
    # What is printed may come in pieces.
    assert "(550, 730, 3) uint8" in " ".join(done.stdout.split())
    assert {"sharp.jpg", "milder.jpg", "map.jpg"} <= {path.name for path in tmp_path.iterdir()}
