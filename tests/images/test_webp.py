import io
import shutil
import struct
import subprocess
from contextlib import suppress
from functools import cache

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from PIL import Image, ImageCms

from damage import damaged_samples
from ifan.images import webp
from ifan.images.metadata import Metadata, from_header
from ifan.images.tiff_structure import StructureError

XMP = b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# WebP pads odd lengths.
ODD_XMP = XMP + b" " * (1 - len(XMP) % 2)

needs_webpmux = pytest.mark.skipif(shutil.which("webpmux") is None, reason="needs webpmux")
needs_cwebp = pytest.mark.skipif(shutil.which("cwebp") is None, reason="needs cwebp")


def exif_block(make="Canon", notes=b"NoMaker\0" + bytes(range(201))):
    exif = Image.Exif()
    exif[0x010F] = make
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xFDE8] = "a tag nobody knows"
    if notes:
        exif.get_ifd(0x8769)[0x927C] = notes
    return exif.tobytes().removeprefix(b"Exif\0\0")


def picture(height=48, width=64, bands=3):
    rows, columns, _ = np.mgrid[0:height, 0:width, 0:bands]
    return (rows * 5 + columns * 2 % 256).astype(np.uint8)


def saved(pixels, icc=None, **options):
    """As our writer does: only the ICC profile is kept."""
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    if icc:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    return bytes(image.webpsave_buffer(keep=8, **options))


def loaded(data):
    return from_header(pyvips.Image.webpload_buffer(data))


def chunk_names(data):
    names, position = [], 12
    while position < len(data):
        name, size = struct.unpack_from("<4sL", data, position)
        names.append(name)
        position += 8 + size + size % 2
    return names


@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("icc", [None, PROFILE], ids=["plain", "profile"])
@pytest.mark.parametrize("size", [(48, 64), (47, 63), (1, 1)])
def test_blocks_are_put_in_to_the_byte(bands, lossless, icc, size):
    exif = exif_block()
    before = saved(picture(*size, bands), icc, lossless=lossless)
    after = webp.embed(before, Metadata(exif=exif, xmp=ODD_XMP))
    with Image.open(io.BytesIO(after)) as ours, Image.open(io.BytesIO(before)) as theirs:
        assert ours.info["exif"].removeprefix(b"Exif\0\0") == exif
        assert ours.info["xmp"] == ODD_XMP
        assert ours.info.get("icc_profile") == icc
        assert ours.mode == theirs.mode
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    assert len(after) == struct.unpack_from("<L", after, 4)[0] + 8
    assert chunk_names(after)[0] == b"VP8X"
    assert chunk_names(after)[-2:] == [b"EXIF", b"XMP "]


def test_exiftool_reads_them(tmp_path, exiftool):
    exif = exif_block(notes=None)
    (tmp_path / "a.webp").write_bytes(webp.embed(saved(picture()), Metadata(exif, XMP)))
    found = exiftool.read(tmp_path / "a.webp")
    assert (found["IFD0:Make"], found["IFD0:Orientation"]) == ("Canon", 6)
    assert (found["RIFF:ImageWidth"], found["RIFF:ImageHeight"]) == (64, 48)
    assert exiftool.binary(tmp_path / "a.webp", "exif") == exif
    assert exiftool.binary(tmp_path / "a.webp", "xmp") == XMP
    assert not exiftool.faults(tmp_path / "a.webp")


@needs_webpmux
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("bands", [3, 4])
def test_the_makers_of_webp_find_no_fault(tmp_path, lossless, bands):
    data = saved(picture(37, 53, bands), PROFILE, lossless=lossless)
    (tmp_path / "a.webp").write_bytes(webp.embed(data, Metadata(exif_block(), XMP)))
    for kind, block in (("exif", exif_block()), ("xmp", XMP), ("icc", PROFILE)):
        out = tmp_path / kind
        command = ["webpmux", "-get", kind, str(tmp_path / "a.webp"), "-o", str(out)]
        subprocess.run(command, check=True, capture_output=True)
        assert out.read_bytes() == block
    said = subprocess.run(
        ["webpinfo", str(tmp_path / "a.webp")], capture_output=True, text=True, check=True
    ).stdout
    assert "No error detected" in said
    assert "Canvas size 53 x 37" in said
    assert f"Alpha: {int(bands == 4)}" in said


def test_nothing_to_add_changes_nothing():
    data = saved(picture())
    assert webp.embed(data, Metadata(icc=PROFILE)) == data


def test_blocks_are_replaced_not_doubled():
    once = webp.embed(saved(picture()), Metadata(exif_block(), XMP))
    twice = webp.embed(once, Metadata(exif_block(make="Nikon")))
    assert chunk_names(twice).count(b"EXIF") == 1
    with Image.open(io.BytesIO(twice)) as image:
        assert image.getexif()[0x010F] == "Nikon"
        assert "xmp" not in image.info


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_what_others_wrote_is_found(prefix):
    out = io.BytesIO()
    block = exif_block()
    image = Image.fromarray(picture())
    image.save(out, "WEBP", exif=prefix + block, xmp=XMP, icc_profile=PROFILE)
    found = webp.completed(loaded(out.getvalue()), out.getvalue())
    assert (found.exif, found.xmp, found.icc) == (block, XMP, PROFILE)


def test_what_exiftool_wrote_is_found(tmp_path, exiftool):
    path = tmp_path / "a.webp"
    path.write_bytes(saved(picture()))
    exiftool.write(path, "-Make=Canon", "-XMP-dc:Title=Sunset")
    data = path.read_bytes()
    found = webp.completed(loaded(data), data)
    assert found.exif == exiftool.binary(path, "exif")
    assert found.xmp == exiftool.binary(path, "xmp")


def test_blocks_whose_flags_nobody_set_are_found():
    data = bytearray(webp.embed(saved(picture()), Metadata(exif_block(), XMP)))
    data[20] = 0
    bare = loaded(bytes(data))
    assert bare.exif is None
    found = webp.completed(bare, bytes(data))
    assert (found.exif, found.xmp) == (exif_block(), XMP)


def test_an_animation_is_told_from_a_picture():
    frames = [Image.fromarray(picture() + shade) for shade in (0, 90)]
    still, film = io.BytesIO(), io.BytesIO()
    frames[0].save(still, "WEBP")
    frames[0].save(film, "WEBP", save_all=True, append_images=frames[1:])
    assert not webp.is_animated(still.getvalue())
    assert webp.is_animated(film.getvalue())


@needs_cwebp
@pytest.mark.parametrize("bands", [3, 4])
def test_coding_without_loss_is_told(tmp_path, bands):
    Image.fromarray(picture(bands=bands)).save(tmp_path / "a.png")
    for option, expected in (("-lossless", True), ("-q", False)):
        command = ["cwebp", option, *(["90"] if option == "-q" else []), str(tmp_path / "a.png")]
        subprocess.run([*command, "-o", tmp_path / "a.webp"], check=True, capture_output=True)
        data = (tmp_path / "a.webp").read_bytes()
        assert webp.is_lossless(data) is expected
        assert webp.completed(Metadata(), data).is_lossless is expected


@cache
def samples():
    plain = [saved(picture(16, 16, bands), lossless=bands == 4) for bands in (3, 4)]
    return [*plain, *(webp.embed(data, Metadata(exif_block(), XMP)) for data in plain)]


@settings(max_examples=300, deadline=None)
@given(damaged_samples(samples, header=41))
def test_damage_does_no_harm(data):
    assert isinstance(webp.completed(Metadata(), data), Metadata)
    assert webp.is_animated(data) in (True, False)
    assert webp.is_lossless(data) in (True, False)
    with suppress(StructureError):
        assert webp.embed(data, Metadata(exif_block(), XMP)).startswith(b"RIFF")
