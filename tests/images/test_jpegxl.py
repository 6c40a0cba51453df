import shutil
import subprocess
from contextlib import suppress
from functools import cache

import imagecodecs
import numpy as np
import pylibjxl
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from damage import damaged_samples
from ifan.images import boxes, jpegxl
from ifan.images.colour import display_p3
from ifan.images.errors import DecodingError
from ifan.images.metadata import Metadata
from ifan.images.tiff_structure import StructureError

XMP = b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
needs_cjxl = pytest.mark.skipif(shutil.which("cjxl") is None, reason="needs cjxl")
needs_djxl = pytest.mark.skipif(shutil.which("djxl") is None, reason="needs djxl")

LOSSLESS = ["-d", 0]
FINE = ["-d", 0.1]


def exif_block(orientation=6):
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xFDE8] = "a tag nobody knows"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def picture(height=48, width=64, bands=3):
    """No two quarters alike, smooth enough for the codec."""
    rows, columns = np.mgrid[0:height, 0:width]
    colours = [rows * 5 % 256, columns * 4 % 256, 255 - rows * 2 - columns]
    alpha = 55 + columns * 3
    return np.stack([*colours, alpha][:bands], axis=-1).astype(np.uint8)


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return done.stdout


def cjxl(tmp_path, pixels, *options, **info):
    pixels = np.squeeze(pixels)
    if pixels.dtype == np.uint16:
        space = "rgb16" if pixels.ndim == 3 else "grey16"
        pyvips.Image.new_from_array(pixels).copy(interpretation=space).pngsave(tmp_path / "a.png")
    else:
        Image.fromarray(pixels).save(tmp_path / "a.png", **info)
    run("cjxl", tmp_path / "a.png", tmp_path / "a.jxl", *options)
    return (tmp_path / "a.jxl").read_bytes()


def decoded(data):
    sizes = []
    pixels, metadata = jpegxl.decode(data, lambda *size: sizes.append(size))
    assert sizes == [(pixels.shape[1], pixels.shape[0])]
    return pixels, metadata


def in_srgb(pixels, icc):
    """Colours in sRGB as libvips computes them, from 0 to 255."""
    wide = pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * 257
    image = pyvips.Image.new_from_array(wide).copy(interpretation="rgb16")
    if icc is None:
        return pixels.astype(float)
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    converted = image.icc_transform("srgb", embedded=True, intent="relative", depth=16)
    return converted.numpy() / 257


@needs_cjxl
@pytest.mark.parametrize(
    ("bands", "dtype"),
    [(1, np.uint8), (3, np.uint8), (4, np.uint8), (1, np.uint16), (3, np.uint16)],
)
def test_pixels_kept_without_loss_come_out_so(tmp_path, bands, dtype):
    pixels = picture(bands=bands).astype(dtype)
    if dtype == np.uint16:
        pixels = pixels * np.uint16(200)
    found, metadata = decoded(cjxl(tmp_path, pixels, *LOSSLESS))
    assert found.dtype == dtype
    assert np.array_equal(found, pixels)
    assert metadata == Metadata()


@needs_cjxl
@pytest.mark.parametrize(("bits", "dtype"), [(4, np.uint8), (10, np.uint16), (12, np.uint16)])
def test_other_depths_become_the_full_range(tmp_path, bits, dtype):
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    found, metadata = decoded(cjxl(tmp_path, ramp, *LOSSLESS, f"--override_bitdepth={bits}"))
    white = np.iinfo(dtype).max
    assert (found.dtype, found.min(), found.max()) == (dtype, 0, white)
    assert np.abs(found[..., 0] / white - ramp / 65535).max() < 1 / ((1 << bits) - 1)
    assert metadata.bits == (bits if bits > 8 else None)


def test_transparency_of_16_bits_is_kept():
    # `cjxl` 0.7 leaves 8 of them.
    pixels = picture(bands=4).astype(np.uint16) * np.uint16(200)
    found, _ = decoded(imagecodecs.jpegxl_encode(pixels, lossless=True))
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_floats_stay_floats(dtype):
    pixels = np.linspace(0, 1.5, 48 * 64 * 3).reshape(48, 64, 3).astype(dtype)
    found, metadata = decoded(imagecodecs.jpegxl_encode(pixels, distance=0.0))
    assert found.dtype == np.float32
    assert np.abs(found - pixels).max() < 2e-3
    assert metadata.bits is None


@needs_cjxl
def test_grey_with_alpha_has_two_channels(tmp_path):
    pixels = picture(bands=2)
    Image.fromarray(pixels, "LA").save(tmp_path / "a.png")
    run("cjxl", tmp_path / "a.png", tmp_path / "a.jxl", *LOSSLESS)
    found, _ = decoded((tmp_path / "a.jxl").read_bytes())
    assert np.array_equal(found, pixels)


@needs_cjxl
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [[], ["-j", "0", "-d", "0.5"]], ids=["jpeg", "pixels"])
def test_pictures_are_turned_once(tmp_path, orientation, options):
    exif = b"Exif\0\0" + exif_block(orientation)
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    run("cjxl", tmp_path / "a.jpg", tmp_path / "a.jxl", *options)
    found, metadata = decoded((tmp_path / "a.jxl").read_bytes())
    with Image.open(tmp_path / "a.jpg") as source:
        upright = np.asarray(ImageOps.exif_transpose(source)).astype(int)
    assert found.shape == upright.shape
    assert np.abs(found - upright).mean() < 3
    if not options:
        assert metadata.exif == exif_block(orientation)


@needs_cjxl
def test_what_a_jpeg_had_is_found_though_it_is_packed(tmp_path):
    exif = b"Exif\0\0" + exif_block()
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=exif, xmp=XMP)
    run("cjxl", tmp_path / "a.jpg", tmp_path / "a.jxl")
    data = (tmp_path / "a.jxl").read_bytes()
    assert b"brob" in data
    _, found = decoded(data)
    assert (found.exif, found.xmp) == (exif_block(), XMP)
    completed = jpegxl.completed(Metadata(icc=b"icc"), data)
    assert completed == Metadata(exif=exif_block(), xmp=XMP, icc=b"icc")


def test_blocks_that_are_not_packed_are_found(tmp_path, exiftool):
    path = tmp_path / "a.jxl"
    path.write_bytes(pylibjxl.encode(picture(), xmp=XMP, lossless=True))
    exiftool.write(path, "-Make=Canon")
    data = path.read_bytes()
    assert b"Exif\0\0\0\0MM" in data
    pixels, found = decoded(data)
    assert np.array_equal(pixels, picture())
    assert found.exif == exiftool.binary(path, "exif")
    assert found.xmp == XMP


@pytest.mark.parametrize("prefix", [b"\0\0\0\0", b"\0\0\0\6Exif\0\0", b"\0\0\0\0Exif\0\0"])
def test_exif_is_found_wherever_it_begins(prefix):
    data = pylibjxl.encode(picture(), xmp=XMP)
    data += boxes.written(b"Exif", prefix + exif_block())
    assert jpegxl.completed(Metadata(), data).exif == exif_block()


@needs_cjxl
@needs_djxl
@pytest.mark.parametrize("options", [LOSSLESS, FINE], ids=["lossless", "lossy"])
@pytest.mark.parametrize(
    "space",
    [
        "RGB_D65_SRG_Rel_SRG",
        "RGB_D65_DCI_Rel_SRG",
        "RGB_D65_202_Rel_709",
        "RGB_D65_202_Rel_SRG",
        "RGB_D65_SRG_Rel_g0.4545455",
        "RGB_EER_SRG_Rel_SRG",
        "RGB_DCI_DCI_Rel_DCI",
    ],
)
def test_colours_told_by_codes_are_those_of_the_reference(tmp_path, options, space):
    # Greyish, so that no colour is beyond sRGB, where programs differ.
    pixels = (picture() // 4 + 90).astype(np.uint8)
    data = cjxl(tmp_path, pixels, *options, "-x", f"color_space={space}")
    run("djxl", tmp_path / "a.jxl", tmp_path / "b.png", f"--icc_out={tmp_path / 'b.icc'}")
    found, metadata = decoded(data)
    theirs = np.asarray(Image.open(tmp_path / "b.png"))
    assert np.abs(found.astype(int) - theirs).max() <= 1
    expected = in_srgb(found, (tmp_path / "b.icc").read_bytes())
    assert np.abs(in_srgb(found, metadata.icc) - expected).max() < 1
    assert (metadata.icc is None) == (space == "RGB_D65_SRG_Rel_SRG")


@needs_cjxl
def test_linear_floats_are_told(tmp_path):
    values = picture().astype("<f4") / 255
    (tmp_path / "a.pfm").write_bytes(b"PF\n64 48\n-1.0\n" + values[::-1].tobytes())
    space = "color_space=RGB_D65_SRG_Rel_Lin"
    run("cjxl", tmp_path / "a.pfm", tmp_path / "a.jxl", *LOSSLESS, "-x", space)
    found, metadata = decoded((tmp_path / "a.jxl").read_bytes())
    assert np.array_equal(found, values)
    middle = np.full((1, 1, 3), 65535 // 2, np.uint16)
    assert np.abs(in_srgb(middle, metadata.icc) - 188).max() < 1


@cache
def odd_profile():
    """A profile whose curve no code describes; made once, as it holds the time it was made."""
    curve = np.linspace(0, 1, 64) ** 3 * 0.5 + np.linspace(0, 1, 64) * 0.5
    primaries = [0.68, 0.32, 0.265, 0.69, 0.15, 0.06]
    table = np.rint(curve * 65535).astype(np.uint16)
    white = [0.3127, 0.329]
    return imagecodecs.cms_profile(
        "rgb", whitepoint=white, primaries=primaries, transferfunction=table
    )


@needs_cjxl
def test_a_profile_is_kept_to_the_byte(tmp_path):
    data = cjxl(tmp_path, picture(), *LOSSLESS, icc_profile=odd_profile())
    found, metadata = decoded(data)
    assert np.array_equal(found, picture())
    assert metadata.icc == odd_profile()


@needs_cjxl
@needs_djxl
def test_a_profile_that_can_be_told_by_numbers_is_made_anew(tmp_path):
    pixels = (picture() // 4 + 90).astype(np.uint8)
    data = cjxl(tmp_path, pixels, *FINE, icc_profile=display_p3())
    assert not jpegxl.read_header(data).colours.has_icc
    found, metadata = decoded(data)
    assert np.abs(in_srgb(found, metadata.icc) - in_srgb(pixels, display_p3())).max() < 4
    run("djxl", tmp_path / "a.jxl", tmp_path / "b.png", f"--icc_out={tmp_path / 'b.icc'}")
    expected = in_srgb(found, (tmp_path / "b.icc").read_bytes())
    assert np.abs(in_srgb(found, metadata.icc) - expected).max() < 1


@needs_cjxl
def test_a_profile_that_decoders_leave_aside_is_not_attached(tmp_path):
    data = cjxl(tmp_path, picture(), *FINE, icc_profile=odd_profile())
    with pytest.raises(DecodingError, match="profile"):
        decoded(data)
    # As floats nothing is lost by it.
    values = (picture() // 4 + 90).astype("<f4") / 255
    (tmp_path / "a.pfm").write_bytes(b"PF\n64 48\n-1.0\n" + values[::-1].tobytes())
    (tmp_path / "a.icc").write_bytes(odd_profile())
    hint = f"icc_pathname={tmp_path / 'a.icc'}"
    run("cjxl", tmp_path / "a.pfm", tmp_path / "a.jxl", *FINE, "-x", hint)
    found, metadata = decoded((tmp_path / "a.jxl").read_bytes())
    numbers = [np.rint(np.clip(array, 0, 1) * 65535).astype(np.uint16) for array in (found, values)]
    expected = in_srgb(numbers[1], odd_profile())
    assert np.abs(in_srgb(numbers[0], metadata.icc) - expected).max() < 4


@needs_cjxl
@pytest.mark.parametrize("is_film", [False, True])
def test_films_are_refused(tmp_path, is_film):
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1])]
    more = {"save_all": True, "append_images": frames[1:]} if is_film else {}
    frames[0].save(tmp_path / "a.png", **more)
    run("cjxl", tmp_path / "a.png", tmp_path / "a.jxl", *LOSSLESS)
    data = (tmp_path / "a.jxl").read_bytes()
    assert jpegxl.is_animated(data) is is_film
    if is_film:
        with pytest.raises(DecodingError, match="animation"):
            decoded(data)


@needs_cjxl
@pytest.mark.parametrize("curve", ["PeQ", "HLG"])
def test_hdr_pictures_are_refused(tmp_path, curve):
    space = f"color_space=RGB_D65_202_Rel_{curve}"
    data = cjxl(tmp_path, picture(), *LOSSLESS, "-x", space)
    with pytest.raises(DecodingError, match="HDR"):
        decoded(data)


@needs_cjxl
def test_colours_are_not_multiplied_with_alpha(tmp_path):
    pixels = picture(bands=4)
    data = saying_multiplied(cjxl(tmp_path, pixels, *LOSSLESS))
    found, _ = decoded(data)
    expected = np.minimum(np.rint(pixels[..., :3] / (pixels[..., 3:] / 255)), 255)
    assert np.abs(found[..., :3] - expected).max() <= 1
    assert np.array_equal(found[..., 3], pixels[..., 3])


def saying_multiplied(data):
    """Write into a header as `cjxl` makes it for RGBA that alpha is multiplied into colours."""
    bits = "".join(f"{byte:08b}"[::-1] for byte in data[:7])
    # Behind signature, size, and depth: one bit that says that alpha is as usual.
    start = 16 + 9 + 8
    assert bits[start] == "1"
    # Alpha, of 8 bits, of the same size, without a name, multiplied.
    bits = bits[:start] + "0" + "00" + "000" + "00" + "00" + "1" + bits[start + 1 : 55]
    bits += "0" * (-len(bits) % 8)
    header = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    return header + data[7:]


def test_channels_that_are_no_colours_are_refused():
    planes = np.zeros((3, 48, 64), np.uint8)
    data = imagecodecs.jpegxl_encode(planes, lossless=True, planar=True, photometric="gray")
    with pytest.raises(DecodingError, match="channels"):
        decoded(data)


def test_sizes_are_asked_for_before_pixels_are_decoded():
    class TooLargeError(Exception):
        pass

    def refuse(width, height):
        raise TooLargeError(width, height)

    data = pylibjxl.encode(picture(), exif=exif_block())
    with pytest.raises(TooLargeError, match="64, 48"):
        jpegxl.decode(data, refuse)


@pytest.mark.parametrize("keep", [0, 0.02, 0.1, 0.5, 0.9])
def test_what_is_cut_short_is_refused(keep):
    data = pylibjxl.encode(picture())
    with pytest.raises(DecodingError):
        jpegxl.decode(data[: int(len(data) * keep)], lambda *_: None)


def test_a_block_made_to_explode_is_left_out():
    packed = imagecodecs.brotli_encode(b"\0\0\0\0" + bytes(100_000_000))
    data = pylibjxl.encode(picture(), xmp=XMP) + boxes.written(b"brob", b"Exif" + packed)
    _, found = decoded(data)
    assert (found.exif, found.xmp) == (None, XMP)


@cache
def samples():
    described = pylibjxl.encode(picture(16, 16), exif=exif_block(), xmp=XMP)
    packed = imagecodecs.brotli_encode(b"\0\0\0\0" + exif_block())
    bare = imagecodecs.jpegxl_encode(picture(16, 16, 4), lossless=True)
    return [described, described + boxes.written(b"brob", b"Exif" + packed), bare]


@settings(max_examples=500, deadline=None)
@given(damaged_samples(samples, header=81))
def test_damage_does_no_harm(data):
    assert isinstance(jpegxl.completed(Metadata(), data), Metadata)
    assert jpegxl.is_animated(data) in (True, False)
    with suppress(StructureError):
        jpegxl.read_header(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_header_does_harm(rest):
    with suppress(StructureError):
        jpegxl.read_header(b"\xff\x0a" + rest)


def test_headers_of_films_and_previews_are_read_to_their_end(tmp_path):
    # Bit by bit: 8x8 pixels; not all default; extra fields: upright, no other size, a preview of
    # 16x16, a film of 100 ticks a second without end; 8 bits, buffers of 16, no channels, XYB, P3.
    bits = "1" + "00000" + "100" + "0" + "1" + "000" + "0" + "1" + "1" + "00" + "100"
    bits += "1" + "00" + "00" + "00" + "0"
    bits += "0" + "00" + "1" + "00" + "1" + "0" + "0" + "00" + "10" + "01" + "1001" + "0" + "01"
    bits += "1101" + "00"
    bits += "0" * 64
    body = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits) - 7, 8))
    header = jpegxl.read_header(b"\xff\x0a" + body)
    assert (header.is_animated, header.is_xyb) == (True, True)
    assert header.colours.primaries == (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
