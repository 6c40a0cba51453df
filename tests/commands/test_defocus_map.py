import os

import numpy as np
from PIL import Image

from ifan import Deblurrer


def test_numbers_are_those_of_the_deblurrer(ifan, save, folder, picture):
    save("photo.png")
    options = ["--engine", "openvino", "--precision", "fp32"]
    done = ifan("defocus-map", "photo.png", "-o", "map.tif", *options)
    expected = Deblurrer(engine="openvino", precision="fp32").defocus_map(picture)
    with Image.open(folder / "map.tif") as values:
        assert values.mode == "F"
        assert np.array_equal(np.asarray(values), expected)
    span = f"({expected.min():+.1f} to {expected.max():+.1f} pixels)"
    assert done.stdout == f"photo.png -> map.tif {span}\n"
    assert done.stderr == ""


def test_colours_beside_the_photograph_are_left_alone_when_they_are_there(ifan, save, folder):
    save("photo.png")
    ifan("defocus-map", "photo.png")
    with Image.open(folder / "photo.defocus.png") as colours:
        assert (colours.format, colours.mode, colours.size) == ("PNG", "RGB", (32, 24))
    (folder / "photo.defocus.png").write_bytes(b"mine")
    done = ifan("defocus-map", "photo.png")
    assert done.stdout == (
        "photo.png: skipped, photo.defocus.png exists; --overwrite replaces it\n"
    )
    assert (folder / "photo.defocus.png").read_bytes() == b"mine"
    ifan("defocus-map", "photo.png", "--overwrite", "--working-size", "16")
    with Image.open(folder / "photo.defocus.png") as colours:
        assert colours.size == (32, 24)


def test_a_jpeg_of_a_grey_photograph(ifan, save, folder, picture):
    save("grey.png", picture[..., 0])
    ifan("defocus-map", "grey.png", "-o", "map.jpg")
    with Image.open(folder / "map.jpg") as colours:
        assert (colours.format, colours.mode, colours.size) == ("JPEG", "RGB", (32, 24))


def test_a_raw_file_and_the_jpeg_beside_it_have_a_map_each(ifan, save, folder):
    save("IMG_1.jpg").rename(folder / "IMG_1.CR3")  # the content tells the format, not the name
    save("IMG_1.jpg")
    for name in ("IMG_1.CR3", "IMG_1.jpg"):
        ifan("defocus-map", name)
    maps = ["IMG_1-cr3.defocus.png", "IMG_1.defocus.png"]
    assert sorted(path.name for path in folder.glob("*.png")) == maps


def test_failures_are_one_line(ifan, save, folder):
    before = save("photo.png").read_bytes()
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    for arguments, line in [
        (["none.png"], "none.png: does not exist; check the name"),
        (["none"], "none: does not exist; check the name"),
        (["pipe.png"], "pipe.png: is no regular file; give a picture as "),
        (["loop.png"], "loop.png: cannot be read (Too many levels of symbolic links); "),
        (["."], ".: is a folder; name a picture in it"),
        (["photo.png", "-o", "map.gif"], "map.gif: .gif is no format that is written; give it"),
        (["photo.png", "-o", "new/map.png"], "new/map.png: its folder does not exist; create"),
        (["photo.png", "-o", "photo.png", "--overwrite"], "photo.png: is the photograph itself;"),
    ]:
        done = ifan("defocus-map", *arguments, status=1)
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith(line)
    assert sorted(path.name for path in folder.iterdir()) == ["loop.png", "photo.png", "pipe.png"]
    assert (folder / "photo.png").read_bytes() == before
    for arguments, reason in [
        (["photo.png", "--working-size", "0"], "neither auto, full nor pixels"),
        ([""], "the name is empty"),
        (["photo.png", "-o", ""], "the name is empty"),
    ]:
        assert reason in ifan("defocus-map", *arguments, status=2).stderr
