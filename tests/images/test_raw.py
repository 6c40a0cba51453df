import io
import shutil
import struct
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from PIL import Image

from damage import damaged_samples
from ifan.images import boxes, raw
from ifan.images.errors import DecodingError
from ifan.images.metadata import Metadata

XMP = b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
IPTC = b"\x1c\x02\x19\x00\x03cat"

# From XYZ to the numbers of a Canon EOS 5D Mark II, and from linear sRGB to XYZ.
CAMERA = np.array(
    [[0.6722, -0.0635, -0.0963], [-0.4287, 1.2460, 0.2028], [-0.0908, 0.2162, 0.5668]]
)
LIGHT = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
TO_CAMERA = CAMERA @ LIGHT

needs_dcraw = pytest.mark.skipif(shutil.which("dcraw_emu") is None, reason="needs dcraw_emu")


def patches(height=64, width=96):
    """Linear sRGB: red, green, blue and grey quarters."""
    light = np.full((height, width, 3), 0.2)
    light[: height // 2, : width // 2] = (0.5, 0.1, 0.1)
    light[: height // 2, width // 2 :] = (0.1, 0.4, 0.1)
    light[height // 2 :, : width // 2] = (0.1, 0.1, 0.5)
    return light


def mosaic(light, exposure=1.0):
    """What a sensor with the pattern RGGB sees, in 16 bits; white is as bright as it can be."""
    seen = light @ TO_CAMERA.T / (TO_CAMERA @ np.ones(3)).max() * exposure
    sensor = np.empty(light.shape[:2])
    for row, column, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        sensor[row::2, column::2] = seen[row::2, column::2, colour]
    return np.rint(np.clip(sensor, 0, 1) * 65535).astype(np.uint16)


def rationals(values):
    return [number for value in values for number in (round(value * 10000), 10000)]


def dng(sensor, orientation=1, more=()):
    neutral = TO_CAMERA @ np.ones(3)
    tags = [
        (271, 2, 0, "Ifan", True),
        (272, 2, 0, "Test", True),
        (274, 3, 1, orientation, True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),
        (50708, 2, 0, "Ifan Test", True),
        (50717, 3, 1, 65535, True),
        (50721, 10, 9, rationals(CAMERA.ravel()), True),
        (50728, 5, 3, rationals(neutral / neutral.max()), True),
        (50778, 3, 1, 21, True),
        *more,
    ]
    out = io.BytesIO()
    options = {"photometric": "cfa", "metadata": None, "software": False}
    tifffile.imwrite(out, sensor, extratags=tags, **options)
    return out.getvalue()


def developed(data):
    sizes = []
    pixels, metadata = raw.decode(data, lambda *size: sizes.append(size))
    assert sizes == [(pixels.shape[1], pixels.shape[0])]
    assert pixels.dtype == np.uint16
    return pixels, metadata


def light_of(pixels, icc):
    """Linear sRGB as libvips computes it."""
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="rgb16")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    coded = image.icc_transform("srgb", embedded=True, intent="relative", depth=16).numpy() / 65535
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def inner(array):
    """Leave out the edges of the patches, where colours are guessed."""
    height, width = array.shape[:2]
    return array[height // 8 :: height // 4, width // 8 :: width // 4]


def test_colours_come_out_as_they_were():
    pixels, metadata = developed(dng(mosaic(patches())))
    assert pixels.shape == (64, 96, 3)
    assert np.abs(inner(light_of(pixels, metadata.icc)) - inner(patches())).max() < 0.005


def test_colours_beyond_srgb_are_kept():
    to_xyz = np.array([[0.4866, 0.2657, 0.1982], [0.2290, 0.6917, 0.0793], [0, 0.0451, 1.0439]])
    green = np.linalg.inv(LIGHT) @ to_xyz @ (0.05, 0.5, 0.05)
    assert green.min() < 0
    pixels, _ = developed(dng(mosaic(np.broadcast_to(green, (64, 96, 3)))))
    red, middle, blue = inner(pixels).mean(axis=(0, 1)) / 65535
    assert abs(((middle + 0.055) / 1.055) ** 2.4 - 0.5) < 0.01
    assert max(abs(((value + 0.055) / 1.055) ** 2.4 - 0.05) for value in (red, blue)) < 0.01


@needs_dcraw
def test_other_developers_agree(tmp_path):
    # As sRGB, which those of old know, and as bright as it was exposed.
    (tmp_path / "a.dng").write_bytes(dng(mosaic(patches())))
    options = ["-w", "-W", "-6", "-o", "1", "-g", "2.4", "12.92", "-T"]
    subprocess.run(["dcraw_emu", *options, str(tmp_path / "a.dng")], check=True)
    theirs = tifffile.imread(tmp_path / "a.dng.tiff") / 65535
    light = np.where(theirs <= 0.04045, theirs / 12.92, ((theirs + 0.055) / 1.055) ** 2.4)
    pixels, metadata = developed((tmp_path / "a.dng").read_bytes())
    assert np.abs(inner(light_of(pixels, metadata.icc)) - inner(light)).max() < 0.005


@pytest.mark.parametrize("exposure", [0.1, 0.5, 1.0])
def test_pictures_are_as_bright_as_they_were_exposed(exposure):
    pixels, metadata = developed(dng(mosaic(patches(), exposure)))
    expected = inner(patches()) * exposure
    assert np.abs(inner(light_of(pixels, metadata.icc)) - expected).max() < 0.005


def test_what_was_too_bright_is_white():
    pixels, _ = developed(dng(mosaic(np.full((64, 96, 3), 3.0))))
    assert pixels.min() > 65000


UPRIGHT = {
    1: lambda array: array,
    2: lambda array: array[:, ::-1],
    3: lambda array: array[::-1, ::-1],
    4: lambda array: array[::-1],
    5: lambda array: array.swapaxes(0, 1),
    6: lambda array: array.swapaxes(0, 1)[:, ::-1],
    7: lambda array: array[::-1, ::-1].swapaxes(0, 1),
    8: lambda array: array.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_are_turned_upright(orientation):
    pixels, metadata = developed(dng(mosaic(patches()), orientation))
    expected = UPRIGHT[orientation](patches())
    assert pixels.shape == expected.shape
    assert np.abs(inner(light_of(pixels, metadata.icc)) - inner(expected)).max() < 0.005
    assert b"\x12\x01\x03\0" not in metadata.exif


def test_a_camera_that_sees_grey_gives_grey():
    ramp = np.tile(np.linspace(0, 40000, 96).astype(np.uint16), (64, 1))
    tags = [
        (272, 2, 0, "Mono", True),
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),
        (50717, 3, 1, 65535, True),
    ]
    out = io.BytesIO()
    tifffile.imwrite(out, ramp, extratags=tags, metadata=None, photometric="minisblack")
    data = bytearray(out.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        struct.pack_into("<H", data, file.pages[0].tags[262].valueoffset, 34892)
    pixels, metadata = developed(bytes(data))
    assert pixels.shape == (64, 96, 1)
    assert metadata.icc is None
    coded = pixels[32, :, 0] / 65535
    light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    assert np.abs(light - ramp[0] / 65535).max() < 0.005


def test_what_the_camera_wrote_is_found(tmp_path, exiftool):
    path = tmp_path / "a.dng"
    more = [(700, 1, len(XMP), XMP, True), (33723, 7, len(IPTC), IPTC, True)]
    path.write_bytes(dng(mosaic(patches()), 6, more))
    exiftool.write(path, "-ExposureTime=1/125", "-LensModel=EF 50mm", "-GPSLatitude=46.5")
    _, found = developed(path.read_bytes())
    assert (found.xmp, found.iptc) == (XMP, IPTC)
    assert (
        written(tmp_path, exiftool, found.exif).items()
        >= {
            "IFD0:Make": "Ifan",
            "IFD0:Model": "Test",
            "ExifIFD:ExposureTime": 0.008,
            "ExifIFD:LensModel": "EF 50mm",
            "GPS:GPSLatitude": 46.5,
        }.items()
    )
    completed = raw.completed(Metadata(icc=b"icc"), path.read_bytes())
    assert completed == Metadata(found.exif, XMP, IPTC, b"icc")


def written(tmp_path, exiftool, block):
    """What a JPEG with this EXIF block tells."""
    Image.new("RGB", (8, 8)).save(tmp_path / "read.jpg", exif=b"Exif\0\0" + block)
    assert not exiftool.faults(tmp_path / "read.jpg")
    return exiftool.read(tmp_path / "read.jpg")


@pytest.mark.parametrize(("size", "is_kept"), [(50_000, True), (80_000, False)])
def test_maker_notes_that_fit_in_no_photograph_are_left(size, is_kept):
    notes = b"NoMaker\0" + bytes(size)
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    exif[0xC612] = b"\1\4\0\0"
    exif.get_ifd(0x8769)[0x927C] = notes
    exif.get_ifd(0x8769)[0xA434] = "EF 50mm"
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    found = raw.completed(Metadata(), block).exif
    assert len(found) <= 65527
    assert (notes in found) is is_kept
    assert b"EF 50mm" in found
    assert b"Canon" in found


@pytest.mark.parametrize("magic", [b"IIRO", b"IIRS", b"IIU\0"])
def test_what_is_nearly_tiff_is_read_as_tiff(magic):
    data = magic + dng(mosaic(patches()))[4:]
    assert raw.recognises(data)
    assert (
        raw.completed(Metadata(), data).exif == raw.completed(Metadata(), b"II*\0" + data[4:]).exif
    )


def raf(sensor, exif):
    """A file as of a Fujifilm FinePix S9500, whose sensor numbers lie there as they are."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(out, "JPEG", exif=exif)
    jpeg = out.getvalue()
    # EXIF comes first there.
    jpeg = jpeg[:2] + jpeg[4 + int.from_bytes(jpeg[4:6], "big") :]
    size = struct.pack(">HH", *sensor.shape)
    table = [(0x100, size), (0x121, size), (0x130, b"\0\x08\0\0")]
    entries = b"".join(struct.pack(">HH", tag, len(value)) + value for tag, value in table)
    header = struct.pack(">L", len(table)) + entries
    places = 148, len(jpeg), 148 + len(jpeg), len(header), 148 + len(jpeg) + len(header)
    begin = b"FUJIFILMCCD-RAW 0201FF383501".ljust(28, b"\0") + b"FinePix S9500".ljust(56, b"\0")
    begin += struct.pack(">6L", *places, sensor.nbytes)
    return begin.ljust(148, b"\0") + jpeg + header + sensor.astype(">u2").tobytes()


def test_what_only_the_preview_tells_is_found():
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "FUJIFILM", "FinePix S9500"
    exif.get_ifd(0x8769)[0x829A] = 0.01
    exif.get_ifd(0x8769)[0x927C] = b"FUJIFILM" + bytes(range(100))
    data = raf(np.full((100, 150), 0x0303, np.uint16), exif)
    assert raw.recognises(data)
    pixels, found = developed(data)
    assert pixels.shape == (100, 150, 3)
    assert found.exif == exif.tobytes().removeprefix(b"Exif\0\0")


def cr3(blocks, xmp):
    """The boxes of a CR3 file that tell of the photograph."""
    canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    described = boxes.written(b"uuid", canon, *(boxes.written(*block) for block in blocks))
    named = boxes.written(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), xmp)
    begin = boxes.written(b"ftyp", b"crx \0\0\0\1crx isom")
    return begin + boxes.written(b"moov", described) + named + boxes.written(b"mdat", bytes(99))


def first_directory(order=b"II", **fields):
    exif = Image.Exif()
    exif.endian = "<" if order == b"II" else ">"
    for tag, value in fields.items():
        exif[int(tag[1:])] = value
    return exif.tobytes().removeprefix(b"Exif\0\0")


def test_what_canon_spreads_over_boxes_is_joined(tmp_path, exiftool):
    main = first_directory(_271="Canon", _272="EOS R5", _274=6)
    details = first_directory(_33434=0.008, _42036="RF 50mm")
    place = first_directory(_1="N", _2=(46.0, 30.0, 0.0))
    data = cr3([(b"CMT1", main), (b"CMT2", details), (b"CMT4", place)], XMP)
    (tmp_path / "a.cr3").write_bytes(data)
    assert raw.recognises(data)
    found = raw.completed(Metadata(), data)
    assert found.xmp == XMP
    ours = written(tmp_path, exiftool, found.exif)
    theirs = exiftool.read(tmp_path / "a.cr3")
    tags = ["Make", "Model", "ExposureTime", "LensModel", "GPSLatitude"]
    values = ["Canon", "EOS R5", 0.008, "RF 50mm", 46.5]
    for told in (ours, theirs):
        named = {tag.split(":")[1]: value for tag, value in told.items() if ":" in tag}
        assert [named.get(tag) for tag in tags] == values
    # The picture is upright already.
    assert "IFD0:Orientation" not in ours


def thumbnail_with(photometric, **options):
    """A TIFF file whose first page is a thumbnail, with a picture below it."""
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        small = np.zeros((16, 16, 3), np.uint8)
        file.write(small, photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        shape = (64, 64) if photometric == "cfa" else (64, 64, 3)
        extra = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, b"\0\1\1\2", True)]
        options = {"extratags": extra if photometric == "cfa" else []}
        file.write(np.zeros(shape, np.uint16), photometric=photometric, metadata=None, **options)
    return out.getvalue()


def pages(*subfiletypes):
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        for kind in subfiletypes:
            page = np.zeros((16, 16, 3), np.uint8)
            file.write(page, photometric="rgb", subfiletype=kind, metadata=None)
    return out.getvalue()


def test_raw_is_told_from_tiff():
    assert raw.recognises(dng(mosaic(patches())))
    assert raw.recognises(thumbnail_with("cfa"))
    assert raw.recognises(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))
    assert raw.recognises(b"II*\0\x10\0\0\0IIII\1waR" + bytes(100))
    assert raw.recognises(b"MM\0*\0\0\0\x10MMMMRaw\1" + bytes(100))
    assert raw.recognises(b"\0\0\0\x18ftypcrx " + bytes(100))
    assert raw.recognises(b"FUJIFILMCCD-RAW 0201")
    assert raw.recognises(b"FOVb\0\0\2\0")
    assert not raw.recognises(pages(0))
    assert not raw.recognises(pages(0, 1))
    assert not raw.recognises(pages(1, 0))
    # Nothing but previews, and beyond the first twenty a picture.
    assert not raw.recognises(pages(*[1] * 30, 0))
    assert not raw.recognises(b"")
    assert not raw.recognises(b"II*\0")
    assert not raw.recognises(b"\xff\xd8\xff\xe0" + bytes(100))


def test_nothing_but_previews_is_raw_unless_libraw_does_not_know_it(monkeypatch):
    assert not raw.recognises(pages(1, 1))
    # Where LibRaw is not installed nobody knows; read as TIFF it would be but a preview.
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert raw.recognises(pages(1, 1))


@pytest.mark.parametrize("error", ["LibRawIOError", "LibRawDataError", None])
def test_nothing_but_previews_is_raw_if_libraw_knows_it_though_it_is_damaged(monkeypatch, error):
    rawpy = pytest.importorskip("rawpy")

    def open_buffer(_self, _file):
        if error:
            raise getattr(rawpy, error)(b"damaged")

    names = {"__enter__": lambda self: self, "__exit__": lambda *_: None}
    monkeypatch.setattr(rawpy, "RawPy", type("Opened", (), names | {"open_buffer": open_buffer}))
    assert raw.recognises(pages(1, 1))


def test_sizes_are_asked_for_before_the_picture_is_developed():
    class TooLargeError(Exception):
        pass

    def refuse(width, height):
        raise TooLargeError(width, height)

    with pytest.raises(TooLargeError, match="64, 96"):
        raw.decode(dng(mosaic(patches()), 6), refuse)


@pytest.mark.parametrize("keep", [0, 0.01, 0.05, 0.5, 0.99])
def test_what_is_cut_short_is_refused(keep):
    data = dng(mosaic(patches()))
    with pytest.raises(DecodingError):
        raw.decode(data[: int(len(data) * keep)], lambda *_: None)


def test_what_libraw_does_not_know_is_refused():
    with pytest.raises(DecodingError, match="kind"):
        raw.decode(b"FUJIFILMCCD-RAW 0201" + bytes(10_000), lambda *_: None)


@cache
def samples():
    sub = dng(mosaic(patches(16, 16)), 6, [(700, 1, len(XMP), XMP, True)])
    blocks = [(b"CMT1", first_directory(_271="Canon")), (b"CMT2", first_directory(_33434=0.008))]
    return [sub, thumbnail_with("cfa"), b"IIU\0" + sub[4:], cr3(blocks, XMP)]


@settings(max_examples=500, deadline=None)
@given(damaged_samples(samples, header=500))
def test_damage_does_no_harm(data):
    assert isinstance(raw.completed(Metadata(), data), Metadata)
    assert raw.recognises(data) in (True, False)
