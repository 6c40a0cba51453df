import json
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from layouts import picture, same, save, save_dpdd

from ifan.datasets.folders import open_folder
from ifan.datasets.opening import open_examples
from ifan.datasets.packing import PackedExamples, pack
from ifan.errors import IfanError, OutputError, PictureError


@pytest.fixture
def root(tmp_path):
    return save_dpdd(tmp_path / "dpdd", count=5, dtype=np.uint16)


@pytest.fixture
def packed(root, tmp_path):
    """Packs the data set, wholly or not, and returns the folder."""

    def make(bits=8, views=True, **options):
        folder = tmp_path / "packed" / "train"
        list(pack(open_folder(root, "train", views=views, bits=bits), folder, **options).make())
        return folder

    return make


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("views", [True, False])
def test_what_is_packed_comes_back(root, packed, bits, views):
    folder = packed(bits, views)
    examples = open_examples(folder.parent, "train", views=views, bits=bits)
    originals = open_folder(root, "train", views=views, bits=bits)
    assert isinstance(examples, PackedExamples)
    assert len(examples) == 5
    for number in (4, 0, 2):
        assert same(examples[number], originals[number])
        assert examples[number].name == originals[number].name
    with pytest.raises(IndexError):
        examples[5]


def test_less_can_be_taken_out_than_was_put_in(root, packed):
    folder = packed(bits=16)
    examples = PackedExamples(folder, views=False, bits=8)
    assert same(examples[3], open_folder(root, "train", views=False, bits=8)[3])


def test_more_cannot_be_taken_out_than_was_put_in(packed):
    folder = packed(bits=8, views=False)
    with pytest.raises(IfanError, match="was prepared without dual-pixel views"):
        PackedExamples(folder, views=True)
    with pytest.raises(IfanError, match=r"was prepared with 8 bits; prepare it with --bits 16"):
        PackedExamples(folder, views=False, bits=16)


def test_pictures_may_differ_in_size_between_examples(tmp_path):
    for folder in ("source", "target"):
        for number, side in enumerate((20, 31)):
            save(picture(number, side, 25), tmp_path / folder / f"{number}.png")
    pairs = open_folder(tmp_path, "train", views=False)
    list(pack(pairs, tmp_path / "packed").make())
    examples = PackedExamples(tmp_path / "packed", views=False)
    assert all(same(examples[number], pairs[number]) for number in range(2))


def test_other_processes_get_no_pixels_but_open_the_files_themselves(packed):
    examples = PackedExamples(packed(), views=True)
    before = examples[1]
    data = pickle.dumps(examples)
    assert len(data) < 5000
    assert same(pickle.loads(data)[1], before)


def test_a_run_that_was_stopped_goes_on(root, packed):
    written = iter([False, False, True, True])
    folder = packed(stopped=lambda: next(written))
    with pytest.raises(IfanError, match="has 2 of 5 examples"):
        PackedExamples(folder, views=True)
    # What a killed one leaves does not disturb.
    (folder / "unfinished.part").write_bytes(b"half")
    packed()
    examples, originals = PackedExamples(folder, views=True), open_folder(root, "train", views=True)
    assert all(same(examples[number], originals[number]) for number in range(5))
    names = {path.name for path in folder.iterdir()}
    assert names == {"00000.pixels", "00001.pixels", "index.json"}


def test_a_finished_one_is_left_alone(root, packed):
    folder = packed()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = pack(open_folder(root, "train", views=True), folder)
    assert not again.missing
    assert list(again.make()) == []
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_something_else_is_not_mixed_in(root, packed):
    folder = packed()
    with pytest.raises(OutputError, match="was prepared with bits 8, not 16"):
        packed(bits=16)
    save(picture(99, 20, 23), root / "train_c/source/1P0A0917.png")
    with pytest.raises(OutputError, match="was prepared with other pictures"):
        packed()
    (folder / "index.json").unlink()
    with pytest.raises(OutputError, match=r"holds 00000.pixels, which is not ours"):
        packed()


def test_a_disk_that_is_too_small_is_refused_before(packed, monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OutputError, match=r"about 0.0 GB are to be written, 0.0 GB are free"):
        packed()
    assert list((tmp_path / "packed" / "train").iterdir()) == []


def test_a_damaged_picture_ends_it(root, packed):
    (root / "train_l/source/1P0A0916.png").write_bytes(b"")
    with pytest.raises(PictureError, match=r"1P0A0916.png"):
        packed()


def test_a_file_that_was_cut_is_refused_before_training(packed):
    folder = packed()
    data = folder / "00000.pixels"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(IfanError, match=r"00000.pixels: is not there as it was written"):
        PackedExamples(folder, views=True)


@pytest.mark.parametrize("text", ["{", json.dumps({"kind": "packed"}), ""])
def test_what_is_no_index_is_refused(packed, text):
    folder = packed()
    (folder / "index.json").write_text(text)
    with pytest.raises(IfanError, match=r"index.json: is not the index of a prepared data set"):
        PackedExamples(folder, views=True)


def test_what_is_written_already_needs_no_room_any_more(packed, monkeypatch, tmp_path):
    folder = packed()
    one = sum(file.stat().st_size for file in folder.glob("*.pixels")) / 5

    def usage(path):
        written = sum(file.stat().st_size for file in (tmp_path / "again").rglob("*.pixels"))
        return SimpleNamespace(free=5.5 * one - written)

    monkeypatch.setattr("shutil.disk_usage", usage)
    root = tmp_path / "dpdd"
    examples = open_folder(root, "train", views=True, bits=8)
    monkeypatch.setattr("ifan.datasets.packing._PART_BYTES", 1)
    list(pack(examples, tmp_path / "again" / "train").make())
    assert len(PackedExamples(tmp_path / "again" / "train", views=True)) == 5
