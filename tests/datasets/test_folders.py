import numpy as np
import pytest
from layouts import picture, save, save_dpdd

from ifan.datasets.folders import open_folder
from ifan.datasets.opening import open_examples
from ifan.errors import IfanError, PictureError

NAMES = ("center", "target", "left", "right")


def test_pictures_belong_together_by_their_places_not_their_names(tmp_path):
    examples = open_folder(save_dpdd(tmp_path), "train", views=True)
    assert len(examples) == 3
    for number, example in enumerate(examples[number] for number in range(3)):
        for offset, name in enumerate(NAMES):
            np.testing.assert_array_equal(getattr(example, name), picture(10 * number + offset))
        assert example.name == str(tmp_path / "train_c" / "source" / f"1P0A{917 + number:04d}.png")


def test_splits_are_apart(tmp_path):
    save_dpdd(tmp_path, count=2, split="train")
    save_dpdd(tmp_path, count=1, split="val")
    assert len(open_folder(tmp_path, "train", views=True)) == 2
    assert len(open_folder(tmp_path, "val", views=True)) == 1
    with pytest.raises(IfanError, match=r"test_c/source nor test/source"):
        open_folder(tmp_path, "test", views=True)


def test_views_that_are_not_wanted_are_not_looked_for(tmp_path):
    save_dpdd(tmp_path)
    (tmp_path / "train_l").rename(tmp_path / "elsewhere")
    example = open_folder(tmp_path, "train", views=False)[0]
    assert example.left is example.right is None


@pytest.mark.parametrize("view", ["l", "r"])
def test_a_missing_view_is_named(tmp_path, view):
    save_dpdd(tmp_path)
    (tmp_path / f"train_{view}").rename(tmp_path / "elsewhere")
    with pytest.raises(IfanError, match=rf"train_{view}/source: does not exist.*pairs-only"):
        open_folder(tmp_path, "train", views=True)


def test_a_missing_target_is_named(tmp_path):
    save_dpdd(tmp_path)
    (tmp_path / "train_c" / "target").rename(tmp_path / "elsewhere")
    with pytest.raises(IfanError, match=r"train_c/target: does not exist; give the pictures"):
        open_folder(tmp_path, "train", views=False)


def test_unequal_numbers_are_refused_and_the_lonely_one_named(tmp_path):
    for folder, count in (("source", 5), ("target", 4)):
        for number in range(count):
            save(picture(number), tmp_path / folder / f"{number}.png")
    with pytest.raises(
        IfanError, match=r"target: has 4 pictures, but .*source has 5; without a partner: 4"
    ):
        open_folder(tmp_path, "train", views=False)


def test_hidden_files_and_other_kinds_do_not_count(tmp_path):
    save_dpdd(tmp_path)
    source = tmp_path / "train_c" / "source"
    for name in ("Thumbs.db", ".DS_Store", ".0.png", "notes.txt"):
        (source / name).write_bytes(b"no picture")
    assert len(open_folder(tmp_path, "train", views=True)) == 3


def test_pictures_in_sub_folders_count(tmp_path):
    for folder in ("source", "target"):
        for number, name in enumerate(("b/0.png", "a/1.png")):
            save(picture(number), tmp_path / folder / name)
    examples = open_folder(tmp_path, "train", views=False)
    np.testing.assert_array_equal(examples[0].target, picture(1))
    assert len(examples) == 2


@pytest.mark.parametrize("split", ["train/", ""])
@pytest.mark.parametrize("pair", [("source", "target"), ("input", "target"), ("blur", "sharp")])
def test_plain_pairs_are_found(tmp_path, split, pair):
    for seed, folder in enumerate(pair):
        save(picture(seed), tmp_path / split / folder / f"{folder}.png")
    example = open_folder(tmp_path, "train", views=False)[0]
    np.testing.assert_array_equal(example.center, picture(0))
    np.testing.assert_array_equal(example.target, picture(1))
    with pytest.raises(IfanError, match=r"has no dual-pixel views beside it.*pairs-only"):
        open_folder(tmp_path, "train", views=True)


def test_16_bits_are_cut_to_8_as_the_protocol_says(tmp_path):
    save_dpdd(tmp_path, dtype=np.uint16)
    pixels = picture(0, dtype=np.uint16)
    eight, sixteen = (open_folder(tmp_path, "train", views=True, bits=bits)[0] for bits in (8, 16))
    assert eight.center.dtype == np.uint8
    np.testing.assert_array_equal(eight.center, pixels >> 8)
    assert sixteen.center.dtype == np.uint16
    np.testing.assert_array_equal(sixteen.center, pixels)


def test_8_bits_keep_their_intensity_as_16(tmp_path):
    save_dpdd(tmp_path)
    center = open_folder(tmp_path, "train", views=True, bits=16)[0].center
    np.testing.assert_allclose(center / 65535, picture(0) / 255, rtol=1e-12)


def test_grey_pictures_get_three_channels(tmp_path):
    for folder in ("source", "target"):
        save(picture(0)[..., 0], tmp_path / folder / "a.png")
    center = open_folder(tmp_path, "train", views=False)[0].center
    np.testing.assert_array_equal(center, picture(0)[..., [0, 0, 0]])


def test_pictures_of_unequal_size_are_named(tmp_path):
    save_dpdd(tmp_path)
    lonely = tmp_path / "train_r" / "source" / "1P0A0914.png"
    save(picture(0, 20, 22), lonely)
    with pytest.raises(PictureError, match=r"1P0A0914.png: has 22x20 pixels, but .* has 24x20"):
        open_folder(tmp_path, "train", views=True)[0]


def test_a_damaged_picture_is_named(tmp_path):
    path = save_dpdd(tmp_path) / "train_l" / "source" / "1P0A0916.png"
    path.write_bytes(path.read_bytes()[:-300])
    examples = open_folder(tmp_path, "train", views=True)
    with pytest.raises(PictureError, match=r"train_l/source/1P0A0916.png: is damaged"):
        examples[1]
    assert examples[0].name.endswith("1P0A0917.png")


@pytest.mark.parametrize(
    ("root", "reason"), [("nowhere", "nowhere: is no folder"), (".", "has neither train_c/source")]
)
def test_what_is_no_data_set_is_refused(tmp_path, root, reason):
    with pytest.raises(IfanError, match=reason):
        open_examples(tmp_path / root, "train", views=True)
