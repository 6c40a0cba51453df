from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ifan.errors import DownloadError
from ifan.fetching.archives import extract_member

CONTENT = bytes(i * i % 251 for i in range(300_000))
OTHER = bytes(reversed(CONTENT))
WEB_PAGE = b"\n<!DOCTYPE html><html><head><title>Dropbox - Error</title></head></html>"
LIMIT = 1_000_000


def make_zip(
    path: Path, contents: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return path


def files_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def extract(archive: Path, member: str = "IFAN.pytorch", limit: int = LIMIT) -> bytes:
    """What is extracted; checks that nothing else appears, whatever happens."""
    folder = archive.parent / "out"
    folder.mkdir(exist_ok=True)
    target = folder / "chosen"
    before = files_in(archive.parent)
    try:
        extract_member(archive, member, target, limit_bytes=limit)
        return target.read_bytes()
    finally:
        assert files_in(folder) == (["chosen"] if target.exists() else [])
        assert files_in(archive.parent) == before


@pytest.mark.parametrize(
    "compression",
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
)
def test_extracts_one_file(tmp_path: Path, compression: int) -> None:
    contents = [
        ("ckpt/", b""),
        ("ckpt/IFAN_8.pytorch", OTHER),
        ("ckpt/IFAN.pytorch", CONTENT),
        ("__MACOSX/._IFAN.pytorch", b"x"),
    ]
    assert extract(make_zip(tmp_path / "a", contents, compression)) == CONTENT


@pytest.mark.parametrize(
    "path", ["../IFAN.pytorch", "../../x/IFAN.pytorch", "/etc/IFAN.pytorch", "..\\IFAN.pytorch"]
)
def test_paths_of_the_archive_lead_nowhere(tmp_path: Path, path: str) -> None:
    assert extract(make_zip(tmp_path / "a", [(path, CONTENT)])) == CONTENT


def test_replaces_what_is_there_and_makes_folders(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", [("IFAN.pytorch", CONTENT)])
    target = tmp_path / "new" / "folder" / "chosen"
    for _ in range(2):
        extract_member(archive, "IFAN.pytorch", target, limit_bytes=LIMIT)
    assert target.read_bytes() == CONTENT
    assert files_in(target.parent) == ["chosen"]


def test_a_link_at_the_target_is_replaced_not_followed(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", [("IFAN.pytorch", CONTENT)])
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "chosen").symlink_to(tmp_path / "precious")
    extract_member(archive, "IFAN.pytorch", tmp_path / "chosen", limit_bytes=LIMIT)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (tmp_path / "chosen").is_symlink()


@pytest.mark.parametrize("fault", ["too large", "damaged"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, fault: str) -> None:
    archive = make_zip(tmp_path / "a", [("IFAN.pytorch", os.urandom(500_000))])
    if fault == "damaged":
        flip(archive, 0.5)
    (tmp_path / "chosen").write_bytes(b"old")
    limit = 10 if fault == "too large" else LIMIT
    with pytest.raises(DownloadError):
        extract_member(archive, "IFAN.pytorch", tmp_path / "chosen", limit_bytes=limit)
    assert (tmp_path / "chosen").read_bytes() == b"old"
    assert files_in(tmp_path) == ["a", "chosen"]


def test_a_missing_member_lists_what_there_is(tmp_path: Path) -> None:
    contents = [("ckpt/", b"")] + [(f"ckpt/model_{i}.pytorch", b"x") for i in range(14)]
    with pytest.raises(DownloadError, match=r"does not hold IFAN\.pytorch") as failure:
        extract(make_zip(tmp_path / "a", contents))
    assert "but ckpt/model_0.pytorch, ckpt/model_1.pytorch" in failure.value.reason
    assert failure.value.reason.endswith("and 4 more")


def test_names_in_messages_are_short_and_harmless(tmp_path: Path) -> None:
    contents = [("a\nb\x1b[31m", b"x"), ("c" * 500, b"x")]
    with pytest.raises(DownloadError, match=r"a\\nb\\x1b\[31m, \.\.\.ccc") as failure:
        extract(make_zip(tmp_path / "a", contents))
    assert len(failure.value.reason) < 200
    assert str(failure.value).isprintable()


def test_an_empty_archive(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"does not hold IFAN\.pytorch, but nothing"):
        extract(make_zip(tmp_path / "a", []))


def test_a_member_without_a_name(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", [("nameless", b"1"), ("IFAN.pytorch", CONTENT)])
    # `zipfile` cuts names at the first NUL, so this one becomes empty.
    archive.write_bytes(archive.read_bytes().replace(b"nameless", bytes(8)))
    assert extract(archive) == CONTENT
    (tmp_path / "out" / "chosen").unlink()
    with pytest.raises(DownloadError, match="does not hold other"):
        extract(archive, "other")


def test_the_limit_is_exact(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", [("IFAN.pytorch", bytes(200_000))])
    assert len(extract(archive, limit=200_000)) == 200_000
    (tmp_path / "out" / "chosen").unlink()
    with pytest.raises(DownloadError, match="unpacks to more than 199999 bytes"):
        extract(archive, limit=199_999)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("claimed", [9, LIMIT])
def test_a_zip_bomb_that_lies_about_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: int, claimed: int
) -> None:
    archive = make_zip(tmp_path / "a", [("IFAN.pytorch", bytes(50_000_000))], compression)
    raw = archive.read_bytes()
    assert len(raw) < 100_000
    size = (50_000_000).to_bytes(4, "little")
    archive.write_bytes(raw.replace(size, claimed.to_bytes(4, "little")))
    written = []

    def note_size(path: Path, missing_ok: bool = False) -> None:
        written.append(path.stat().st_size)
        os.unlink(path)  # noqa: PTH108

    monkeypatch.setattr(Path, "unlink", note_size)
    with pytest.raises(DownloadError, match="is damaged or not complete"):
        extract(archive)
    assert len(written) == 1
    assert written[0] <= claimed


def test_a_link(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"ckpt/IFAN\.pytorch is a link or a device"):
        extract(zip_of_kind(tmp_path / "a", stat.S_IFLNK))


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFDIR])
def test_a_device_or_folder(tmp_path: Path, kind: int) -> None:
    with pytest.raises(DownloadError, match="is a link or a device, not a file"):
        extract(zip_of_kind(tmp_path / "a", kind))


def zip_of_kind(path: Path, kind: int) -> Path:
    info = zipfile.ZipInfo("ckpt/IFAN.pytorch")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return path


def test_an_encrypted_member(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", [("IFAN.pytorch", CONTENT)])
    raw = bytearray(archive.read_bytes())
    raw[6] |= 1  # flags of the local header
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # flags in the central directory
    archive.write_bytes(raw)
    with pytest.raises(DownloadError, match=r"its member IFAN\.pytorch is encrypted"):
        extract(archive)


def test_several_equal_files_of_that_name_are_one(tmp_path: Path) -> None:
    contents = [("a/IFAN.pytorch", CONTENT), ("b/IFAN.pytorch", CONTENT)]
    assert extract(make_zip(tmp_path / "a", contents)) == CONTENT


@pytest.mark.parametrize("second", ["b/IFAN.pytorch", "a/IFAN.pytorch"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_several_versions_of_that_name_are_refused(tmp_path: Path, second: str) -> None:
    contents = [("a/IFAN.pytorch", CONTENT), (second, OTHER)]
    with pytest.raises(DownloadError, match=f"several versions.*a/IFAN.pytorch and {second}"):
        extract(make_zip(tmp_path / "a", contents))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_archive(tmp_path: Path, kept: float) -> None:
    archive = make_zip(tmp_path / "a", [("x", OTHER), ("IFAN.pytorch", os.urandom(500_000))])
    raw = archive.read_bytes()
    archive.write_bytes(raw[: int(len(raw) * kept)])
    with pytest.raises(DownloadError, match="is damaged or not complete"):
        extract(archive)


def flip(archive: Path, place: float) -> None:
    raw = bytearray(archive.read_bytes())
    raw[int(len(raw) * place)] ^= 0xFF
    archive.write_bytes(raw)


@pytest.mark.parametrize(
    "compression",
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
)
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_flipped_bits(tmp_path: Path, compression: int, place: float) -> None:
    archive = make_zip(tmp_path / "a", [("IFAN.pytorch", os.urandom(500_000))], compression)
    flip(archive, place)
    with pytest.raises(DownloadError, match="is damaged or not complete"):
        extract(archive)


def test_no_flipped_bit_of_a_header_gets_through(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", [("x", b"1"), ("IFAN.pytorch", b"weights")])
    raw = archive.read_bytes()
    reasons = set()
    for bit in range(8 * len(raw)):
        spoilt = bytearray(raw)
        spoilt[bit // 8] ^= 1 << bit % 8
        archive.write_bytes(spoilt)
        (tmp_path / "out" / "chosen").unlink(missing_ok=True)
        try:
            assert extract(archive) == b"weights"
        except DownloadError as error:
            reasons.add(error.reason)
    # The archive is to blame, never the disk.
    assert not any("cannot be" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a zip archive"),
        (CONTENT, "is not a zip archive"),
        (b"\x1f\x8b\x08\x00", "is not a zip archive"),
        (WEB_PAGE, "is a web page, not an archive"),
        (b"\xef\xbb\xbf<HTML>", "is a web page, not an archive"),
        (b"PK\x03\x04", "is damaged or not complete"),
        (b"PK\x05\x06", "is damaged or not complete"),
    ],
)
def test_what_is_no_archive(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DownloadError, match=reason):
        extract(tmp_path / "a")


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"a\.zip: cannot be read: No such file"):
        extract_member(tmp_path / "a.zip", "x", tmp_path / "x", limit_bytes=1)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", [("IFAN.pytorch", CONTENT)])
    with pytest.raises(DownloadError, match="chosen: cannot be written: "):
        extract_member(archive, "IFAN.pytorch", archive / "chosen", limit_bytes=LIMIT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def open_full(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode != "xb":
            return opened(path, mode, *arguments, **options)
        path.touch()
        return opened(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", open_full)
    archive = make_zip(tmp_path / "a", [("IFAN.pytorch", CONTENT)])
    with pytest.raises(DownloadError, match="chosen: the disk is full; free some space"):
        extract(archive)
