import contextlib
import os
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ifan.errors import PictureError
from ifan.images import is_picture_name, read_photograph, write_photograph

is_root = hasattr(os, "geteuid") and os.geteuid() == 0
ALL = ["a.jpg", "a.png", "a.tif"]


def refusal(path):
    with pytest.raises(PictureError) as caught:
        read_photograph(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert len(line) < len(str(path)) + 220
    return line


def test_missing(tmp_path):
    assert refusal(tmp_path / "photo.jpg").endswith("photo.jpg: does not exist; check the name")


def test_folder(tmp_path):
    assert "is a folder; name a picture in it" in refusal(tmp_path)


def test_loop_of_links(tmp_path):
    (tmp_path / "a.png").symlink_to("a.png")
    assert ": cannot be read (" in refusal(tmp_path / "a.png")


def test_what_could_be_read_for_ever(tmp_path):
    (tmp_path / "device.png").symlink_to("/dev/zero")
    assert ": is no regular file; give a picture as JPEG" in refusal(tmp_path / "device.png")


@pytest.mark.skipif(is_root, reason="root may read anything")
def test_not_permitted(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"abc")
    (tmp_path / "a.jpg").chmod(0)
    assert "may not be read; check its permissions" in refusal(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"Dear diary, today I took a picture.\n", "is not a picture"),
        (b"\0" * 1000, "is not a picture"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"\0\0\0\x18ftypheic", "is a HEIC picture"),
        (b"FUJIFILMCCD-RAW ", "is a camera RAW file"),
    ],
)
def test_not_a_picture(tmp_path, data, reason):
    (tmp_path / "a.jpg").write_bytes(data)
    assert f"{reason}; give a picture as JPEG, PNG, TIFF" in refusal(tmp_path / "a.jpg")


@pytest.mark.parametrize(("kind", "name"), [("GIF", "GIF"), ("WEBP", "WebP"), ("BMP", "BMP")])
def test_pictures_of_other_formats(tmp_path, scene, kind, name):
    Image.fromarray(scene).save(tmp_path / "a.jpg", format=kind)
    assert f"is a {name} picture; give a picture as JPEG, PNG, TIFF" in refusal(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.8, 0.97])
def test_cut_short(tmp_path, rng, name, part):
    noise = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(part * len(whole))])
    assert "is damaged or cut short" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ALL)
def test_nothing_but_the_signature(tmp_path, scene, name):
    Image.fromarray(scene).save(tmp_path / name)
    for size in (8, 9, 16, 30):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:size])
        assert "is damaged or cut short" in refusal(tmp_path / name)


def test_a_bit_flipped_in_a_png(tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    assert "is damaged" in refusal(tmp_path / "a.png")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_picture_that_claims_to_be_larger_than_memory(tmp_path):
    """It is not called damaged: on a larger machine it may be fine."""
    Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = struct.pack(">II", 200_000, 200_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    program = (
        "import sys\nfrom ifan.images import read_photograph\n"
        "try: read_photograph(sys.argv[1])\nexcept MemoryError: print('memory')\n"
    )
    limit = 16 << 30, 16 << 30
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a.png"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("memory\n", "")


@pytest.mark.parametrize("name", ALL)
def test_garbage_anywhere_is_read_or_refused_but_nothing_else(tmp_path, rng, scene, name):
    Image.fromarray(scene).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(4, min(len(data), 600))] = rng.integers(256)
        (tmp_path / name).write_bytes(data)
        try:
            read_photograph(tmp_path / name)
        except PictureError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_bytes_after_the_picture_do_no_harm(tmp_path, scene):
    for name in ALL:
        Image.fromarray(scene).save(tmp_path / name)
        with (tmp_path / name).open("ab") as file:
            file.write(b"\0" * 500)
        assert read_photograph(tmp_path / name).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk(tmp_path, scene, name):
    Image.fromarray(scene).convert("CMYK").save(tmp_path / name)
    assert "is a CMYK picture; convert it to RGB" in refusal(tmp_path / name)


def test_floating_point(tmp_path, scene):
    Image.fromarray(scene[..., 0].astype(np.float32)).save(tmp_path / "a.tif")
    assert "has floating-point pixels; convert it to 16 bits" in refusal(tmp_path / "a.tif")


def test_lab(tmp_path):
    Image.new("LAB", (8, 8)).save(tmp_path / "a.tif")
    assert "is a CIELAB picture; convert it to RGB" in refusal(tmp_path / "a.tif")


def test_several_pages(tmp_path, scene):
    page = Image.fromarray(scene)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page, page])
    assert "has 3 pages; split it first" in refusal(tmp_path / "a.tif")


def test_a_smaller_copy_is_no_page(tmp_path, scene):
    page, small = Image.fromarray(scene), Image.fromarray(scene[::4, ::4])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    assert np.array_equal(read_photograph(tmp_path / "a.tif").pixels, scene)


@pytest.mark.parametrize("tag", [{254: 1}, {50706: b"\1\4\0\0"}])
def test_camera_raw_that_looks_like_tiff(tmp_path, scene, tag):
    # What comes first in such files is a thumbnail.
    Image.fromarray(scene).save(tmp_path / "a.dng", format="TIFF", tiffinfo=tag)
    assert "is a camera RAW file; develop it" in refusal(tmp_path / "a.dng")


def test_animation(tmp_path, scene):
    frames = [Image.fromarray(scene), Image.fromarray(scene[::-1])]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert "is an animation" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_palette_becomes_rgb(tmp_path, scene, name):
    picture = Image.fromarray(scene).convert("P")
    picture.save(tmp_path / name)
    photograph = read_photograph(tmp_path / name)
    assert np.array_equal(photograph.pixels, np.asarray(picture.convert("RGB")))
    assert photograph.alpha is None


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_black_and_white_becomes_grey(tmp_path, scene, name):
    picture = Image.fromarray(scene).convert("1")
    picture.save(tmp_path / name)
    photograph = read_photograph(tmp_path / name)
    assert np.array_equal(photograph.pixels, np.asarray(picture.convert("L")))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_pixels_are_those_another_library_reads(tmp_path, rng, mode, name):
    bands = len(mode)
    noise = rng.integers(0, 256, (17, 23, bands), dtype=np.uint8).squeeze()
    Image.fromarray(noise).save(tmp_path / name)
    photograph = read_photograph(tmp_path / name)
    colour = noise[..., : 3 if bands > 2 else 1].squeeze() if bands > 1 else noise
    assert np.array_equal(photograph.pixels, colour)
    assert photograph.pixels.flags.c_contiguous
    if mode.endswith("A"):
        assert np.array_equal(photograph.alpha, noise[..., -1])
    else:
        assert photograph.alpha is None


def test_jpeg_pixels_are_those_another_library_reads(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.jpg", subsampling=0)
    photograph = read_photograph(tmp_path / "a.jpg")
    theirs = np.asarray(Image.open(tmp_path / "a.jpg"))
    assert np.abs(photograph.pixels.astype(int) - theirs).max() <= 2


def test_multiplied_alpha_is_divided_out(tmp_path):
    path = tmp_path / "a.tif"
    colour = ["-size", "4x4", "xc:rgba(200,100,50,0.5)", "-depth", "8"]
    subprocess.run(["convert", *colour, "-define", "tiff:alpha=associated", path], check=True)
    photograph = read_photograph(path)
    scale = np.iinfo(photograph.pixels.dtype).max / 255
    assert photograph.pixels[0, 0] / scale == pytest.approx([200, 100, 50], abs=1.5)
    assert photograph.alpha[0, 0] / scale == pytest.approx(127.5, abs=1)


def test_the_content_tells_the_format_not_the_name(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.jpg", format="PNG")
    photograph = read_photograph(tmp_path / "a.jpg")
    assert photograph.format == "PNG"
    assert np.array_equal(photograph.pixels, scene)
    assert (photograph.height, photograph.width) == (48, 64)


def test_everything_is_read_at_once(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.png")
    photograph = read_photograph(tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    assert np.array_equal(photograph.pixels, scene)


def test_text_that_explodes_is_not_followed(tmp_path, scene):
    info = PngImagePlugin.PngInfo()
    bomb = zlib.compress(b"0" * (1 << 26), 9)
    info.add(b"zTXt", b"Raw profile type iptc\0\0" + bomb)
    Image.fromarray(scene).save(tmp_path / "a.png", pnginfo=info)
    # libpng may refuse such a file, which is as good.
    with contextlib.suppress(PictureError):
        assert read_photograph(tmp_path / "a.png").metadata.iptc is None


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "b.Png", "x/y.tif", "c.tiff"])
def test_picture_names(name):
    assert is_picture_name(name)


@pytest.mark.parametrize("name", [".a.jpg", "._a.jpg", "a.txt", "jpg", ".jpg", "a.jpg.part"])
def test_other_names(name):
    assert not is_picture_name(name)


def test_harmless_faults_are_forgiven(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    # Bytes between two segments, of which libjpeg warns.
    end_of_first = 4 + int.from_bytes(data[4:6], "big")
    (tmp_path / "a.jpg").write_bytes(data[:end_of_first] + b"\0\0\0" + data[end_of_first:])
    Image.fromarray(scene).save(tmp_path / "a.png", icc_profile=b"no profile at all" * 20)
    Image.fromarray(scene).save(tmp_path / "a.tif", tiffinfo={60000: "private", 60001: "too"})
    for name in ALL:
        photograph = read_photograph(tmp_path / name)
        assert photograph.pixels.shape == (48, 64, 3)
        write_photograph(photograph, tmp_path / f"again-{name}")
        assert read_photograph(tmp_path / f"again-{name}").pixels.shape == (48, 64, 3)
