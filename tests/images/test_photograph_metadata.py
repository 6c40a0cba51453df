import re

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

from ifan.images import read_photograph, write_photograph

ALL = ["jpg", "png", "tif", "webp", "avif"]
# They have no place for IPTC records; what says the same in XMP is kept.
WITHOUT_IPTC = WITHOUT_DENSITY = ("webp", "avif")
WRITTEN = [
    "-Make=Canon",
    "-Model=EOS 5D",
    "-Artist=Zoë",
    "-Copyright=me",
    "-ImageDescription=a cat",
    "-DateTimeOriginal=2020:01:02 03:04:05",
    "-OffsetTimeOriginal=+02:00",
    "-ExposureTime=1/125",
    "-FNumber=1.8",
    "-LensModel=EF 50mm",
    "-UserComment=héllo wörld",
    "-GPSLatitude=46.5",
    "-GPSLatitudeRef=N",
    "-GPSLongitude=7.25",
    "-GPSLongitudeRef=W",
    "-XMP-dc:Title=Sunset",
    "-XMP-xmp:Rating=4",
    "-IPTC:Keywords=one",
    "-IPTC:Keywords=two",
    "-IPTC:City=Bern",
]
KEPT = {
    "IFD0:Make": "Canon",
    "IFD0:Model": "EOS 5D",
    "IFD0:Artist": "Zoë",
    "IFD0:Copyright": "me",
    "IFD0:ImageDescription": "a cat",
    "ExifIFD:DateTimeOriginal": "2020:01:02 03:04:05",
    "ExifIFD:OffsetTimeOriginal": "+02:00",
    "ExifIFD:ExposureTime": 0.008,
    "ExifIFD:FNumber": 1.8,
    "ExifIFD:LensModel": "EF 50mm",
    "ExifIFD:UserComment": "héllo wörld",
    "Composite:GPSLatitude": 46.5,
    "Composite:GPSLongitude": -7.25,
    "XMP-dc:Title": "Sunset",
    "XMP-xmp:Rating": 4,
    "IPTC:Keywords": ["one", "two"],
    "IPTC:City": "Bern",
}


def expected(source, target):
    """Return what must be found in a file of the target's format."""
    without = {source, target} & set(WITHOUT_IPTC)
    return {tag: value for tag, value in KEPT.items() if not (without and tag.startswith("IPTC:"))}


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("order", ["II", "MM"])
def test_what_the_camera_wrote_is_kept(tmp_path, exiftool, scene, source, target, order):
    before, after = tmp_path / f"before.{source}", tmp_path / f"after.{target}"
    # TIFF has the byte order of its pixels.
    Image.fromarray(scene).save(before, dpi=(300, 300))
    exiftool.write(before, f"-ExifByteOrder={order}", *WRITTEN)
    write_photograph(read_photograph(before), after)
    found = exiftool.read(after)
    kept = expected(source, target)
    assert {tag: found.get(tag) for tag in kept} == kept
    # A density of 300 per inch, which WebP and AVIF have in EXIF or nowhere.
    density = {"png": "PNG-pHYs:PixelsPerUnitX", "jpg": "JFIF:XResolution"}
    if source not in WITHOUT_DENSITY:
        per_unit = 11811 if target == "png" else 300
        assert found[density.get(target, "IFD0:XResolution")] == per_unit
    assert not exiftool.faults(after)


@pytest.mark.parametrize("target", ALL)
def test_a_second_round_changes_nothing(tmp_path, exiftool, scene, target):
    first, second = tmp_path / f"first.{target}", tmp_path / f"second.{target}"
    Image.fromarray(scene).save(tmp_path / "a.jpg", dpi=(240, 240))
    exiftool.write(tmp_path / "a.jpg", *WRITTEN, "-Comment=hello")
    write_photograph(read_photograph(tmp_path / "a.jpg"), first)
    write_photograph(read_photograph(first), second)
    ours, theirs = exiftool.read(first), exiftool.read(second)
    fresh = ("System:", "SourceFile", "ExifTool:")
    # Strips lie elsewhere when the directory behind them has grown or shrunk.
    different = {
        tag
        for tag in ours.keys() | theirs.keys()
        if ours.get(tag) != theirs.get(tag) and not tag.startswith(fresh)
    }
    assert different <= {"IFD0:StripOffsets", "QuickTime:MediaDataSize"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
def test_orientation_is_applied_once(tmp_path, scene, orientation, source, target):
    before, after = tmp_path / f"before.{source}", tmp_path / f"after.{target}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(scene).save(before, exif=exif)
    with Image.open(before) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture)).astype(int)
    write_photograph(read_photograph(before), after)
    with Image.open(after) as picture:
        assert picture.getexif().get(0x0112, 1) == 1
        again = np.asarray(picture).astype(int)
    assert again.shape == upright.shape
    assert np.abs(again - upright).max() <= 12
    # And once more through our own hands.
    twice = read_photograph(after).pixels.astype(int)
    assert np.abs(twice - upright).max() <= 12


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
def test_every_copy_of_the_orientation_is_reset(tmp_path, exiftool, scene, source, target):
    before, after = tmp_path / f"before.{source}", tmp_path / f"after.{target}"
    Image.fromarray(scene).save(before)
    exiftool.write(before, "-Orientation#=6", "-XMP-tiff:Orientation#=6")
    write_photograph(read_photograph(before), after)
    found = exiftool.read(after)
    assert found.get("IFD0:Orientation", 1) == 1
    assert found["XMP-tiff:Orientation"] == 1
    # An AVIF picture is turned by its own boxes; what EXIF says is history there.
    assert read_photograph(after).pixels.shape == ((48, 64, 3) if source == "avif" else (64, 48, 3))


@pytest.mark.parametrize("target", ALL)
def test_sizes_in_exif_turn_with_the_picture(tmp_path, exiftool, scene, target):
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    sizes = ["-ExifImageWidth=64", "-ExifImageHeight=48"]
    exiftool.write(tmp_path / "a.jpg", "-Orientation#=6", *sizes)
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / f"b.{target}")
    found = exiftool.read(tmp_path / f"b.{target}")
    assert (found["ExifIFD:ExifImageWidth"], found["ExifIFD:ExifImageHeight"]) == (48, 64)


# Of what is at rows 8 to 15 and columns 40 to 51 of 48x64 pixels.
PLACES = [
    "-SubjectArea=45 11 12 8",
    "-SubjectLocation=45 11",
    *("-RegionAppliedToDimensionsW=64", "-RegionAppliedToDimensionsH=48", "-RegionType=Face"),
    *("-RegionAreaX=0.71875", "-RegionAreaY=0.25", "-RegionAreaW=0.1875", "-RegionAreaH=0.166667"),
    *("-XMP-crs:CropLeft=0.625", "-XMP-crs:CropRight=0.8125"),
    *("-XMP-crs:CropTop=0.166667", "-XMP-crs:CropBottom=0.333333", "-XMP-crs:HasCrop=True"),
]


def places(found):
    """Return what a file says of the places in it, and the size that regions are meant for."""
    region = [found[f"XMP-mwg-rs:RegionArea{name}"] for name in "XYWH"]
    crop = [found[f"XMP-crs:Crop{edge}"] for edge in ("Left", "Right", "Top", "Bottom")]
    area, point = (found[f"ExifIFD:Subject{name}"].split() for name in ("Area", "Location"))
    size = [found[f"XMP-mwg-rs:RegionAppliedToDimensions{name}"] for name in "WH"]
    return region, crop, [int(number) for number in area], [int(number) for number in point], size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["jpg", "png", "tif", "webp"])
def test_faces_subjects_and_crops_turn_with_the_picture(tmp_path, exiftool, source, orientation):
    scene = np.zeros((48, 64, 3), np.uint8)
    scene[8:16, 40:52] = 255
    Image.fromarray(scene).save(tmp_path / f"a.{source}")
    exiftool.write(tmp_path / f"a.{source}", f"-Orientation#={orientation}", *PLACES)
    write_photograph(read_photograph(tmp_path / f"a.{source}"), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as picture:
        width, height = picture.size
        left, top, right, bottom = picture.convert("L").point(lambda v: 255 * (v > 128)).getbbox()
    region, crop, area, point, size = places(exiftool.read(tmp_path / "b.jpg"))
    extent = [right - left, bottom - top]
    centre = [(left + right - 1) / 2, (top + bottom - 1) / 2]
    scales = np.array([width, height])
    assert size == [width, height]
    assert region[:2] * scales - 0.5 == pytest.approx(centre, abs=0.01)
    assert region[2:] * scales == pytest.approx(extent, abs=0.01)
    edges = [left / width, right / width, top / height, bottom / height]
    assert crop == pytest.approx(edges, abs=0.001)
    assert area[2:] == extent
    assert area[:2] == point == pytest.approx(centre, abs=0.5)


@pytest.mark.parametrize("is_turned", [False, True])
def test_faces_turn_where_exif_has_a_copy_of_what_turns_the_picture(tmp_path, exiftool, is_turned):
    """In AVIF, where EXIF itself turns nothing."""
    exif = Image.Exif()
    exif[0x0112] = 6 if is_turned else 1
    Image.new("RGB", (64, 48)).save(tmp_path / "a.avif", exif=exif)
    sizes = ["-ExifImageWidth=64", "-ExifImageHeight=48"]
    exiftool.write(tmp_path / "a.avif", "-Orientation#=6", *sizes, *PLACES)
    write_photograph(read_photograph(tmp_path / "a.avif"), tmp_path / "b.jpg")
    _, _, area, _, size = places(exiftool.read(tmp_path / "b.jpg"))
    expected = ([36, 45, 8, 12], [48, 64]) if is_turned else ([45, 11, 12, 8], [64, 48])
    assert (area, size) == expected


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(("orientation", "density"), [(3, (300, 150)), (6, (150, 300))])
def test_densities_across_and_down_turn_with_the_picture(
    tmp_path, exiftool, scene, target, orientation, density
):
    Image.fromarray(scene).save(tmp_path / "a.jpg", dpi=(300, 150))
    resolutions = ["-XResolution=300", "-YResolution=150"]
    exiftool.write(tmp_path / "a.jpg", f"-Orientation#={orientation}", *resolutions)
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / f"b.{target}")
    found = exiftool.read(tmp_path / f"b.{target}")
    assert (found["IFD0:XResolution"], found["IFD0:YResolution"]) == density
    again = read_photograph(tmp_path / f"b.{target}").metadata.density
    assert (again.x * 25.4, again.y * 25.4) == pytest.approx(density, abs=0.01)


@pytest.mark.parametrize("target", ALL)
def test_the_old_thumbnail_goes(tmp_path, exiftool, scene, target):
    Image.fromarray(scene[::4, ::4]).save(tmp_path / "small.jpg")
    Image.fromarray(scene).save(tmp_path / "a.jpg")
    exiftool.write(tmp_path / "a.jpg", f"-ThumbnailImage<={tmp_path / 'small.jpg'}", "-Make=Canon")
    small = (tmp_path / "small.jpg").read_bytes()
    assert small in (tmp_path / "a.jpg").read_bytes()
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / f"b.{target}")
    found = exiftool.read(tmp_path / f"b.{target}")
    assert not [tag for tag in found if "Thumbnail" in tag or tag.startswith("IFD1:")]
    assert found["IFD0:Make"] == "Canon"
    assert small[20:] not in (tmp_path / f"b.{target}").read_bytes()


@pytest.mark.parametrize("target", ALL)
def test_maker_notes_are_kept_to_the_byte(tmp_path, exiftool, scene, target):
    notes = b"NoMaker\0" + bytes(range(256)) * 20
    exif = Image.Exif()
    exif[0x010F] = "Nobody"
    exif.get_ifd(0x8769)[0x927C] = notes
    exif.get_ifd(0x8769)[0xFDE8] = "a tag nobody knows"
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=exif)
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / f"b.{target}")
    with Image.open(tmp_path / f"b.{target}") as picture:
        below = picture.getexif().get_ifd(0x8769)
        assert below[0x927C] == notes
        assert below[0xFDE8] == "a tag nobody knows"


def test_in_jpeg_maker_notes_do_not_move(tmp_path, scene):
    # They hold offsets from the beginning of the block.
    notes = b"MovingNotes!" * 30
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x927C] = notes
    Image.fromarray(scene).save(tmp_path / "a.jpg", exif=exif)
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / "b.jpg")

    def place(path):
        data = path.read_bytes()
        return data.index(notes) - data.index(b"Exif\0\0")

    assert place(tmp_path / "b.jpg") == place(tmp_path / "a.jpg")


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
def test_the_colour_profile_is_kept_to_the_byte(tmp_path, scene, source, target):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(scene).save(tmp_path / f"a.{source}", icc_profile=profile)
    write_photograph(read_photograph(tmp_path / f"a.{source}"), tmp_path / f"b.{target}")
    with Image.open(tmp_path / f"b.{target}") as picture:
        assert picture.info["icc_profile"] == profile


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
def test_no_density_is_made_up(tmp_path, exiftool, scene, source, target):
    Image.fromarray(scene).save(tmp_path / f"a.{source}")
    write_photograph(read_photograph(tmp_path / f"a.{source}"), tmp_path / f"b.{target}")
    found = exiftool.read(tmp_path / f"b.{target}")
    assert found.get("JFIF:ResolutionUnit", 0) == 0
    assert "IFD0:XResolution" not in found
    assert "PNG-pHYs:PixelsPerUnitX" not in found


@pytest.mark.parametrize("source", WITHOUT_DENSITY)
def test_a_density_that_only_exif_has_is_one(tmp_path, exiftool, scene, source):
    Image.fromarray(scene).save(tmp_path / f"a.{source}")
    exiftool.write(tmp_path / f"a.{source}", "-XResolution=240", "-YResolution=120")
    write_photograph(read_photograph(tmp_path / f"a.{source}"), tmp_path / "b.png")
    found = exiftool.read(tmp_path / "b.png")
    assert found["PNG-pHYs:PixelsPerUnitX"] == pytest.approx(240 / 0.0254, abs=1)
    assert found["PNG-pHYs:PixelsPerUnitY"] == pytest.approx(120 / 0.0254, abs=1)


@pytest.mark.parametrize(("before", "after"), [(72, 300), (300, 300), (None, None)])
def test_in_jpeg_exif_has_the_density_of_the_photograph(tmp_path, scene, before, after):
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    if before:
        exif[0x011A] = exif[0x011B] = IFDRational(before)
        exif[0x0128] = 2
    block = exif.tobytes()
    Image.fromarray(scene).save(tmp_path / "a.png", dpi=(300, 300), exif=block)
    write_photograph(read_photograph(tmp_path / "a.png"), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.info["dpi"] == (300, 300)
        found = [picture.getexif().get(tag) for tag in (0x011A, 0x011B)]
        assert found == ([pytest.approx(after, abs=0.01)] * 2 if after else [None] * 2)
        # Where they agree, not a byte is another.
        assert (picture.info["exif"] == block) == (before != 72)


def test_in_jpeg_no_exif_is_made_for_a_density(tmp_path, scene):
    Image.fromarray(scene).save(tmp_path / "a.png", dpi=(300, 300))
    write_photograph(read_photograph(tmp_path / "a.png"), tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.info["dpi"] == (300, 300)
        assert "exif" not in picture.info


@pytest.mark.parametrize("target", ["jpg", "tif"])
def test_centimetres_stay_centimetres(tmp_path, exiftool, scene, target):
    Image.fromarray(scene).save(tmp_path / "a.tif", resolution_unit="cm", resolution=120)
    write_photograph(read_photograph(tmp_path / "a.tif"), tmp_path / f"b.{target}")
    found = exiftool.read(tmp_path / f"b.{target}")
    group = "JFIF" if target == "jpg" else "IFD0"
    assert found[f"{group}:XResolution"] == 120
    assert found[f"{group}:ResolutionUnit"] == (2 if target == "jpg" else 3)


def test_png_says_still_how_numbers_become_light_and_all_else(tmp_path, exiftool, scene):
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (45455).to_bytes(4, "big"))
    info.add_text("Comment", "naïve")
    info.add_text("Software Name", "with a space", zip=True)
    info.add_itxt("Title", "日本", lang="ja")
    Image.fromarray(scene).save(tmp_path / "a.png", pnginfo=info)
    write_photograph(read_photograph(tmp_path / "a.png"), tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.info["gamma"] == pytest.approx(0.45455)
        assert picture.text["Comment"] == "naïve"
        assert picture.text["Software Name"] == "with a space"
        assert picture.text["Title"] == "日本"
    assert not exiftool.faults(tmp_path / "b.png")


@pytest.mark.parametrize("comment", ["hello", "naïve", "日本"])
@pytest.mark.parametrize("target", ["jpg", "png"])
def test_jpeg_comments(tmp_path, scene, comment, target):
    Image.fromarray(scene).save(tmp_path / "a.jpg", comment=comment.encode())
    write_photograph(read_photograph(tmp_path / "a.jpg"), tmp_path / f"b.{target}")
    with Image.open(tmp_path / f"b.{target}") as picture:
        found = picture.info["comment"] if target == "jpg" else picture.text["Comment"].encode()
    assert found == comment.encode()


def test_exif_that_cannot_be_read_goes_the_picture_stays(tmp_path, exiftool, scene):
    exif = Image.Exif()
    exif[0x010F] = "Nobody"
    for broken in (
        b"Exif\0\0garbage garbage garbage",
        b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(20),
    ):
        Image.fromarray(scene).save(tmp_path / "a.jpg", exif=broken)
        for target in ALL:
            write_photograph(
                read_photograph(tmp_path / "a.jpg"), tmp_path / f"b.{target}", overwrite=True
            )
            assert not exiftool.faults(tmp_path / f"b.{target}")


def test_exif_too_large_for_jpeg_is_told_and_has_room_elsewhere(tmp_path, scene, caplog):
    exif = Image.Exif()
    exif[0x010F] = "Nobody"
    exif.get_ifd(0x8769)[0x9286] = bytes(70_000)  # a comment
    Image.fromarray(scene).save(tmp_path / "a.png", exif=exif)
    photograph = read_photograph(tmp_path / "a.png")
    write_photograph(photograph, tmp_path / "b.jpg")
    assert re.search(r"a\.png: its EXIF metadata \(70\d{3} bytes\) have no place in", caplog.text)
    write_photograph(photograph, tmp_path / "b.tif")
    for name, maker in (("b.jpg", None), ("b.tif", "Nobody")):
        with Image.open(tmp_path / name) as written:
            assert written.getexif().get(0x010F) == maker


@pytest.mark.parametrize("target", ["png", "tif"])
def test_16_bits_keep_their_metadata_too(tmp_path, exiftool, rng, target):
    values = rng.integers(0, 65536, (20, 30), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    exiftool.write(tmp_path / "a.png", *WRITTEN, "-Orientation#=8")
    write_photograph(read_photograph(tmp_path / "a.png"), tmp_path / f"b.{target}")
    found = exiftool.read(tmp_path / f"b.{target}")
    assert {tag: found.get(tag) for tag in KEPT} == KEPT
    assert np.array_equal(read_photograph(tmp_path / f"b.{target}").pixels, np.rot90(values))


def test_a_tiff_that_points_to_itself_is_read(tmp_path, exiftool, scene):
    Image.fromarray(scene).save(tmp_path / "a.tif")
    exiftool.write(tmp_path / "a.tif", "-DateTimeOriginal=2020:01:02 03:04:05")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    first = int.from_bytes(data[4:8], "little")
    place = data.index((0x8769).to_bytes(2, "little"), first)
    data[place + 8 : place + 12] = data[4:8]
    (tmp_path / "a.tif").write_bytes(data)
    photograph = read_photograph(tmp_path / "a.tif")
    write_photograph(photograph, tmp_path / "b.tif")
    assert np.array_equal(read_photograph(tmp_path / "b.tif").pixels, scene)
