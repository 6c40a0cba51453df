import contextlib
import importlib.util
import os
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, PngImagePlugin

from ifan.errors import PictureError
from ifan.images import decode_photograph, is_picture_name, read_photograph, tiff, write_photograph
from ifan.images.colour import colour_space
from ifan.images.libvips import explain

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


def lines_logged(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "ifan"]


def pretend_size(path, width, height):
    """Write a PNG file of one pixel that declares another size."""
    Image.new("RGB", (1, 1)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)


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
        (b"\0\0\0\x18ftypqt  ", "is a film or another ISO media file"),
    ],
)
def test_not_a_picture(tmp_path, data, reason):
    (tmp_path / "a.jpg").write_bytes(data)
    assert f"{reason}; give a picture as JPEG, PNG, TIFF" in refusal(tmp_path / "a.jpg")


def test_what_is_no_picture_is_not_read_whole(tmp_path):
    with (tmp_path / "disk.raw").open("wb") as file:
        file.truncate(1 << 40)
    assert "disk.raw: is not a picture; give" in refusal(tmp_path / "disk.raw")


@pytest.mark.parametrize(("kind", "name"), [("GIF", "GIF"), ("BMP", "BMP")])
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
    pretend_size(tmp_path / "a.png", 200_000, 200_000)
    program = (
        "import sys\nfrom ifan.images import read_photograph\n"
        "try: read_photograph(sys.argv[1], max_pixels=10**12)\n"
        "except MemoryError: print('memory')\n"
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


def test_more_pixels_than_a_camera_has_are_refused(tmp_path):
    """A file of 69 bytes that declares 600 megapixels."""
    pretend_size(tmp_path / "a.png", 30_000, 20_000)
    line = refusal(tmp_path / "a.png")
    assert "has 30000x20000 pixels, more than 500000000 are not read; give --max-pixels" in line


def test_the_limit_of_pixels_is_the_callers(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.png")
    assert read_photograph(tmp_path / "a.png", max_pixels=64 * 48).width == 64
    with pytest.raises(PictureError, match="has 64x48 pixels, more than 3071 are not read"):
        read_photograph(tmp_path / "a.png", max_pixels=64 * 48 - 1)
    with pytest.raises(PictureError, match="has 64x48 pixels, more than 0 are not read"):
        read_photograph(tmp_path / "a.png", max_pixels=0)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_becomes_the_rgb_that_it_means(tmp_path, name):
    inks = {(0, 0, 0, 0): (255, 255, 255), (0, 255, 255, 0): (230, 30, 40), (0, 0, 0, 255): 35}
    for ink, colour in inks.items():
        Image.new("CMYK", (16, 16), ink).save(tmp_path / name)
        photograph = read_photograph(tmp_path / name)
        assert photograph.pixels.shape == (16, 16, 3)
        assert np.abs(photograph.pixels[8, 8].astype(int) - colour).max() <= 40, ink


def test_cmyk_of_16_bits_keeps_them(tmp_path, rng):
    inks = rng.integers(0, 65536, (8, 8, 4), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated")
    assert read_photograph(tmp_path / "a.tif").pixels.dtype == np.uint16


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("shape", [(8, 9, 3), (8, 9), (8, 9, 4)])
def test_floating_point(tmp_path, rng, dtype, shape):
    """Whatever the numbers: light beyond white, and below black, is kept."""
    values = rng.normal(0.5, 1, shape).astype(dtype)
    kind = {"photometric": "rgb", "extrasamples": ["unassalpha"] * (shape[2:] == (4,))}
    kind = kind if len(shape) == 3 else {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", values, **kind)
    photograph = read_photograph(tmp_path / "a.tif")
    assert photograph.pixels.dtype == np.float32
    assert np.array_equal(photograph.pixels, values[..., :3] if len(shape) == 3 else values)


@pytest.mark.parametrize(
    ("channels", "kind", "numbers"),
    [
        (4, {"photometric": "separated"}, "CMYK"),
        (1, {"photometric": "miniswhite"}, "grey whose zero is white"),
        (
            2,
            {"photometric": "minisblack", "extrasamples": ["assocalpha"]},
            "grey with premultiplied transparency",
        ),
    ],
)
def test_floats_that_would_be_taken_for_others_are_refused(tmp_path, channels, kind, numbers):
    values = np.full((8, 9, channels), 0.25, np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values.squeeze(), planarconfig="contig", **kind)
    assert f"has floats of {numbers}; convert it to 16 bits" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("level", [73, 77])
def test_dark_corners_are_no_raw(tmp_path, level):
    """The first pixels of a TIFF can be the bytes with which Phase One's files begin."""
    pixels = np.full((16, 16, 3), level, np.uint8)
    pyvips.Image.new_from_array(pixels).tiffsave(tmp_path / "a.tif", compression="none")
    assert bytes([level] * 4) == (tmp_path / "a.tif").read_bytes()[8:12]
    assert np.array_equal(read_photograph(tmp_path / "a.tif").pixels, pixels)


@pytest.mark.parametrize(
    ("dtype", "numbers"),
    [
        (np.float64, "64-bit floats"),
        (np.uint32, "32-bit integers"),
        (np.int8, "8-bit signed integers"),
        (np.int16, "16-bit signed integers"),
        (np.int32, "32-bit signed integers"),
        (np.uint64, "64-bit integers"),
    ],
)
def test_unusual_numbers_are_refused(tmp_path, dtype, numbers):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9, 3), dtype), photometric="rgb")
    remedy = "convert it to 8 or 16 bits, or to 32-bit floats"
    assert f"has pixels of {numbers}; {remedy}" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_unusual_numbers_of_bits_are_refused(tmp_path, bits):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8, 3), np.uint16), photometric="rgb")
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data.replace(b"\x10\0" * 3, bytes([bits, 0]) * 3))
    assert f"has pixels of {bits}-bit integers; convert it to 8" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("compression", "name"),
    [("zstd", "ZSTD"), ("lzma", "LZMA"), ("lerc", "LERC"), ("jpegxl", "JPEG XL"), ("png", "PNG")],
)
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_what_is_compressed_in_a_way_unknown_here_is_not_called_damaged(
    tmp_path, scene, compression, name, tile
):
    """Some builds of libvips read some of them."""
    pytest.importorskip("imagecodecs")
    options = {"photometric": "rgb", "compression": compression, "tile": tile}
    tifffile.imwrite(tmp_path / "a.tif", scene, **options)
    try:
        assert np.array_equal(read_photograph(tmp_path / "a.tif").pixels, scene)
    except PictureError as error:
        reason = f"is compressed by {name}; convert it to deflate or LZW"
        assert str(error).endswith(reason)  # noqa: PT017


def test_what_is_damaged_is_not_called_unknown(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.tif", compression="tiff_lzw")
    (page,) = tiff.survey((tmp_path / "a.tif").read_bytes())
    page = page._replace(compression=50000)
    assert page.obstacle("ZSTDDecode: Not enough data at scanline 3") is None
    obstacle = page.obstacle("ZSTD compression support is not configured")
    assert obstacle == ("is compressed by ZSTD", "convert it to deflate or LZW")


def test_lab(tmp_path):
    Image.new("LAB", (8, 8)).save(tmp_path / "a.tif")
    assert "is a CIELAB picture; convert it to RGB" in refusal(tmp_path / "a.tif")


def test_lab_on_another_page(tmp_path, scene):
    lab = Image.fromarray(scene).convert("LAB")
    Image.fromarray(scene).save(tmp_path / "a.tif", save_all=True, append_images=[lab])
    assert np.array_equal(read_photograph(tmp_path / "a.tif", page=1).pixels, scene)
    with pytest.raises(PictureError, match="is a CIELAB picture; convert it to RGB"):
        read_photograph(tmp_path / "a.tif", page=2)


KINDS = {"rgb": 3, "minisblack": 1, "separated": 4}


def with_channels(path, rng, colours, kinds, dtype=np.uint16, **options):
    """Write a TIFF file with channels beside the colours, in the codes of ExtraSamples."""
    count = KINDS[colours] + len(kinds)
    values = rng.integers(0, np.iinfo(dtype).max, (8, 9, count), dtype=dtype, endpoint=True)
    options |= {"photometric": colours, "planarconfig": "contig", "extrasamples": kinds}
    tifffile.imwrite(path, values, **options)
    return values


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", ["rgb", "minisblack"])
def test_a_saved_selection_is_no_transparency(tmp_path, rng, caplog, colours, dtype):
    values = with_channels(tmp_path / "a.tif", rng, colours, [0], dtype)
    photograph = read_photograph(tmp_path / "a.tif")
    assert np.array_equal(photograph.pixels, values[..., :-1].squeeze())
    assert photograph.alpha is None
    assert lines_logged(caplog) == [f"{tmp_path / 'a.tif'}: its extra channel is left out"]


@pytest.mark.parametrize(
    ("kinds", "alpha"), [([0, 0, 0], None), ([2, 0], 0), ([2, 0, 0], 0), ([0, 2], 1)]
)
def test_of_several_more_channels_only_transparency_is_read(tmp_path, rng, caplog, kinds, alpha):
    values = with_channels(tmp_path / "a.tif", rng, "rgb", kinds)
    photograph = read_photograph(tmp_path / "a.tif")
    assert np.array_equal(photograph.pixels, values[..., :3])
    if alpha is None:
        assert photograph.alpha is None
    else:
        assert np.array_equal(photograph.alpha, values[..., 3 + alpha])
    (line,) = lines_logged(caplog)
    left_out = len(kinds) - (alpha is not None)
    what = "extra channel is" if left_out == 1 else f"{left_out} extra channels are"
    assert line.endswith(f"a.tif: its {what} left out")


def test_a_saved_selection_of_cmyk(tmp_path, rng, caplog):
    with_channels(tmp_path / "a.tif", rng, "separated", [0])
    assert read_photograph(tmp_path / "a.tif").alpha is None
    assert "its extra channel is left out" in caplog.text
    with_channels(tmp_path / "b.tif", rng, "separated", [0, 0])
    assert read_photograph(tmp_path / "b.tif").alpha is None
    values = with_channels(tmp_path / "c.tif", rng, "separated", [2])
    assert np.array_equal(read_photograph(tmp_path / "c.tif").alpha, values[..., 4])


def test_many_channels_that_are_no_selections_are_refused(tmp_path, rng):
    """As in pictures of satellites; but Photoshop saves selections with grey pictures, too."""
    with_channels(tmp_path / "a.tif", rng, "minisblack", [0] * 4)
    assert "has 5 channels; flatten it to RGB" in refusal(tmp_path / "a.tif")
    resources = [(34377, 7, 4, b"8BIM", True)]
    values = with_channels(tmp_path / "b.tif", rng, "minisblack", [0] * 4, extratags=resources)
    assert np.array_equal(read_photograph(tmp_path / "b.tif").pixels, values[..., 0])


def test_a_channel_of_which_nothing_is_said_is_transparency(tmp_path, rng, caplog):
    """As other readers have it: some writers forget to say so."""
    values = with_channels(tmp_path / "a.tif", rng, "rgb", [2])
    data = (tmp_path / "a.tif").read_bytes()
    assert data.count(b"\x52\x01\3\0\1\0\0\0") == 1
    # A private tag in the place of ExtraSamples.
    data = data.replace(b"\x52\x01\3\0\1\0\0\0", b"\x52\xff\3\0\1\0\0\0")
    photograph = decode_photograph(data, "a.tif")
    assert np.array_equal(photograph.alpha, values[..., 3])
    assert "left out" not in caplog.text


def test_a_photograph_that_calls_itself_a_smaller_copy(tmp_path, scene):
    """Old RAW files say no more of themselves; but this is none that LibRaw knows."""
    tifffile.imwrite(tmp_path / "a.tif", scene, photometric="rgb", subfiletype=1)
    photograph = read_photograph(tmp_path / "a.tif")
    assert photograph.format == "TIFF"
    assert np.array_equal(photograph.pixels, scene)


@pytest.mark.parametrize("name", ["a.webp", "a.avif"])
def test_no_density_is_made_up(tmp_path, scene, name):
    Image.fromarray(scene).save(tmp_path / name)
    assert read_photograph(tmp_path / name).metadata.density is None


def with_codes(tmp_path, scene, *codes):
    """Write an AVIF file that names its colours by these codes, as there is none that has them."""
    Image.fromarray(scene).save(tmp_path / "a.avif", quality=95)
    data = bytearray((tmp_path / "a.avif").read_bytes())
    place = data.index(b"nclx") + 4
    struct.pack_into(">HH", data, place, *codes)
    (tmp_path / "a.avif").write_bytes(data)
    return tmp_path / "a.avif"


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ((1, 13), []),
        ((2, 2), []),
        ((1, 1), []),
        ((1, 6), []),
        ((12, 14), []),
        ((1, 7), ["its curve (code 7) is taken for that of sRGB"]),
        ((12, 9), ["its curve (code 9) is taken for that of sRGB"]),
        ((10, 13), ["its colours (code 10) are taken for sRGB"]),
    ],
)
def test_colours_that_are_not_known_are_said_to_be_taken_for_srgb(
    tmp_path, scene, caplog, codes, said
):
    path = with_codes(tmp_path, scene, *codes)
    assert (read_photograph(path).metadata.icc is not None) == (codes[0] == 12)
    assert lines_logged(caplog) == [f"{path}: {line}" for line in said]


@pytest.mark.parametrize(
    ("codes", "expected"), [((1, 8), 188), ((1, 4), 128), ((1, 5), 106), ((9, 4), 128)]
)
def test_colours_named_by_codes_get_their_profile(tmp_path, caplog, codes, expected):
    """Half of white, by exponents of 1, 2.2 and 2.8, as the numbers that it has in sRGB."""
    path = with_codes(tmp_path, np.full((48, 64, 3), 128, np.uint8), *codes)
    photograph = read_photograph(path)
    space = colour_space(photograph.metadata.icc, is_grey=False)
    values = photograph.pixels.astype(np.float32) / 255
    assert np.abs(space.to_srgb(values) * 255 - expected).max() < 3
    assert not lines_logged(caplog)


@pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_before_anything_is_decoded(tmp_path, scene, monkeypatch, curve, name):
    path = with_codes(tmp_path, scene, 9, curve)
    monkeypatch.setattr("ifan.images.reading.has_operation", lambda _name: False)
    assert f"is an HDR picture, with the curve {name}; give it as an SDR" in refusal(path)


def test_several_pages(tmp_path, scene):
    page = Image.fromarray(scene)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page, page])
    assert "has 3 pages; choose one by --page 1 to 3, or split it" in refusal(tmp_path / "a.tif")


def test_a_page_is_read_with_its_own_metadata(tmp_path, scene):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in range(3):
            file.write(scene + page, photometric="rgb", description=f"page {page + 1}")
    for page in (1, 2, 3):
        photograph = read_photograph(tmp_path / "a.tif", page=page)
        assert np.array_equal(photograph.pixels, scene + page - 1)
        assert f"page {page}".encode() in photograph.metadata.exif
    with pytest.raises(PictureError, match="has 3 pages, not 4; choose another --page"):
        read_photograph(tmp_path / "a.tif", page=4)


def test_a_page_of_a_photograph_of_one(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    assert read_photograph(tmp_path / "a.jpg", page=1).width == 64
    with pytest.raises(PictureError, match="has 1 page, not 2"):
        read_photograph(tmp_path / "a.jpg", page=2)


def test_a_smaller_copy_is_no_page(tmp_path, scene):
    page, small = Image.fromarray(scene), Image.fromarray(scene[::4, ::4])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    assert np.array_equal(read_photograph(tmp_path / "a.tif").pixels, scene)


@pytest.mark.parametrize(
    ("name", "data", "module"),
    [
        ("HEIC", b"\0\0\0\x18ftypheic", "pi_heif"),
        ("RAW", b"FUJIFILMCCD-RAW " + bytes(100), "rawpy"),
        ("JPEG XL", b"\xff\x0a" + bytes(100), "imagecodecs"),
    ],
)
def test_what_cannot_be_read_here_says_which_extra_brings_it(
    tmp_path, monkeypatch, name, data, module
):
    (tmp_path / "a.jpg").write_bytes(data)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == module else find(n))
    monkeypatch.setattr("ifan.images.reading.has_operation", lambda _name: False)
    line = f"is {name}, which needs an extra; install it with: pip install 'ifan[raw]'"
    assert line in refusal(tmp_path / "a.jpg")


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


def test_large_photographs_need_no_temporary_files(tmp_path, scene):
    """Large is what the limit says that libvips has for pictures in memory."""
    names = ["a.jpg", "a.png", "a.tif", "a.webp", "a.avif"]
    for name in names:
        Image.fromarray(scene).save(tmp_path / name)
    program = (
        "import sys; from ifan.images import read_photograph\n"
        "for name in sys.argv[1:]: print(read_photograph(name).pixels.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *names],
        cwd=tmp_path,
        env={**os.environ, "VIPS_DISC_THRESHOLD": "1k", "TMPDIR": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{scene.shape}\n" * len(names), "")


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


def test_what_pyvips_asks_itself_is_no_reason():
    """Before it calls an operation it asks for a property; other threads hear the answer, too."""
    said = "no property named `copy'\nVipsJpeg: premature end of JPEG image\n"
    assert explain(pyvips.Error("unable to write to memory", said)) == "premature end of JPEG image"
