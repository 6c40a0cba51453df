"""What the OpenAPI document promises is so."""

import subprocess
import sys
from pathlib import Path

import httpx


def test_requests_made_from_the_document_find_nothing(server, tmp_path):
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "--config-file",
            Path(__file__).with_name("schemathesis.toml"),
            "run",
            f"{server.url}openapi.json",
            "--phases=coverage,stateful",
            "--max-examples=2",
            "--request-timeout=60",
            "--generation-deterministic",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_document_says_what_may_be_sent_and_what_comes_back(server):
    document = httpx.get(f"{server.url}openapi.json").json()
    deblur = document["paths"]["/v1/deblur"]["post"]
    form = deblur["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"image", "left", "right", "strength", "format", "quality"} <= form["properties"].keys()
    assert form["properties"]["model"]["const"] == "ifan-s"
    assert {"200", "408", "413", "415", "422", "429", "503"} <= deblur["responses"].keys()
    refusal = deblur["responses"]["422"]["content"]
    assert list(refusal) == ["application/problem+json"]
