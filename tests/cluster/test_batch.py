"""`ifan batch` on a Ray cluster: what is done, what is kept, and what faults cost."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from random import SystemRandom
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archives import BAD, add_node, finish, ray_workers, results, wait_for
from PIL import Image

from ifan import Deblurrer

pytestmark = pytest.mark.usefixtures("ray_home")


class Clean(NamedTuple):
    """A batch that nothing disturbed."""

    target: Path
    status: int
    said: str
    manifest: list[dict[str, Any]]
    results: dict[str, bytes]


@pytest.fixture(scope="module")
def clean(archive, cluster, start, tmp_path_factory):
    target = tmp_path_factory.mktemp("clean") / "results"
    status, said = finish(start(archive, target, "--address", cluster.address))
    return Clean(target, status, said, manifest_of(target), results(target))


def manifest_of(target: Path) -> list[dict[str, Any]]:
    return pq.read_table(target / "manifest.parquet").to_pylist()


def tell_of(source: Path, target: Path) -> None:
    """Let a manifest be of photographs that lie elsewhere, as if they had been deblurred there."""
    table = pq.read_table(target / "manifest.parquet")
    place = table.schema.get_field_index("folder")
    folders = pa.array([str(source.resolve())] * len(table))
    pq.write_table(
        table.set_column(place, table.schema.field(place), folders), target / "manifest.parquet"
    )


def what_became(manifest: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The rows of a manifest without the times, which are never the same.

    Nor is what a decoder says of a damaged file, in brackets: the threads of a process share the
    texts of libvips, and one may take another's.
    """
    names = ("source", "target", "status", "width", "height", "target_bytes", "sha256")
    return sorted(
        (*(row[name] for name in names), (row["reason"] or "").partition(" (")[0])
        for row in manifest
    )


def assert_same(target: Path, clean: Clean) -> None:
    """Every picture is there once, byte for byte, and every row of the manifest."""
    assert results(target) == clean.results
    assert what_became(manifest_of(target)) == what_became(clean.manifest)
    assert not list(target.rglob(".ifan-*"))


def test_every_photograph_has_a_result_of_its_name(archive, clean):
    sources = {
        path.relative_to(archive).as_posix()
        for path in archive.rglob("*")
        if path.is_file() and path.suffix != ".txt" and not path.name.startswith(".")
    }
    assert set(clean.results) == sources - {BAD}


def test_a_result_is_what_deblurring_the_file_gives(archive, clean, tmp_path):
    deblurrer = Deblurrer(threads=1)
    for name in ("a/IMG_000.jpg", "a/grey.png", "a/IMG_000.tif"):
        target = deblurrer.deblur_file(archive / name, tmp_path / Path(name).name)
        assert clean.results[name] == target.read_bytes(), name


def test_metadata_is_kept(clean):
    with Image.open(clean.target / "a/IMG_003.jpg") as picture:
        assert picture.getexif()[0x010F] == "Maker 3"


def test_a_photograph_that_fails_is_listed_with_its_reason_and_the_status_says_so(clean):
    (line,) = (clean.target / "failures.jsonl").read_text().splitlines()
    failure = json.loads(line)
    assert failure["source"] == BAD
    assert "damaged" in failure["reason"]
    assert clean.status == 1
    assert f"{BAD}: is damaged" in clean.said
    assert "40 done, 0 skipped, 1 failed of 41" in clean.said


def test_the_manifest_tells_of_each_result_what_it_is(archive, clean):
    rows = {row["source"]: row for row in clean.manifest}
    assert len(rows) == len(clean.manifest) == 41
    for name, content in clean.results.items():
        row = rows[name]
        assert row["target"] == name
        assert row["status"] == "done"
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["target_bytes"] == len(content)
        assert row["source_bytes"] == (archive / name).stat().st_size
        with Image.open(archive / name) as picture:
            assert (row["width"], row["height"]) == picture.size
        assert row["model"].startswith("ifan-s@")
        assert row["seconds"] > 0


def test_a_second_run_does_only_what_is_new_or_changed_or_gone(
    archive, clean, cluster, start, tmp_path
):
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(archive, source)
    shutil.copytree(clean.target, target)
    tell_of(source, target)
    shutil.copy2(archive / "a/IMG_003.jpg", source / "new.jpg")
    (source / "IMG_002.jpg").write_bytes((archive / "IMG_005.jpg").read_bytes())
    (target / "IMG_005.jpg").unlink()
    (target / "new.jpg").write_bytes(b"of somebody else")
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*.jpg")}
    status, said = finish(start(source, target, "--address", cluster.address))
    assert "2 done, 1 skipped, 1 failed, 38 done before of 42" in said
    assert status == 1
    after = results(target)
    assert after.pop("new.jpg") == b"of somebody else"
    assert after == clean.results | {"IMG_002.jpg": clean.results["IMG_005.jpg"]}
    untouched = [path for path in before if path.stat().st_mtime_ns == before[path]]
    assert len(untouched) == len(before) - 1
    rows = manifest_of(target)
    (skipped,) = (row for row in rows if row["status"] == "skipped")
    assert skipped["source"] == "new.jpg"
    assert "exists" in skipped["reason"]
    assert len(rows) == 42


@pytest.mark.parametrize(
    ("option", "other", "before"),
    [("--strength", "0.5", "strength 1.0"), ("--passes", "2", "passes 1")],
)
def test_results_of_other_settings_are_not_mixed_in(
    archive, clean, cluster, start, option, other, before
):
    arguments = (archive, clean.target, "--address", cluster.address, option, other)
    status, said = finish(start(*arguments))
    assert status == 1
    assert f"holds results of other settings ({before})" in said
    assert "--overwrite" in said
    assert results(clean.target) == clean.results


@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1:1", "does not answer"), ("ray://127.0.0.1:10001", "ray job submit")],
)
def test_an_address_without_a_cluster_is_refused_at_once(archive, start, tmp_path, address, reason):
    status, said = finish(start(archive, tmp_path / "out", "--address", address))
    assert status == 1
    assert said.startswith(address)
    assert reason in said


def test_a_batch_that_was_given_to_a_cluster_runs_there(archive, start, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    status, said = finish(start(archive, tmp_path / "out"))
    assert status == 1
    assert said.startswith("127.0.0.1:1: does not answer")


def test_a_batch_without_an_address_leaves_a_cluster_of_this_machine_alone(
    archive, cluster, start, tmp_path
):
    assert cluster.address
    (tmp_path / "in").mkdir()
    (tmp_path / "in/1.jpg").write_bytes((archive / "a/IMG_000.jpg").read_bytes())
    status, said = finish(start(tmp_path / "in", tmp_path / "out"))
    assert status == 0, said
    assert (tmp_path / "out/1.jpg").exists()


def test_folders_that_do_not_go_together_are_refused(archive, start, tmp_path):
    for source, target, reason in (
        (archive, archive, "is the folder of the photographs"),
        (archive / "a", archive, "has the photographs in it"),
        (tmp_path, tmp_path / "out", "holds no photograph"),
    ):
        status, said = finish(start(source, target))
        assert status == 1
        assert reason in said
    assert not (archive / "manifest.parquet").exists()


def test_a_killed_worker_and_then_a_killed_node_cost_only_what_they_were_at(
    archive, clean, cluster, start, tmp_path
):
    target = tmp_path / "results"
    process = start(archive, target, "--address", cluster.address)
    wait_for(lambda: results(target), process)
    ray_workers()[0].kill()
    seen = len(results(target))
    wait_for(lambda: len(results(target)) > seen, process)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    try:
        finish(process)
        assert_same(target, clean)
    finally:
        add_node(cluster)


def test_a_batch_that_is_killed_again_and_again_ends_as_one_that_was_not(
    archive, clean, cluster, start, tmp_path
):
    target = tmp_path / "results"
    arguments = (archive, target, "--address", cluster.address)
    for _ in range(5):
        process = start(*arguments)
        before = len(results(target))
        wait_for(lambda before=before: len(results(target)) > before, process)
        time.sleep(SystemRandom().uniform(0, 0.5))
        process.kill()
        for name, content in results(target).items():
            assert content == clean.results[name], name
    status, _ = finish(start(*arguments))
    assert status == 1
    assert_same(target, clean)


def test_a_batch_that_is_stopped_says_how_to_go_on(archive, clean, cluster, start, tmp_path):
    target = tmp_path / "results"
    process = start(archive, target, "--address", cluster.address)
    wait_for(lambda: results(target), process)
    process.terminate()
    status, said = finish(process)
    assert status == 143
    assert "the same command goes on where this one was" in said
    assert 0 < len(results(target)) < len(clean.results)
    finish(start(*process.args[4:]))
    assert_same(target, clean)
