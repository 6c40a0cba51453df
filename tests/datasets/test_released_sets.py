"""`ifan data list`, `check`, `prepare` and `download` over the released sets."""

import hashlib
import zipfile
from itertools import product

import numpy as np
import pytest
from layouts import picture, save, save_dpdd

from ifan.datasets.fetching import fetch, unpack_set
from ifan.datasets.released import find_set, released_sets
from ifan.datasets.root import config_file, dataset_root
from ifan.datasets.testing import open_test_set
from ifan.errors import IfanError


@pytest.fixture
def root(tmp_path):
    """Each known set in its released layout, in miniature."""
    root = tmp_path / "root"
    save_dpdd(root / "DPDD", split="test", dtype=np.uint16)
    for number in range(2):
        for folder in ("RealDOF/source", "RealDOF/target", "CUHK", "random/below"):
            save(picture(number), root / folder / f"{number}.png")
        for view in "clr":
            save(picture(number), root / f"PixelDP/test_{view}" / f"{number}.png")
    (root / "CUHK" / "Thumbs.db").write_bytes(b"no picture")
    return root


def zipped(root, name, around="", extra=()):
    """Packs the folder of a set, with other folders around it."""
    path = root.parent / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((root / name).rglob("*")):
            if file.is_file():
                archive.write(file, f"{around}{file.relative_to(root / name).as_posix()}")
        for member in extra:
            archive.writestr(member, b"no picture")
    return path


@pytest.mark.parametrize(
    ("name", "count", "roles"),
    [
        ("DPDD", 3, {"center", "target", "left", "right"}),
        ("RealDOF", 2, {"center", "target"}),
        ("CUHK", 2, {"center"}),
        ("PixelDP", 2, {"center", "left", "right"}),
        ("random", 2, {"center"}),
    ],
)
def test_each_set_is_found_in_its_layout(root, name, count, roles):
    opened = open_test_set(name, root, views="left" in roles)
    assert (len(opened.files), set(opened.files[0]), opened.name) == (count, roles, name)
    assert opened.files == open_test_set(str(root / name), views="left" in roles).files
    assert opened.is_complete == (name in ("CUHK", "PixelDP", "random"))


def test_views_that_a_model_needs_are_missed(root):
    with pytest.raises(IfanError, match="has no dual-pixel views beside it; choose a model"):
        open_test_set("RealDOF", root, views=True)


def test_a_known_set_in_an_unknown_layout_is_refused(root):
    (root / "DPDD/test_c").rename(root / "DPDD/elsewhere")
    with pytest.raises(IfanError, match=r"test_c/source: does not exist; .*ifan data check"):
        open_test_set("DPDD", root, views=False)


def test_other_parts_are_evaluated_under_names_of_their_own(root):
    save_dpdd(root / "DPDD", split="val", dtype=np.uint16)
    opened = open_test_set("DPDD", root, views=False, split="val")
    assert opened.name == "DPDD-val"
    assert opened.center == root / "DPDD/val_c/source"
    assert opened.is_complete  # nothing is published that it should be compared with
    with pytest.raises(IfanError, match="RealDOF: has no part val; choose with --split: test"):
        open_test_set("RealDOF", root, views=False, split="val")


@pytest.mark.parametrize("parts", [("train",), ("train", "val")])
def test_pictures_for_training_are_not_taken_for_loose_ones(tmp_path, parts):
    for part in parts:
        for kind in ("source", "target"):
            save(picture(0), tmp_path / "mine" / part / kind / "0.png")
    reason = f"mine: has no pictures for test, but for {' and '.join(parts)}; .*--split train"
    with pytest.raises(IfanError, match=reason):
        open_test_set(str(tmp_path / "mine"), views=False)
    opened = open_test_set(str(tmp_path / "mine"), views=False, split="train")
    assert (len(opened.files), opened.has_targets) == (1, True)


def test_the_root_comes_from_option_variable_and_file_in_this_order(tmp_path, monkeypatch):
    assert str(dataset_root()) == "."
    config_file().write_text("data_root = '/from/file'\n")
    assert str(dataset_root()) == "/from/file"
    monkeypatch.setenv("IFAN_DATA_ROOT", "/from/variable")
    assert str(dataset_root()) == "/from/variable"
    assert dataset_root(tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("text", "reason"), [("data_root = ", "is no TOML"), ("data_root = 3", "is no text")]
)
def test_a_bad_file_of_settings_is_named(text, reason):
    config_file().write_text(text)
    with pytest.raises(IfanError, match=rf"config\.toml: .*{reason}"):
        dataset_root()


@pytest.mark.parametrize(
    ("name", "around"),
    [
        *product(("DPDD", "RealDOF", "CUHK", "PixelDP"), ("", "{}/", "some/{}/")),
        # Where folders of the set tell it apart, those around it may be called anything.
        *product(("DPDD", "RealDOF", "PixelDP"), ("dataset/",)),
    ],
)
def test_an_archive_comes_to_lie_as_the_set_does(root, tmp_path, name, around):
    extra = ("__MACOSX/._a.png", f"{around.format(name)}.DS_Store", "../../evil/__MACOSX/x")
    archive = zipped(root, name, around.format(name), extra)
    list(unpack_set(archive, tmp_path / "new"))
    expected = open_test_set(name, root, views=False).files
    found = open_test_set(name, tmp_path / "new", views=False).files
    assert [
        {role: path.relative_to(root) for role, path in files.items()} for files in expected
    ] == [
        {role: path.relative_to(tmp_path / "new") for role, path in files.items()}
        for files in found
    ]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {name}


def test_an_archive_is_known_by_its_folders_too(root, tmp_path):
    archive = zipped(root, "RealDOF", "RealDOF/")
    named = archive.rename(archive.with_name("download.zip"))
    list(unpack_set(named, tmp_path / "new"))
    assert (tmp_path / "new/RealDOF/source/0.png").is_file()
    foreign = zipped(root, "random", "mine/")
    with pytest.raises(IfanError, match="is the archive of no set that is known; call it as"):
        list(unpack_set(foreign, tmp_path / "new"))


def test_a_set_is_downloaded_with_its_checksum_and_not_twice(root, tmp_path, serve):
    archive = zipped(root, "RealDOF", "RealDOF/")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    known, address = find_set("RealDOF"), f"{serve(tmp_path)}/RealDOF.zip"
    with pytest.raises(IfanError, match="is not the file that was expected"):
        fetch(known, tmp_path / "new", address=address, sha256="0" * 64)
    fetched = fetch(known, tmp_path / "new", address=address, sha256=digest)
    assert (fetched.size, fetched.sha256) == (archive.stat().st_size, digest)
    list(unpack_set(fetched.path, tmp_path / "new", known))
    fetched.path.unlink()
    with pytest.raises(IfanError, match="RealDOF: is there already"):
        fetch(known, tmp_path / "new", address=address)


def test_every_set_but_ones_own_has_an_address():
    assert [known.name for known in released_sets() if known.address is None] == ["random"]
    with pytest.raises(IfanError, match="is not downloaded from anywhere"):
        fetch(find_set("random"), None)
