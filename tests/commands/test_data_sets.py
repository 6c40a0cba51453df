import hashlib
import zipfile

import numpy as np
import pytest
import pyvips


@pytest.fixture
def root(save):
    """A copy of RealDOF, and one of DPDD with its test part, both incomplete."""
    pixels = np.random.default_rng(1).integers(65536, size=(40, 48, 3), dtype=np.uint16)

    def save_16(name):
        path = save(name)
        pyvips.Image.new_from_array(pixels, interpretation="rgb16").pngsave(str(path), bitdepth=16)

    for number in range(2):
        for folder in ("source", "target"):
            save(f"sets/RealDOF/{folder}/{number}.png")
        for folder in ("c/source", "c/target", "l/source", "r/source"):
            save_16(f"sets/DPDD/test_{folder}/{number}.png")


def test_sets_are_listed_with_what_is_here(ifan, root):
    said = ifan("data", "list", "--root", "sets").stdout
    lines = {tuple(line.split()[:4]) for line in said.splitlines()[2:]}
    assert {("DPDD", "test", "2", "76"), ("RealDOF", "test", "2", "50")} <= lines
    assert ("CUHK", "test", "0", "?") in lines
    environment = {"IFAN_DATA_ROOT": "sets"}
    assert ifan("data", "list", environment=environment).stdout == said


def test_a_set_is_compared_with_what_it_should_hold(ifan, root):
    done = ifan("data", "check", "DPDD", "--root", "sets", status=1)
    assert done.stdout == "sets/DPDD test: 2 pictures, 48x40, 16 bits, 2 problems\n"
    first, second = (line.split(";")[0] for line in done.stderr.splitlines())
    assert first == "sets/DPDD/test_c/source: has 2 pictures, the set has 76"
    assert second == (
        "sets/DPDD/test_c/source: 2 of its pictures have another size than 1680x1120: 48x40"
    )


def test_what_lacks_a_partner_is_named(ifan, root, folder):
    (folder / "sets/RealDOF/target/0.png").unlink()
    done = ifan("data", "check", "sets/RealDOF", status=1)
    assert done.stdout == "sets/RealDOF test: 0 pictures, 1 problem\n"
    assert done.stderr == (
        "sets/RealDOF/target: has 1 pictures, but sets/RealDOF/source has 2; without a partner: 0\n"
    )


@pytest.fixture
def archive(root, folder):
    path = folder / "RealDOF.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((folder / "sets/RealDOF").rglob("*.png")):
            archive.write(file, file.relative_to(folder / "sets").as_posix())
    return path


def test_an_archive_is_unpacked_below_the_root(ifan, archive):
    done = ifan("data", "prepare", "RealDOF.zip", "-o", "new")
    assert done.stdout == "new/RealDOF: 2 test pictures\n"
    said = ifan("data", "check", "RealDOF", "--root", "new", status=1).stderr
    assert "has 2 pictures, the set has 50" in said


def test_a_download_shows_size_and_checksum_and_is_unpacked(ifan, archive, folder, serve):
    size, digest = archive.stat().st_size, hashlib.sha256(archive.read_bytes()).hexdigest()
    address = f"{serve(folder)}/RealDOF.zip"
    done = ifan("data", "download", "RealDOF", "--root", "new", "--address", address)
    first, second = done.stdout.splitlines()
    assert first.endswith(f".zip: {size} bytes, sha256 {digest}")
    assert second == "new/RealDOF: 2 test pictures"
    # The archive is no longer needed.
    assert [path.name for path in (folder / "new").iterdir()] == ["RealDOF"]


def test_an_archive_that_is_no_good_is_not_kept(ifan, folder, serve):
    (folder / "RealDOF.zip").write_bytes(b"PK\x03\x04 and no more")
    address = f"{serve(folder)}/RealDOF.zip"
    arguments = ("data", "download", "RealDOF", "--root", "new", "--address", address)
    said = ifan(*arguments, status=1).stderr
    assert "is damaged or not complete; check the address, and run it again" in said
    assert list((folder / "new").iterdir()) == []


def test_only_known_sets_are_downloaded(ifan):
    assert ifan("data", "download", "other", status=1).stderr == (
        "other: is no data set that is known; choose one of DPDD, RealDOF, CUHK, PixelDP\n"
    )
