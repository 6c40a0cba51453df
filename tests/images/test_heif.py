import io
import itertools
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
from ifan.images import boxes, heif
from ifan.images.errors import DecodingError
from ifan.images.metadata import Metadata, from_header
from ifan.images.tiff_structure import StructureError

XMP = b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

needs_avifenc = pytest.mark.skipif(shutil.which("avifenc") is None, reason="needs avifenc")
needs_avifdec = pytest.mark.skipif(shutil.which("avifdec") is None, reason="needs avifdec")
needs_heif_enc = pytest.mark.skipif(shutil.which("heif-enc") is None, reason="needs heif-enc")
needs_convert = pytest.mark.skipif(shutil.which("heif-convert") is None, reason="needs libheif")


def exif_block(orientation=6):
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    if orientation:
        exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xFDE8] = "a tag nobody knows"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def picture(height=48, width=64, bands=3):
    """No two quarters alike, smooth enough for the codecs."""
    rows, columns = np.mgrid[0:height, 0:width]
    colours = [rows * 5 % 256, columns * 4 % 256, 255 - rows * 2 - columns]
    alpha = 55 + columns * 3
    return np.stack([*colours, alpha][:bands], axis=-1).astype(np.uint8)


def saved(pixels, icc=None, **options):
    """As our writer does: only the ICC profile is kept."""
    space = "srgb" if pixels.dtype == np.uint8 else "rgb16"
    image = pyvips.Image.new_from_array(pixels).copy(interpretation=space)
    if icc:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    options = {"compression": "av1", "effort": 0, "keep": 8, "subsample_mode": "off"} | options
    return bytes(image.heifsave_buffer(**options))


def opened(data):
    return pyvips.Image.heifload_buffer(data)


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("icc", [None, PROFILE], ids=["plain", "profile"])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_blocks_are_put_in_to_the_byte(bands, icc, bits):
    pixels = picture(bands=bands)
    if bits > 8:
        pixels = pixels.astype(np.uint16) * 257
    before = saved(pixels, icc, bitdepth=bits)
    after = heif.embed(before, Metadata(exif_block(), XMP))
    assert np.array_equal(opened(after).numpy(), opened(before).numpy())
    with Image.open(io.BytesIO(after)) as image:
        assert image.info["xmp"] == XMP
        assert image.info.get("icc_profile") == icc
        # Pillow turns the picture, and says so, as EXIF has it: the file itself says nothing.
        assert image.getexif()[0x010F] == "Canon"
        assert image.getexif().get_ifd(0x8769)[0xFDE8] == "a tag nobody knows"
    found = heif.completed(Metadata(), after)
    assert (found.exif, found.xmp) == (exif_block(), XMP)


@needs_avifdec
@pytest.mark.parametrize("bands", [3, 4])
def test_other_readers_find_picture_and_blocks(tmp_path, exiftool, bands):
    before = saved(picture(bands=bands), PROFILE)
    (tmp_path / "before.avif").write_bytes(before)
    (tmp_path / "a.avif").write_bytes(heif.embed(before, Metadata(exif_block(), XMP)))
    said = run("avifdec", "--info", tmp_path / "a.avif")
    assert f"XMP Metadata   : Present ({len(XMP)} bytes)" in said
    assert f"Exif Metadata  : Present ({len(exif_block())} bytes)" in said
    run("avifdec", tmp_path / "a.avif", tmp_path / "a.png")
    run("avifdec", tmp_path / "before.avif", tmp_path / "before.png")
    with Image.open(tmp_path / "a.png") as ours, Image.open(tmp_path / "before.png") as theirs:
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    found = exiftool.read(tmp_path / "a.avif")
    assert (found["IFD0:Make"], found["IFD0:Orientation"]) == ("Canon", 6)
    assert exiftool.binary(tmp_path / "a.avif", "exif") == exif_block()
    assert exiftool.binary(tmp_path / "a.avif", "xmp") == XMP
    assert not exiftool.faults(tmp_path / "a.avif")


@needs_avifdec
@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("size", [4, 8])
def test_pictures_are_found_again_however_their_places_were_told(tmp_path, version, size):
    data = with_places_told(saved(picture(bands=4)), version, size)
    for name, content in (("a", data), ("b", heif.embed(data, Metadata(exif_block(), XMP)))):
        (tmp_path / f"{name}.avif").write_bytes(content)
        run("avifdec", tmp_path / f"{name}.avif", tmp_path / f"{name}.png")
    with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / "b.png") as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
    assert "Exif Metadata  : Present" in run("avifdec", "--info", tmp_path / "b.avif")


def with_places_told(data, version, size):
    """Write the table of places in another way: base and offset, each of so many bytes."""
    meta = boxes.Meta.of(data)
    places, old = meta.places(), meta.parts[b"iloc"]
    id_size = 4 if version == 2 else 2

    def table(moved):
        out = bytes([version, 0, 0, 0, size << 4 | size, size << 4])
        out += len(places).to_bytes(id_size, "big")
        for number, place in places.items():
            ((offset, length),) = place.extents
            out += number.to_bytes(id_size, "big") + bytes(4 if version else 2)
            out += (offset + moved - 3).to_bytes(size, "big") + b"\0\1"
            out += (3).to_bytes(size, "big") + length.to_bytes(size, "big")
        return struct.pack(">L4s", len(out) + 8, b"iloc") + out

    longer = len(table(0)) - (old.end - old.start)
    head = bytearray(data[: old.start])
    struct.pack_into(">L", head, meta.box.start, meta.box.end - meta.box.start + longer)
    return bytes(head) + table(longer) + data[old.end :]


@needs_heif_enc
@needs_convert
def test_what_lies_within_the_table_of_items_stays_there(tmp_path, exiftool):
    # Grids do, and their tiles lie behind; two pictures have references already.
    for name, shade in (("a", 0), ("b", 99)):
        Image.fromarray(picture(64, 64) + np.uint8(shade)).save(tmp_path / f"{name}.png")
    run("heif-enc", "-q", 90, tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "a.heic")
    data = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "c.heic").write_bytes(heif.embed(data, Metadata(exif_block(), XMP)))
    run("heif-convert", tmp_path / "a.heic", tmp_path / "before.png")
    run("heif-convert", tmp_path / "c.heic", tmp_path / "after.png")
    pictures = sorted(path.name for path in tmp_path.glob("before*.png"))
    assert len(pictures) == 2
    for name in pictures:
        before = np.asarray(Image.open(tmp_path / name))
        after = np.asarray(Image.open(tmp_path / name.replace("before", "after")))
        assert np.array_equal(before, after)
    assert exiftool.binary(tmp_path / "c.heic", "exif") == exif_block()


def test_nothing_to_add_changes_nothing():
    data = saved(picture())
    assert heif.embed(data, Metadata(icc=PROFILE)) == data


@needs_avifenc
def test_what_others_wrote_is_found(tmp_path):
    (tmp_path / "exif").write_bytes(exif_block(1))
    (tmp_path / "xmp").write_bytes(XMP)
    Image.fromarray(picture()).save(tmp_path / "a.png")
    blocks = ["--exif", tmp_path / "exif", "--xmp", tmp_path / "xmp"]
    run("avifenc", *blocks, tmp_path / "a.png", tmp_path / "a.avif")
    data = (tmp_path / "a.avif").read_bytes()
    found = heif.completed(from_header(opened(data)), data)
    assert (found.exif, found.xmp) == (exif_block(1), XMP)


def test_the_prefix_of_jpeg_is_no_part_of_the_block():
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, "AVIF", exif=b"Exif\0\0" + exif_block(None))
    assert b"Exif\0\0MM" in out.getvalue()
    assert heif.completed(Metadata(), out.getvalue()).exif == exif_block(None)


@needs_avifenc
def test_codes_of_colours_are_read(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    Image.fromarray(picture()).save(tmp_path / "icc.png", icc_profile=PROFILE)
    run("avifenc", "--cicp", "12/13/6", tmp_path / "a.png", tmp_path / "a.avif")
    run("avifenc", "--cicp", "12/13/6", tmp_path / "icc.png", tmp_path / "icc.avif")
    assert heif.nclx((tmp_path / "a.avif").read_bytes()) == (12, 13, 6)
    assert heif.nclx((tmp_path / "icc.avif").read_bytes()) is None
    assert heif.nclx(saved(picture(), PROFILE)) is None


@needs_avifenc
def test_what_tiles_say_counts_for_the_whole(tmp_path):
    Image.fromarray(picture(128, 128)).save(tmp_path / "a.png")
    cicp = ["--cicp", "9/16/9", "-d", 10]
    run("avifenc", "-g", "2x2", *cicp, tmp_path / "a.png", tmp_path / "a.avif")
    data = (tmp_path / "a.avif").read_bytes()
    assert heif.nclx(data) == (9, 16, 9)


@needs_avifenc
def test_films_are_told_from_stills(tmp_path):
    for name, shade in (("a", 0), ("b", 99)):
        Image.fromarray(picture(64, 64) + np.uint8(shade)).save(tmp_path / f"{name}.png")
    run("avifenc", tmp_path / "a.png", tmp_path / "b.png", tmp_path / "film.avif")
    run("avifenc", tmp_path / "a.png", tmp_path / "still.avif")
    assert heif.is_sequence((tmp_path / "film.avif").read_bytes())
    assert not heif.is_sequence((tmp_path / "still.avif").read_bytes())


@needs_avifenc
def test_colours_multiplied_with_alpha_are_told(tmp_path):
    Image.fromarray(picture(bands=4)).save(tmp_path / "a.png")
    run("avifenc", tmp_path / "a.png", tmp_path / "a.avif")
    run("avifenc", "--premultiply", tmp_path / "a.png", tmp_path / "b.avif")
    assert not heif.is_premultiplied((tmp_path / "a.avif").read_bytes())
    assert heif.is_premultiplied((tmp_path / "b.avif").read_bytes())


def decoded(data):
    sizes = []
    pixels, metadata = heif.decode(data, lambda *size: sizes.append(size))
    assert sizes == [(pixels.shape[1], pixels.shape[0])]
    return pixels, metadata


def heic(tmp_path, pixels, *options, **info):
    Image.fromarray(pixels).save(tmp_path / "a.png", **info)
    run("heif-enc", "-q", 95, *options, tmp_path / "a.png", "-o", tmp_path / "a.heic")
    return (tmp_path / "a.heic").read_bytes()


@needs_heif_enc
@needs_convert
@pytest.mark.parametrize("size", [(48, 64), (47, 61), (100, 333)])
def test_heic_is_decoded_as_by_others(tmp_path, size):
    data = heic(tmp_path, picture(*size), icc_profile=PROFILE)
    run("heif-convert", tmp_path / "a.heic", tmp_path / "b.png")
    pixels, found = decoded(data)
    assert pixels.dtype == np.uint8
    with Image.open(tmp_path / "b.png") as theirs:
        assert np.abs(pixels.astype(int) - np.asarray(theirs)).max() <= 2
    assert pixels.shape == (*size, 3)
    assert (found.icc, found.exif, found.bits) == (PROFILE, None, None)


@needs_heif_enc
@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("is_grey", [False, True])
def test_more_bits_become_the_full_range_of_16(tmp_path, bits, is_grey):
    values = np.clip(np.linspace(-10000, 75000, 64), 0, 65535)
    ramp = np.tile(values.astype(np.uint16), (64, 1))
    pixels = ramp if is_grey else np.dstack([ramp] * 3)
    space = "grey16" if is_grey else "rgb16"
    pyvips.Image.new_from_array(pixels).copy(interpretation=space).pngsave(tmp_path / "a.png")
    run("heif-enc", "-q", 99, "-b", bits, tmp_path / "a.png", "-o", tmp_path / "a.heic")
    found, metadata = decoded((tmp_path / "a.heic").read_bytes())
    assert (found.dtype, found.shape) == (np.uint16, (64, 64, 1 if is_grey else 3))
    assert (found.min(), found.max()) == (0, 65535)
    assert np.abs(found[..., 0].astype(int) - ramp).max() < 65535 / 100
    assert metadata.bits == bits


@needs_heif_enc
def test_grey_and_transparency_are_kept(tmp_path):
    grey, _ = decoded(heic(tmp_path, picture()[..., 0]))
    assert grey.shape == (48, 64, 1)
    pixels, _ = decoded(heic(tmp_path, picture(bands=4)))
    assert pixels.shape == (48, 64, 4)
    assert np.abs(pixels.astype(int) - picture(bands=4)).mean() < 3


@needs_heif_enc
def test_colours_are_not_multiplied_with_alpha(tmp_path):
    straight = picture(bands=4)
    alpha = straight[..., 3:] / 255
    multiplied = np.dstack([np.rint(straight[..., :3] * alpha), straight[..., 3]]).astype(np.uint8)
    data = heic(tmp_path, multiplied, "--premultiplied-alpha", "-p", "chroma=444")
    assert heif.is_premultiplied(data)
    pixels, _ = decoded(data)
    assert np.abs(pixels.astype(int) - straight)[:, 10:].mean() < 4


@needs_heif_enc
@needs_convert
@pytest.mark.parametrize("angle", [None, 1, 2, 3])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_pictures_are_turned_once(tmp_path, angle, axis):
    exif = b"Exif\0\0" + exif_block(6)
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    run("heif-enc", "-q", 95, tmp_path / "a.jpg", "-o", tmp_path / "a.heic")
    data = turned((tmp_path / "a.heic").read_bytes(), angle, axis)
    (tmp_path / "b.heic").write_bytes(data)
    run("heif-convert", tmp_path / "b.heic", tmp_path / "b.png")
    pixels, found = decoded(data)
    upright = np.rot90(picture(), angle or 0).astype(int)
    if axis is not None:
        upright = np.flip(upright, axis)
    with Image.open(tmp_path / "b.png") as theirs:
        assert np.abs(pixels.astype(int) - np.asarray(theirs)).max() <= 2
    assert pixels.shape == upright.shape
    assert np.abs(pixels - upright).mean() < 3
    assert found.exif == exif_block(6)


def turned(data, angle, axis):
    """Add to the main picture that it is to be turned, and then mirrored."""
    meta = boxes.Meta.of(data)
    added = [
        boxes.written(kind, bytes([value]))
        for kind, value in ((b"irot", angle), (b"imir", axis))
        if value is not None
    ]
    properties = {box.type: box for box in boxes.inside(data, meta.parts[b"iprp"])}
    known, links = properties[b"ipco"], properties[b"ipma"]
    numbers = range(len(list(boxes.inside(data, known))) + 1, 200)[: len(added)]
    kinds = boxes.written(b"ipco", data[known.content : known.end], *added)
    # The main picture is the last of the table, of one byte for each property.
    old = bytearray(data[links.content : links.end])
    place = old.rindex(meta.primary().to_bytes(2, "big")) + 2
    old[place] += len(added)
    new = boxes.written(b"ipma", bytes(old), bytes(0x80 | number for number in numbers))
    return with_part(meta, boxes.written(b"iprp", kinds, new))


def with_part(meta, part):
    """Put another box into the table of items, and move what lies behind."""

    def table(moved):
        places = {
            number: place._replace(
                extents=tuple((at + (0 if place.method else moved), n) for at, n in place.extents)
            )
            for number, place in meta.places().items()
        }
        changed = {b"iloc": boxes.written_places(places), part[4:8]: part}
        parts = boxes.inside(meta.data, meta.box, skip=4)
        contents = [changed.get(box.type, meta.data[box.start : box.end]) for box in parts]
        return boxes.written(b"meta", bytes(4), *contents)

    moved = len(table(0)) - (meta.box.end - meta.box.start)
    return meta.data[: meta.box.start] + table(moved) + meta.data[meta.box.end :]


@needs_heif_enc
def test_orientation_in_exif_turns_nothing(tmp_path):
    exif = b"Exif\0\0" + exif_block(6)
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=exif, xmp=XMP, quality=95)
    run("heif-enc", tmp_path / "a.jpg", "-o", tmp_path / "a.heic")
    pixels, found = decoded((tmp_path / "a.heic").read_bytes())
    assert pixels.shape == (48, 64, 3)
    assert (found.exif, found.xmp) == (exif_block(6), XMP)


@needs_heif_enc
def test_the_main_picture_of_several_is_taken(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    Image.new("RGB", (128, 64), "lime").save(tmp_path / "b.png")
    run("heif-enc", tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "a.heic")
    data = (tmp_path / "a.heic").read_bytes()
    pixels, _ = decoded(data)
    assert pixels.shape == (64, 64, 3)
    meta = boxes.Meta.of(data)
    second = max(meta.items()).to_bytes(2, "big")
    pixels, _ = decoded(with_part(meta, boxes.written(b"pitm", bytes(4), second)))
    assert pixels.shape == (64, 128, 3)
    assert pixels[32, 32, 1] > 200
    assert not heif.is_sequence(data)


@needs_heif_enc
def test_sizes_are_asked_for_before_pixels_are_decoded(tmp_path):
    class TooLargeError(Exception):
        pass

    def refuse(width, height):
        raise TooLargeError(width, height)

    data = heic(tmp_path, picture())
    with pytest.raises(TooLargeError, match="64, 48"):
        heif.decode(data, refuse)


@needs_heif_enc
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_what_is_cut_short_is_refused(tmp_path, keep):
    data = heic(tmp_path, picture())
    with pytest.raises(DecodingError):
        heif.decode(data[: int(len(data) * keep)], lambda *_: None)


@needs_heif_enc
def test_files_that_lie_do_not_end_the_process(tmp_path):
    # Of `pi_heif` 1.4 they would: it takes names for text, and bits for those of the numbers.
    Image.fromarray(picture()).save(tmp_path / "b.jpg", xmp=XMP)
    run("heif-enc", tmp_path / "b.jpg", "-o", tmp_path / "b.heic")
    named = (
        (tmp_path / "b.heic").read_bytes().replace(b"application/rdf", b"application/\xff\xff\xff")
    )
    grey = bytearray(heic(tmp_path, picture()[..., 0]))
    place = grey.index(b"hvcC") + 4 + 17
    assert grey[place] == 0xF8
    grey[place] = 0xFF
    for data in (named, bytes(grey)):
        with pytest.raises(DecodingError):
            heif.decode(data, lambda *_: None)


def test_what_the_package_cannot_decode_is_refused():
    with pytest.raises(DecodingError):
        heif.decode(saved(picture()), lambda *_: None)


@cache
def samples():
    avif, film = saved(picture(16, 16, 4), PROFILE), io.BytesIO()
    frames = [Image.fromarray(picture(16, 16) + np.uint8(shade)) for shade in (0, 99)]
    frames[0].save(film, "AVIF", save_all=True, append_images=frames[1:])
    return [avif, heif.embed(avif, Metadata(exif_block(), XMP)), film.getvalue()]


@settings(max_examples=500, deadline=None)
@given(damaged_samples(samples, header=600))
def test_damage_does_no_harm(data):
    assert isinstance(heif.completed(Metadata(), data), Metadata)
    assert heif.is_sequence(data) in (True, False)
    assert heif.is_premultiplied(data) in (True, False)
    heif.nclx(data)
    with suppress(StructureError):
        heif.embed(data, Metadata(exif_block(), XMP))
    with suppress(StructureError):
        list(boxes.boxes(data))


def test_files_made_to_explode_do_not():
    # Each piece of an item is the whole file; each of another has no size.
    data = heif.embed(saved(picture(16, 16)), Metadata(exif_block(), XMP))
    meta = boxes.Meta.of(data)
    many = tuple(itertools.repeat((0, len(data)), 60_000))
    with pytest.raises(StructureError):
        meta.content(boxes.Place(0, 0, many))
    sizeless = struct.pack(">BBHBBHHHH", 1, 0, 0, 0, 0, 1, 1, 0, 0) + b"\xff\xff"
    table = boxes.written(b"iloc", sizeless)
    with pytest.raises(StructureError):
        boxes.Meta(table, boxes.Box(b"meta", 0, 0, 0), {b"iloc": next(boxes.boxes(table))}).places()


def test_a_box_within_itself_is_walked_once():
    nested = b""
    for _ in range(2000):
        nested = boxes.written(b"moov", nested)
    assert [box.type for box in boxes.boxes(nested)] == [b"moov"]
    assert not heif.is_sequence(nested)
