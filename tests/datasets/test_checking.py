import numpy as np
from layouts import picture, save, save_dpdd

from ifan.datasets.checking import findings_of
from ifan.datasets.folders import open_folder


def problems(root, crop=16, views=True):
    found = findings_of(open_folder(root, "train", views=views), crop)
    return [[str(problem).replace(str(root), "") for problem in one.problems] for one in found]


def test_a_good_data_set_has_no_problems(tmp_path):
    assert problems(save_dpdd(tmp_path)) == [[], [], []]


def test_every_problem_is_named_with_its_file(tmp_path):
    save_dpdd(tmp_path, count=6)
    (tmp_path / "train_l/source/1P0A0915.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "train_r/source/1P0A0914.png").write_bytes(b"")
    save(picture(1, 18, 24), tmp_path / "train_c/target/1P0A0917.png")
    save(picture(1, dtype=np.uint16), tmp_path / "train_c/target/1P0A0918.png")
    for name in (
        "c/source/1P0A0920",
        "c/target/1P0A0919",
        "l/source/1P0A0918",
        "r/source/1P0A0917",
    ):
        save(picture(1, 12, 24), tmp_path / f"train_{name}.png")
    first, *found = problems(tmp_path)
    assert [line.split(":")[0] for line in first] == [
        "/train_l/source/1P0A0915.png",
        "/train_r/source/1P0A0914.png",
    ]
    assert [[line.split(";")[0] for line in lines] for lines in found] == [
        [
            "/train_c/target/1P0A0917.png: has 24x18 pixels,"
            " but /train_c/source/1P0A0918.png has 24x20"
        ],
        ["/train_c/target/1P0A0918.png: has 16 bits, but /train_c/source/1P0A0919.png has 8"],
        ["/train_c/source/1P0A0920.png: has 24x12 pixels, less than the crop of 16"],
        [],
        [],
    ]


def test_damage_inside_a_picture_is_found(tmp_path):
    path = save_dpdd(tmp_path) / "train_c/source/1P0A0918.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert [len(of_one) for of_one in problems(tmp_path)] == [0, 1, 0]


def test_views_that_are_not_wanted_are_not_checked(tmp_path):
    (save_dpdd(tmp_path) / "train_l/source/1P0A0915.png").write_bytes(b"")
    assert not any(problems(tmp_path, views=False))


def test_who_is_stopped_looks_at_no_more(tmp_path):
    examples = open_folder(save_dpdd(tmp_path, count=8), "train", views=True)
    asked = iter([False, False, False, True])
    assert len(list(findings_of(examples, 16, stopped=lambda: next(asked)))) == 3
