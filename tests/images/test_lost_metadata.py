"""Metadata in places where few writers put them, and what was said of files that are no more."""

import logging
import re
import struct
import subprocess
import zlib
from io import BytesIO
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps, IptcImagePlugin, PngImagePlugin

from ifan.errors import PictureError
from ifan.images import exif, icc, iptc, read_photograph, write_photograph, xmp
from ifan.images.colour import colour_space
from ifan.images.metadata import Density
from ifan.images.tiff_structure import EXIF, GPS, SUBDIRECTORIES, Field

SUITE = Path(__file__).parents[1] / "pngsuite"
P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def chunk(name, content):
    return (
        struct.pack(">L", len(content))
        + name
        + content
        + struct.pack(">L", zlib.crc32(name + content))
    )


def with_chunks(path, *chunks, late=False):
    """Put chunks into a PNG file, before or after the picture."""
    data = path.read_bytes()
    place = data.index(b"IEND" if late else b"IDAT") - 4
    path.write_bytes(data[:place] + b"".join(chunk(*item) for item in chunks) + data[place:])


def a_png(path, scene, *chunks, late=False):
    Image.fromarray(scene).save(path)
    with_chunks(path, *chunks, late=late)
    return path


def digits(kind, block):
    return f"\n{kind}\n{len(block):8}\n{block.hex()}\n".encode()


def exif_block(orientation=6):
    found = Image.Exif()
    found[0x010F] = "Canon"
    found[0x0112] = orientation
    return found.tobytes().removeprefix(b"Exif\0\0")


def packet(content=""):
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
        ' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
        ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
        ' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
        ' xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        f' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" {content}'
        '</rdf:Description></rdf:RDF></x:xmpmeta>    \n  <?xpacket end="w"?>'
    ).encode()


RATING = packet('xmp:Rating="4">')


def exif_without_link():
    fields = struct.pack("<HHLL", 0x0112, 3, 1, 6) + struct.pack("<HHL4s", 0x010F, 2, 4, b"Abc\0")
    return struct.pack("<2sHLH", b"II", 42, 8, 2) + fields


@pytest.mark.parametrize("target", ["jpg", "png", "tif"])
def test_exif_that_ends_without_a_link_is_read(tmp_path, exiftool, scene, target):
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + exif_without_link())
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / f"b.{target}")
    assert exiftool.read(tmp_path / f"b.{target}")["IFD0:Make"] == "Abc"


# ---- PNG: after the picture, and in digits


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_exif_wherever_it_is_in_a_png_turns_the_picture(
    tmp_path, exiftool, scene, orientation, late
):
    path = a_png(tmp_path / "a.png", scene, (b"eXIf", exif_block(orientation)), late=late)
    with Image.open(path) as picture:
        picture.load()
        upright = np.asarray(ImageOps.exif_transpose(picture))
    photograph = read_photograph(path)
    assert np.array_equal(photograph.pixels, upright)
    write_photograph(photograph, tmp_path / "b.png")
    found = exiftool.read(tmp_path / "b.png")
    assert (found["IFD0:Make"], found["IFD0:Orientation"]) == ("Canon", 1)
    assert np.array_equal(read_photograph(tmp_path / "b.png").pixels, upright)


@pytest.mark.parametrize("is_packed", [False, True])
def test_xmp_and_iptc_after_the_picture_are_kept(tmp_path, exiftool, scene, is_packed):
    text = b"\1\0\0\0" + zlib.compress(RATING) if is_packed else b"\0\0\0\0" + RATING
    records = digits("iptc", b"\x1c\x02\x5a\0\4Bern")
    chunks = (
        (b"iTXt", b"XML:com.adobe.xmp\0" + text),
        (b"tEXt", b"Raw profile type iptc\0" + records),
    )
    path = a_png(tmp_path / "a.png", scene, *chunks, late=True)
    write_photograph(read_photograph(path), tmp_path / "b.jpg")
    found = exiftool.read(tmp_path / "b.jpg")
    assert (found["XMP-xmp:Rating"], found["IPTC:City"]) == (4, "Bern")


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("late", [False, True])
def test_profiles_in_digits_become_what_they_are(tmp_path, exiftool, scene, kind, late):
    profile = icc.profile(icc.Colours(primaries=P3), is_grey=False)
    blocks = {
        "exif": b"Exif\0\0" + exif_block(),
        "APP1": b"http://ns.adobe.com/xap/1.0/\0" + RATING,
        "8bim": iptc.to_photoshop(b"\x1c\x02\x5a\0\4Bern").removeprefix(b"Photoshop 3.0\0"),
        "icc": profile,
    }
    before = {b"tEXt": b"", b"zTXt": b"\0", b"iTXt": b"\0\0\0\0"}[kind]
    chunks = []
    for name, block in blocks.items():
        text = digits(name, block)
        text = zlib.compress(text) if kind == b"zTXt" else text
        chunks.append((kind, f"Raw profile type {name}\0".encode() + before + text))
    path = a_png(tmp_path / "a.png", scene, *chunks, late=late)
    photograph = read_photograph(path)
    assert photograph.metadata.icc == profile
    assert np.array_equal(photograph.pixels, np.rot90(scene, -1))
    write_photograph(photograph, tmp_path / "b.png")
    found = exiftool.read(tmp_path / "b.png")
    assert (found["IFD0:Make"], found["IFD0:Orientation"]) == ("Canon", 1)
    assert (found["XMP-xmp:Rating"], found["IPTC:City"]) == (4, "Bern")
    assert read_photograph(tmp_path / "b.png").metadata.icc == profile
    assert not exiftool.faults(tmp_path / "b.png")


@pytest.mark.skipif(which("convert") is None, reason="needs ImageMagick")
def test_what_imagemagick_makes_of_a_photograph(tmp_path, exiftool, scene):
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    exiftool.write(
        tmp_path / "a.jpg",
        *("-Make=Canon", "-Orientation#=6", "-XMP-xmp:Rating=4", "-IPTC:City=Bern"),
    )
    subprocess.run(["convert", tmp_path / "a.jpg", tmp_path / "a.png"], check=True)
    photograph = read_photograph(tmp_path / "a.png")
    assert photograph.pixels.shape == (64, 48, 3)
    write_photograph(photograph, tmp_path / "b.png")
    found = exiftool.read(tmp_path / "b.png")
    assert (found["IFD0:Make"], found["IFD0:Orientation"]) == ("Canon", 1)
    assert (found["XMP-xmp:Rating"], found["IPTC:City"]) == (4, "Bern")


@pytest.mark.parametrize("kind", ["exif", "APP1", "xmp", "iptc", "icc"])
@pytest.mark.parametrize("text", [b"", b"\nexif\n   3\nxyz\n", zlib.compress(bytes(1 << 24))])
def test_profiles_in_digits_that_are_none_are_no_matter(tmp_path, scene, kind, text):
    keyword = f"Raw profile type {kind}\0".encode()
    path = a_png(
        tmp_path / "a.png", scene, (b"zTXt", keyword + b"\0" + text), (b"tEXt", keyword + text)
    )
    found = read_photograph(path).metadata
    assert (found.exif, found.xmp, found.iptc, found.icc) == (None, None, None, None)


# ---- PNG: colours


def numbers(*values):
    return struct.pack(f">{len(values)}L", *(round(value * 100_000) for value in values))


def reference(scene, profile):
    """What Little CMS, in Pillow, makes of it in sRGB."""
    srgb = ImageCms.createProfile("sRGB")
    done = ImageCms.profileToProfile(Image.fromarray(scene), profile, srgb, renderingIntent=1)
    return np.asarray(done)


@pytest.mark.parametrize(
    ("chunks", "colours"),
    [
        ([(b"cICP", b"\x0c\x0d\0\1")], icc.Colours(primaries=P3)),
        ([(b"cICP", b"\x0c\x08\0\1")], icc.Colours(primaries=P3, exponent=1.0)),
        ([(b"gAMA", numbers(1.0))], icc.Colours(exponent=1.0)),
        (
            [(b"cHRM", numbers(*icc.D65, *ADOBE)), (b"gAMA", numbers(0.45471))],
            icc.Colours(primaries=ADOBE, exponent=1 / 0.45471),
        ),
        ([(b"cHRM", numbers(*icc.D65, *P3))], icc.Colours(primaries=P3)),
    ],
)
def test_colours_in_chunks_become_a_profile(tmp_path, exiftool, scene, chunks, colours):
    path = a_png(tmp_path / "a.png", scene, *chunks)
    photograph = read_photograph(path)
    assert photograph.metadata.icc == icc.profile(colours, is_grey=False)
    write_photograph(photograph, tmp_path / "b.png")
    again = read_photograph(tmp_path / "b.png")
    assert again.metadata == photograph.metadata
    assert np.array_equal(again.pixels, scene)
    write_photograph(photograph, tmp_path / "b.tif")
    assert read_photograph(tmp_path / "b.tif").metadata.icc == photograph.metadata.icc
    assert not exiftool.faults(tmp_path / "b.png")


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", numbers(0.45455))],
        [(b"gAMA", numbers(0.45))],
        [(b"gAMA", numbers(0.45455)), (b"cHRM", numbers(*icc.D65, *icc.SRGB))],
        [(b"gAMA", numbers(1.0)), (b"sRGB", b"\0")],
        [(b"cICP", b"\1\x0d\0\1")],
        [(b"gAMA", b"\0\0\0\0")],
        [(b"gAMA", b"\0\0\0\1")],
        [(b"gAMA", b"\1")],
        [(b"cICP", b"")],
        [(b"cHRM", bytes(32))],
        [(b"cHRM", b"\xff" * 32)],
        [(b"cHRM", numbers(*icc.D65, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3))],
    ],
)
def test_srgb_and_nonsense_become_none(tmp_path, scene, chunks):
    assert read_photograph(a_png(tmp_path / "a.png", scene, *chunks)).metadata.icc is None


def test_a_profile_goes_before_chunks(tmp_path, scene):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(scene).save(tmp_path / "a.png", icc_profile=profile)
    with_chunks(tmp_path / "a.png", (b"gAMA", numbers(1.0)))
    assert read_photograph(tmp_path / "a.png").metadata.icc == profile


@pytest.mark.parametrize(("code", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused(tmp_path, scene, code, name):
    path = a_png(tmp_path / "a.png", scene, (b"cICP", bytes([9, code, 0, 1])))
    with pytest.raises(PictureError, match=f"HDR picture, with the curve {name}"):
        read_photograph(path)


@pytest.mark.parametrize("kind", ["n0g16", "n2c08", "n3p04"])
@pytest.mark.parametrize("gamma", ["03", "04", "05", "07", "10", "25"])
def test_pictures_of_all_gammas_look_alike(kind, gamma):
    shown = {}
    for name in ("10", gamma):
        photograph = read_photograph(SUITE / f"g{name}{kind}.png")
        pixels = photograph.pixels
        space = colour_space(photograph.metadata.icc, is_grey=pixels.ndim == 2)
        shown[name] = space.to_srgb((pixels / np.iinfo(pixels.dtype).max).astype(np.float32))
    # Of what is dark, the larger gammas have few steps.
    is_bright = (shown["10"] > 0.5) & (shown[gamma] > 0.5)
    assert np.abs(shown["10"] - shown[gamma])[is_bright].mean() < 0.01
    assert is_bright.mean() > 0.2


def test_grey_in_linear_light(tmp_path, scene):
    path = a_png(tmp_path / "a.png", scene[..., 0], (b"gAMA", numbers(1.0)))
    photograph = read_photograph(path)
    space = colour_space(photograph.metadata.icc, is_grey=True)
    values = np.full((1, 1), 0.2140, np.float32)
    assert space.to_srgb(values) == pytest.approx(np.full((1, 1, 3), 0.5), abs=0.002)
    write_photograph(photograph, tmp_path / "b.png")
    assert read_photograph(tmp_path / "b.png").metadata == photograph.metadata


def test_the_made_profile_is_that_of_display_p3():
    made = icc.profile(icc.Colours(primaries=P3), is_grey=False)
    found = ImageCms.ImageCmsProfile(BytesIO(made)).profile
    # Those in Apple's profile.
    assert found.red_colorant[0] == pytest.approx((0.51512, 0.24120, -0.00105), abs=2e-4)
    assert found.green_colorant[0] == pytest.approx((0.29198, 0.69225, 0.04189), abs=2e-4)
    assert found.blue_colorant[0] == pytest.approx((0.15710, 0.06657, 0.78407), abs=2e-4)


def test_the_made_profile_of_srgb_is_srgb(scene):
    made = icc.profile(icc.Colours(), is_grey=False)
    assert type(colour_space(made, is_grey=False)).__name__ == "SRGB"
    done = reference(scene, ImageCms.ImageCmsProfile(BytesIO(made)))
    assert np.abs(done.astype(int) - scene).max() <= 1


@pytest.mark.parametrize(
    "colours",
    [
        icc.Colours(white=(0.3, 0.0)),
        icc.Colours(white=(2.0, -0.1)),
        icc.Colours(primaries=(0.1, 0.1, 0.2, 0.2, 0.3, 0.3)),
        icc.Colours(exponent=1e9),
    ],
)
def test_impossible_colours_are_no_profile(colours):
    with pytest.raises(ValueError, match=r"primaries|white|colours"):
        icc.profile(colours, is_grey=False)


# ---- TIFF and EXIF


@pytest.mark.parametrize(
    ("source", "target"), [("jpg", "tif"), ("tif", "jpg"), ("tif", "tif"), ("tif", "png")]
)
def test_tags_of_the_first_directory_are_kept(tmp_path, exiftool, scene, source, target):
    written = {
        "CameraSerialNumber": 1234,
        "OriginalRawFileName": "IMG_1.CR2",
        "DateTimeOriginal": "2020:01:02 03:04:05",
        "ImageHistory": "cropped",
        "ImageNumber": 17,
        "CameraLabel": "A",
        "ProcessingSoftware": "digiKam",
        "UniqueCameraModel": "Canon EOS 5D",
        "TimeZoneOffset": 2,
        "SecurityClassification": "U",
        "TargetPrinter": "paper",
        "ReelName": "reel",
        "HostComputer": "pc",
    }
    Image.fromarray(scene).save(
        tmp_path / f"a.{source}", **({"quality": 90} if source == "jpg" else {})
    )
    exiftool.write(
        tmp_path / f"a.{source}", *(f"-IFD0:{tag}={value}" for tag, value in written.items())
    )
    before = exiftool.read(tmp_path / f"a.{source}")
    assert {tag: before.get(f"IFD0:{tag}") for tag in written} == written
    write_photograph(read_photograph(tmp_path / f"a.{source}"), tmp_path / f"b.{target}")
    found = exiftool.read(tmp_path / f"b.{target}")
    assert {tag: found.get(f"IFD0:{tag}") for tag in written} == written
    assert not exiftool.faults(tmp_path / f"b.{target}")


def test_what_says_how_pixels_lie_in_a_tiff_stays_there(tmp_path, exiftool, scene):
    Image.fromarray(scene).save(tmp_path / "a.tif", compression="tiff_lzw")
    exiftool.write(
        tmp_path / "a.tif", "-IFD0:Make=Canon", "-IFD0:PageNumber=1 3", "-IFD0:YCbCrPositioning=2"
    )
    block = read_photograph(tmp_path / "a.tif").metadata.exif
    layout, first = exif.read_header(block)
    tree = exif.read_tree(block, first, layout, SUBDIRECTORIES)
    assert set(tree) == {0x010F}


@pytest.mark.parametrize("unit", [1, 2, 3])
def test_a_density_without_unit_is_none(unit):
    block = bytearray(exif.of_density((300, 300)))
    place = block.index(struct.pack("<HHL", 0x0128, 3, 1)) + 8
    block[place : place + 2] = struct.pack("<H", unit)
    expected = {1: None, 2: Density(300 / 25.4, 300 / 25.4, "in"), 3: Density(30, 30, "cm")}
    assert exif.density_of(bytes(block)) == expected[unit]


@pytest.mark.parametrize("dpi", [None, 240])
def test_exif_without_density_makes_none_up(tmp_path, exiftool, scene, dpi):
    found = Image.Exif()
    found[0x010F] = "Canon"
    options = {"dpi": (dpi, dpi)} if dpi else {}
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=found, **options)
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    found = exiftool.read(tmp_path / "b.jpg")
    assert (found["JFIF:ResolutionUnit"], found["JFIF:XResolution"]) == (
        (1, dpi) if dpi else (0, 1)
    )


# ---- XMP


def test_xmp_claims_nothing_that_is_gone(tmp_path, exiftool, scene):
    claims = (
        'hdrgm:Version="1.0" GCamera:MotionPhoto="1" GCamera:MicroVideoOffset=\'12345\''
        ' tiff:ImageWidth="64" tiff:ImageLength="48" tiff:Orientation="6"'
        ' xmp:Rating="4" xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF">'
        "<exif:PixelXDimension>64</exif:PixelXDimension>"
        "<exif:PixelYDimension>48</exif:PixelYDimension>"
        "<GCamera:MotionPhotoVersion>1</GCamera:MotionPhotoVersion>"
        '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource">'
        '<Container:Item Item:Semantic="GainMap" Item:Length="30"/></rdf:li></rdf:Seq>'
        "</Container:Directory>"
    )
    (tmp_path / "a.xmp").write_bytes(packet(claims))
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    exiftool.write(tmp_path / "a.jpg", f"-XMP<={tmp_path / 'a.xmp'}", "-Orientation#=6")
    photograph = read_photograph(tmp_path / "a.jpg")
    assert photograph.metadata.xmp == packet(claims)
    write_photograph(photograph, tmp_path / "b.jpg")
    found = exiftool.read(tmp_path / "b.jpg")
    left = {tag: value for tag, value in found.items() if tag.startswith("XMP-")}
    assert left == {
        "XMP-tiff:ImageWidth": 48,
        "XMP-tiff:ImageHeight": 64,
        "XMP-tiff:Orientation": 1,
        "XMP-exif:ExifImageWidth": 48,
        "XMP-exif:ExifImageHeight": 64,
        "XMP-xmp:Rating": 4,
    }
    assert len(read_photograph(tmp_path / "b.jpg").metadata.xmp) == len(packet(claims))


@pytest.mark.parametrize("sizes", [(900, 12000), (5, 7), (99999, 1)])
def test_sizes_of_other_lengths_take_from_the_padding(sizes):
    before = packet('tiff:ImageWidth="1200" tiff:ImageLength="900">')
    after = xmp.mended(before, *sizes)
    assert re.search(rb'ImageWidth="(\d+)" tiff:ImageLength="(\d+)"', after).groups() == (
        str(sizes[1]).encode(),
        str(sizes[0]).encode(),
    )
    assert len(after) == len(before)


@pytest.mark.parametrize(
    ("orientation", "area", "crop"),
    [
        (1, 'stArea:x="0.25" stArea:y="0.1"', 'crs:CropTop="0.125" crs:CropRight="1"'),
        (2, 'stArea:x="0.75" stArea:y="0.1"', 'crs:CropTop="0.125" crs:CropLeft="0"'),
        (6, 'stArea:y="0.25" stArea:x="0.9"', 'crs:CropRight="0.875" crs:CropBottom="1"'),
    ],
)
def test_regions_and_crops_in_attributes_turn_with_the_picture(orientation, area, crop):
    before = 'stArea:x="0.25" stArea:y="0.1"', 'crs:CropTop="0.125" crs:CropRight="1"'
    angle, tilt = (f' crs:CropAngle="{angle}">' for angle in ("0", "-0.50"))
    after = xmp.mended(packet(" ".join(before) + angle), 9, 9, orientation)
    assert f"{area} {crop}".encode() in after
    assert len(after) == len(packet(" ".join(before) + angle))
    # What a crop that is tilted becomes is more than other names for its numbers.
    after = xmp.mended(packet(" ".join(before) + tilt), 9, 9, orientation)
    assert f"{area} {before[1]}".encode() in after


def test_a_list_of_contents_that_never_ends_takes_no_time():
    endless = b"<Container:Directory>" * 200_000
    assert xmp.mended(endless, 1, 1) == endless


@pytest.mark.parametrize("end", [b"</x>", b'<?xpacket end="w"?>'])
def test_a_megabyte_of_white_space_takes_no_time(end):
    empty = b"<x>" + b" " * 1_000_000 + end
    assert xmp.mended(empty, 1, 1) == empty


def test_the_rest_of_the_xmp_is_told_of(tmp_path, scene, caplog):
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    rest = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">LL", 4, 0) + b"<x/>"
    data = (tmp_path / "a.jpg").read_bytes()
    segment = struct.pack(">HH", 0xFFE1, len(rest) + 2) + rest
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    with caplog.at_level(logging.WARNING, "ifan"):
        write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / "b.png")
    assert "extended XMP" in caplog.text


# ---- comments


@pytest.mark.parametrize(
    "comments",
    [(b"Gr\xfc\xdfe aus Z\xfcrich",), (b"first", b"second"), (b"zero\0",), ("日本".encode(),)],
)
def test_comments_of_jpeg_are_kept_to_the_byte(tmp_path, scene, comments):
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    segments = [struct.pack(">HH", 0xFFFE, len(comment) + 2) + comment for comment in comments]
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"".join(segments) + data[2:])
    photograph = read_photograph(tmp_path / "a.jpg")
    assert photograph.metadata.comments == comments
    write_photograph(photograph, tmp_path / "b.jpg")
    assert read_photograph(tmp_path / "b.jpg").metadata.comments == comments
    write_photograph(photograph, tmp_path / "b.png")
    texts = [text.decode("utf-8" if "日".encode()[:1] in text else "latin-1") for text in comments]
    found = read_photograph(tmp_path / "b.png").metadata.comments
    assert [text.decode() for text in found] == [text.rstrip("\0") for text in texts]


def test_a_comment_in_latin_1_can_be_read_in_a_png(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.jpg", comment=b"Gr\xfc\xdfe")
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.text["Comment"] == "Grüße"


def test_a_comment_of_png_becomes_utf_8_in_a_jpeg(tmp_path, scene):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "Grüße")
    Image.fromarray(scene).save(tmp_path / "a.png", pnginfo=info)
    write_photograph(read_photograph(tmp_path / "a.png"), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.info["comment"] == "Grüße".encode()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("target", ["tif", "jpg"])
def test_iptc_that_a_tiff_says_is_numbers_is_not_turned_around(tmp_path, scene, order, target):
    records = b"\x1c\x02\x05\x00\x05Title\x1c\x02\x5a\x00\x04Bern\0"
    numbers = struct.unpack(f"{order}{len(records) // 4}I", records)
    tag = (33723, "I", len(numbers), numbers, True)
    kind = {"photometric": "rgb", "metadata": None, "extratags": [tag]}
    tifffile.imwrite(tmp_path / "a.tif", scene, byteorder=order, **kind)
    write_photograph(read_photograph(tmp_path / "a.tif"), tmp_path / f"b.{target}")
    with Image.open(tmp_path / f"b.{target}") as picture:
        found = IptcImagePlugin.getiptcinfo(picture)
    assert (found[2, 5], found[2, 90]) == (b"Title", b"Bern")


COMMENT, GPS_METHOD, GPS_AREA = 0x9286, 0x1B, 0x1C


@pytest.mark.parametrize("changed", ["into a TIFF", "without maker notes"])
def test_16_bit_text_follows_the_order_of_bytes(changed):
    def directories(coding):
        def field(text, end=b""):
            return Field(7, b"UNICODE\0" + text.encode(coding) + end, 0)

        below = {COMMENT: field("Zürich 日本", b"!"), 0x927C: Field(7, bytes(99), 0)}
        return {EXIF: below, GPS: {GPS_METHOD: field("GPS"), GPS_AREA: field("Zürich")}}

    def texts(found):
        fields = found[EXIF][COMMENT], found[GPS][GPS_METHOD], found[GPS][GPS_AREA]
        return [bytes(field.value) for field in fields]

    block = exif.of_directory(directories("utf-16-be"), ">")
    if changed == "into a TIFF":
        found = exif.as_tiff_fields(block, "<")
    else:
        smaller = exif.within(block, len(block) - 1)
        layout, first = exif.read_header(smaller)
        assert layout.order == "<"
        found = exif.read_tree(smaller, first, layout)
    assert texts(found) == texts(directories("utf-16-le"))


def segment(marker, payload):
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def resource(kind, number, content):
    head = kind + struct.pack(">HHL", number, 0, len(content))
    return head + content + bytes(len(content) % 2)


@pytest.mark.parametrize("apart", [False, True])
def test_iptc_behind_other_resources_is_kept(tmp_path, scene, apart):
    records = b"\x1c\x02\x05\x00\x05Title\x1c\x02\x5a\x00\x04Bern"
    resources = [
        resource(b"8BIM", 0x03ED, bytes(16)),
        resource(b"MeSa", 0x1B58, bytes(9)),
        resource(b"8BIM", 0x0404, records),
    ]
    blocks = resources if apart else [b"".join(resources)]
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    added = b"".join(segment(0xED, b"Photoshop 3.0\0" + block) for block in blocks)
    (tmp_path / "a.jpg").write_bytes(data[:2] + added + data[2:])
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as picture:
        assert IptcImagePlugin.getiptcinfo(picture) == {(2, 5): b"Title", (2, 90): b"Bern"}


def test_iptc_that_a_tiff_has_among_resources_only_is_kept(tmp_path, scene):
    records = b"\x1c\x02\x05\x00\x05Title\x1c\x02\x5a\x00\x04Bern"
    block = resource(b"8BIM", 0x03ED, bytes(16)) + resource(b"8BIM", 0x0404, records)
    tag = (0x8649, "B", len(block), block, True)
    kind = {"photometric": "rgb", "metadata": None, "extratags": [tag]}
    tifffile.imwrite(tmp_path / "a.tif", scene, **kind)
    write_photograph(read_photograph(tmp_path / "a.tif"), tmp_path / "b.tif")
    with Image.open(tmp_path / "b.tif") as picture:
        assert IptcImagePlugin.getiptcinfo(picture) == {(2, 5): b"Title", (2, 90): b"Bern"}


def test_exif_whose_flag_nobody_set_turns_a_webp(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.webp", lossless=True, exif=exif_block(6))
    data = bytearray((tmp_path / "a.webp").read_bytes())
    data[20] &= ~0x08
    (tmp_path / "a.webp").write_bytes(data)
    photograph = read_photograph(tmp_path / "a.webp")
    assert np.array_equal(photograph.pixels, np.rot90(scene, -1))
    write_photograph(photograph, tmp_path / "b.webp")
    with Image.open(tmp_path / "b.webp") as picture:
        assert picture.getexif()[0x0112] == 1


@pytest.mark.parametrize(("kind", "code"), [(8, "h"), (9, "l")])
def test_an_orientation_that_is_a_signed_number_is_applied_once(tmp_path, scene, kind, code):
    entry = struct.pack("<HHL", 0x0112, kind, 1) + struct.pack(f"<{code}", 6).ljust(4, b"\0")
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + bytes(4)
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + block)
    photograph = read_photograph(tmp_path / "a.jpg")
    assert photograph.pixels.shape[:2] == scene.shape[1::-1]
    write_photograph(photograph, tmp_path / "b.jpg")
    assert read_photograph(tmp_path / "b.jpg").pixels.shape == photograph.pixels.shape
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.getexif()[0x0112] == 1


def test_a_part_of_exif_that_is_lost_takes_nothing_else_along(tmp_path, scene):
    make = struct.pack("<HHL4s", 0x010F, 2, 4, b"Abc\0")
    pointer = struct.pack("<HHLL", 0x8769, 4, 1, 60000)
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + make + pointer + bytes(4)
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + block)
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.getexif()[0x010F] == "Abc"


@pytest.mark.parametrize(
    ("unit", "density"), [(1, (0, (1, 1))), (2, (1, (200, 100))), (3, (2, (200, 100)))]
)
def test_the_numbers_of_a_tiff_are_a_density_if_they_have_a_unit(tmp_path, scene, unit, density):
    tifffile.imwrite(
        tmp_path / "a.tif", scene, photometric="rgb", resolution=(200, 100), resolutionunit=unit
    )
    write_photograph(read_photograph(tmp_path / "a.tif"), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as picture:
        assert (picture.info["jfif_unit"], picture.info["jfif_density"]) == density


def large_exif(notes=70_000):
    found = Image.Exif()
    found[0x010F] = "Canon"
    found.get_ifd(0x8769)[0x927C] = b"n" * notes
    return found.tobytes().removeprefix(b"Exif\0\0")


def test_maker_notes_too_large_for_jpeg_are_left_out_and_told(tmp_path, scene, caplog):
    Image.fromarray(scene).save(tmp_path / "a.png", exif=b"Exif\0\0" + large_exif())
    write_photograph(read_photograph(tmp_path / "a.png"), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as written:
        found = written.getexif()
        assert found[0x010F] == "Canon"
        assert 0x927C not in found.get_ifd(0x8769)
    assert "a.png: its maker notes have no place in JPEG" in caplog.text


def test_xmp_too_large_for_jpeg_is_left_out_and_told(tmp_path, scene, caplog):
    mask = packet(f'xmp:Rating="4" xmp:Label="{"m" * 70_000}">')
    Image.fromarray(scene).save(tmp_path / "a.png")
    with_chunks(tmp_path / "a.png", (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + mask))
    write_photograph(read_photograph(tmp_path / "a.png"), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as written:
        assert "xmp" not in written.info
    assert f"a.png: its XMP metadata ({len(mask)} bytes) have no place in JPEG" in caplog.text


def test_exif_that_cannot_be_read_is_told(tmp_path, scene, caplog):
    block = bytearray(exif_block())
    block[8:10] = struct.pack("<H" if block[:2] == b"II" else ">H", 60_000)
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + bytes(block))
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as written:
        assert "exif" not in written.info
    assert "a.jpg: its EXIF is damaged and left out" in caplog.text
