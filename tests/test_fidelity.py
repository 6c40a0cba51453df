"""A photograph goes through at strength 0 and nothing of it is lost: formats times properties.

Each file is written by another tool than ours, and what comes out is read by another library than
the one that wrote it.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass

import imagecodecs
import numpy as np
import pi_heif
import pytest
import tifffile
from PIL import Image

from ifan import Deblurrer


@dataclass(frozen=True)
class Case:
    """One kind of file.

    Attributes:
        name: of the file; the suffix is that of the format.
        dtype: of the pixels that are put in.
        bands: 1 grey, 2 grey with alpha, 3 RGB, 4 RGB with alpha.
        command: writes it from a file {source}, to {target}.
        result: suffix of the result.
        tolerance: largest mean difference of the pixels, as a part of white; 0 is exactly the same.
    """

    name: str
    dtype: type
    bands: int
    command: str
    result: str
    tolerance: float

    def __str__(self):
        return f"{self.name} {np.dtype(self.dtype)}x{self.bands}"


MAGICK = "convert {source} -depth {depth} {target}"
CASES = [
    Case("q75.jpg", np.uint8, 3, "convert {source} -quality 75 {target}", ".jpg", 0.01),
    Case("q98.jpg", np.uint8, 3, "convert {source} -quality 98 {target}", ".jpg", 0.003),
    Case("progressive.jpg", np.uint8, 3, "convert {source} -interlace JPEG {target}", ".jpg", 0.01),
    Case("grey.jpg", np.uint8, 1, "convert {source} -quality 92 {target}", ".jpg", 0.005),
    *(Case("magick.png", np.uint8, bands, MAGICK, ".png", 0) for bands in (1, 2, 3, 4)),
    *(Case("magick.png", np.uint16, bands, MAGICK, ".png", 0) for bands in (1, 2, 3, 4)),
    Case("interlaced.png", np.uint8, 3, "convert {source} -interlace PNG {target}", ".png", 0),
    *(Case("magick.tif", np.uint8, bands, MAGICK, ".tif", 0) for bands in (1, 2, 3, 4)),
    *(Case("magick.tif", np.uint16, bands, MAGICK, ".tif", 0) for bands in (1, 3, 4)),
    Case("lzw.tif", np.uint16, 3, "tiffcp -c lzw:2 {source} {target}", ".tif", 0),
    Case("tiles.tif", np.uint8, 3, "tiffcp -t -w 16 -l 16 -c zip {source} {target}", ".tif", 0),
    Case("planes.tif", np.uint8, 3, "tiffcp -p separate {source} {target}", ".tif", 0),
    Case("big.tif", np.uint16, 1, "tiffcp -8 -B {source} {target}", ".tif", 0),
    *(
        Case("float.tif", np.float32, bands, "tiffcp -c zip {source} {target}", ".tif", 0)
        for bands in (1, 3)
    ),
    *(
        Case(
            "lossless.webp",
            np.uint8,
            b,
            "cwebp -quiet -lossless -exact {source} -o {target}",
            ".webp",
            0,
        )
        for b in (3, 4)
    ),
    Case("lossy.webp", np.uint8, 3, "cwebp -quiet -q 90 {source} -o {target}", ".webp", 0.012),
    Case("8.avif", np.uint8, 3, "avifenc -s 8 --min 5 --max 10 {source} {target}", ".avif", 0.01),
    Case(
        "alpha.avif", np.uint8, 4, "avifenc -s 8 --min 5 --max 10 {source} {target}", ".avif", 0.01
    ),
    Case(
        "10.avif",
        np.uint16,
        3,
        "avifenc -s 8 -d 10 --min 2 --max 5 {source} {target}",
        ".avif",
        0.005,
    ),
    Case(
        "12.avif",
        np.uint16,
        3,
        "avifenc -s 8 -d 12 --min 2 --max 5 {source} {target}",
        ".avif",
        0.005,
    ),
    Case("phone.heic", np.uint8, 3, "heif-enc -q 95 {source} -o {target}", ".jpg", 0.015),
    *(
        Case("lossless.jxl", dtype, bands, "cjxl -d 0 -e 3 --quiet {source} {target}", ".png", 0)
        for dtype in (np.uint8, np.uint16)
        for bands in (1, 3, 4)
    ),
]


@pytest.fixture(scope="module")
def deblurrer():
    return Deblurrer()


def picture(case):
    """Return a picture of the case, smooth, with an edge, and with hidden colours under alpha."""
    rows, columns = np.mgrid[0:48, 0:64] / 64
    planes = [rows, columns, 1 - rows * columns, np.where(columns < 0.3, 0.0, 1 - rows / 2)]
    planes = planes[:1] + planes[3:] if case.bands == 2 else planes[: case.bands]
    values = np.stack(planes, axis=-1)
    values[10:20, 30:50, : max(1, case.bands - 1)] *= 0.3
    if case.dtype == np.float32:
        return (values * 3 - 0.5).astype(np.float32).squeeze()
    return np.rint(values * np.iinfo(case.dtype).max).astype(case.dtype).squeeze()


def written(case, folder, *tags):
    """Let the tool of the case write the picture, from a file that exiftool has put tags into."""
    program = case.command.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    is_tiff = program == "tiffcp" or case.bands == 2 or case.dtype == np.float32
    source, target = folder / ("source.tif" if is_tiff else "source.png"), folder / case.name
    if is_tiff:
        kind = "rgb" if case.bands > 2 else "minisblack"
        extra = ["unassalpha"] if case.bands in (2, 4) else []
        tifffile.imwrite(source, picture(case), photometric=kind, extrasamples=extra)
    else:
        source.write_bytes(imagecodecs.png_encode(picture(case)))
    if tags:
        subprocess.run(["exiftool", "-q", "-overwrite_original", *tags, source], check=True)
    depth = np.dtype(case.dtype).itemsize * 8
    command = [
        part.format(source=source, target=target, depth=depth) for part in case.command.split()
    ]
    subprocess.run(command, check=True, capture_output=True)
    source.unlink()
    return target


def read(path):
    """Read pixels with a library that is not libvips."""
    data = path.read_bytes()
    match path.suffix:
        case ".tif":
            pixels = tifffile.imread(path)
            return np.moveaxis(pixels, 0, -1) if len(pixels) == 3 else pixels
        case ".png":
            return imagecodecs.png_decode(data)
        case ".webp":
            return imagecodecs.webp_decode(data)
        case ".avif":
            return imagecodecs.avif_decode(data)
        case ".jxl":
            return imagecodecs.jpegxl_decode(data)
        case ".heic":
            opened = pi_heif.open_heif(data)
            return np.array(opened)
    return imagecodecs.jpeg8_decode(data)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pixels(case, deblurrer, tmp_path):
    source = written(case, tmp_path)
    target = deblurrer.deblur_file(source, strength=0)
    assert target.name == f"{source.stem}.deblurred{case.result}"
    before, after = read(source), read(target)
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    if case.tolerance == 0:
        assert np.array_equal(after, before)
        return
    white = {"10.avif": 1023, "12.avif": 4095}.get(case.name, np.iinfo(before.dtype).max)
    difference = np.abs(after.astype(float) - before) / white
    assert difference.mean() < case.tolerance
    # No colour shift either.
    assert np.abs((after.astype(float) - before).mean(axis=(0, 1))).max() / white < 0.002


@pytest.mark.parametrize("quality", [40, 75, 90, 96, 99, 100])
def test_jpeg_quality_is_at_least_that_of_the_source(deblurrer, tmp_path, quality):
    Image.fromarray(picture(CASES[0])).save(tmp_path / "a.jpg", quality=quality, subsampling=2)
    deblurrer.deblur_file(tmp_path / "a.jpg", tmp_path / "b.jpg", strength=0)
    with Image.open(tmp_path / "a.jpg") as before, Image.open(tmp_path / "b.jpg") as after:
        for number, table in before.quantization.items():
            assert all(np.array(after.quantization[number]) <= table)
        # Full-resolution colour: all sampling factors are one.
        assert {layer[1:3] for layer in after.layer} == {(1, 1)}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_metadata_of_a_phone_s_picture(deblurrer, tmp_path):
    case = next(case for case in CASES if case.name == "phone.heic")
    tags = {"IFD0:Make": "Canon", "ExifIFD:FNumber": 1.8, "XMP-dc:Title": "Sunset"}
    source = written(case, tmp_path, *(f"-{tag}={value}" for tag, value in tags.items()))
    target = deblurrer.deblur_file(source, strength=0)
    done = subprocess.run(["exiftool", "-j", "-n", "-G1", target], capture_output=True, check=True)
    found = json.loads(done.stdout)[0]
    assert {tag: found.get(tag) for tag in tags} == tags
