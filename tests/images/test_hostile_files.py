"""Files made to do harm are read, or refused in one line, by a process that lives on."""

import contextlib
import io
import struct

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fuzz import Worker, describe, fuzz

COUNT, SEED = 3000, 20210622

# How files begin, of each format and each kind of camera RAW that is not mere TIFF.
BEGINNINGS = {
    "JPEG": b"\xff\xd8\xff",
    "JPEG with a frame": b"\xff\xd8\xff\xc0\0\x0b\x08\0\x10\0\x10\x01\x01\x11\0",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "PNG with a header": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08\x08\x02\0\0\0Km)\xdc",
    "TIFF, little endian": b"II*\0\x08\0\0\0",
    "TIFF, big endian": b"MM\0*\0\0\0\x08",
    "BigTIFF": b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
    "WebP": b"RIFF\xff\0\0\0WEBP",
    "WebP, lossy": b"RIFF\xff\0\0\0WEBPVP8 \xf0\0\0\0",
    "WebP, lossless": b"RIFF\xff\0\0\0WEBPVP8L\xf0\0\0\0\x2f",
    "WebP, extended": b"RIFF\xff\0\0\0WEBPVP8X\x0a\0\0\0",
    "AVIF": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
    "AVIF with metadata": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1\0\0\1\0meta\0\0\0\0",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1",
    "HEIC with metadata": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1\0\0\1\0meta\0\0\0\0",
    "JPEG XL": b"\xff\x0a",
    "JPEG XL in boxes": b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl ",
    "Canon CR2": b"II*\0\x10\0\0\0CR\x02\0",
    "Canon CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "Canon CRW": b"II\x1a\0\0\0HEAPCCDR",
    "Fujifilm RAF": b"FUJIFILMCCD-RAW 0201FF159502",
    "Olympus ORF": b"IIRO\x08\0\0\0",
    "Panasonic RW2": b"IIU\0\x08\0\0\0",
    "Minolta MRW": b"\0MRM\0\0\1\0",
    "Sigma X3F": b"FOVb\0\0\2\0",
}


@pytest.fixture(scope="module")
def worker():
    with contextlib.closing(Worker()) as process:
        yield process


def test_damaged_files_do_no_harm(tmp_path):
    summary = fuzz(COUNT, SEED, tmp_path / "findings")
    assert not summary.findings, "\n".join(describe(summary, COUNT, SEED))
    for name in ("jpeg", "png", "tiff"):
        assert summary.outcomes[name, "read"] > 50
        assert summary.outcomes[name, "refused"] > 50


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_anything_after_a_signature_is_refused(worker, beginning):
    @settings(max_examples=40, deadline=None)
    @given(st.binary(max_size=600))
    def is_refused(rest):
        verdict = worker.examine(beginning + rest)
        assert verdict.outcome == "refused", verdict.text

    is_refused()


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=100))
def test_anything_is_refused(worker, data):
    verdict = worker.examine(data)
    assert verdict.outcome == "refused", verdict.text


def noisy_tiff(**options):
    """A picture that nothing compresses, 64x64, in tiles or in strips."""
    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    tifffile.imwrite(file, noise, photometric="rgb", metadata=None, **options)
    return file.getvalue()


TILES, STRIPS = {"tile": (16, 16)}, {"rowsperstrip": 16}


@pytest.mark.parametrize("layout", [TILES, STRIPS], ids=["tiles", "strips"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "jpeg", "webp"])
def test_a_damaged_tile_is_not_read_as_black(worker, layout, compression):
    data = noisy_tiff(**layout, compression=compression)
    middle = len(data) // 2
    assert worker.examine(data).outcome == "read"
    assert worker.examine(data[:middle]).outcome == "refused"
    if compression:
        hole = data[:middle] + bytes(300) + data[middle + 300 :]
        assert worker.examine(hole).outcome == "refused"


def with_size(data, tag, size):
    field = struct.pack("<HHLL", tag, 4, 1, 64)
    assert data.count(field) == 1
    return data.replace(field, struct.pack("<HHLL", tag, 4, 1, size))


@pytest.mark.parametrize("tag", [256, 257], ids=["width", "height"])
def test_tiles_that_are_not_there_are_not_read_as_black(worker, tag):
    assert worker.examine(with_size(noisy_tiff(**TILES), tag, 640)).outcome == "refused"


def test_a_few_bytes_do_not_keep_us_busy_for_ever(worker):
    # What libtiff does takes time with the square of the number of tiles.
    verdict = worker.examine(with_size(noisy_tiff(**TILES), 256, 100_000))
    assert verdict.outcome == "refused"
    assert verdict.seconds < 1


def test_what_is_said_of_a_file_is_not_of_the_one_before(worker):
    profile = b"no profile at all" * 20
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "TIFF", icc_profile=profile)
    # The worker looks at another damaged file after each.
    assert worker.examine(file.getvalue()).outcome == "read"


def test_an_error_need_not_be_text(worker):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "AVIF", exif=exif.tobytes())
    # A property that nobody knows, which the file calls essential.
    strange = file.getvalue().replace(b"irot", b"\xffr\x02t")
    assert strange != file.getvalue()
    assert worker.examine(strange).outcome == "refused"


def test_exif_that_lies_over_itself(worker):
    # Three orientations, which begin where the block says that it is one.
    block = b"II*\0\x08\0\0\0" + struct.pack("<HHHLLL", 1, 0x0112, 3, 3, 2, 0) + bytes(16)
    for size in range(8, 40):
        file = io.BytesIO()
        exif = b"Exif\0\0" + block
        # Into which formats it is written anew depends on the file.
        Image.new("RGB", (8, size)).save(file, "JPEG", exif=exif)
        assert worker.examine(file.getvalue()).outcome == "read"
