"""Small valid files of every format and kind that is read, to be damaged by `fuzz`."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

Array = npt.NDArray[Any]

PNGSUITE = Path(__file__).parent / "pngsuite"
_HEIGHT, _WIDTH = 32, 48
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    b'<?xpacket end="w"?>'
)
_EXIFTOOL = [
    *("-Make=Canon", "-Model=EOS 5D", "-Artist=Zoe", "-ExposureTime=1/125", "-UserComment=hello"),
    *("-GPSLatitude=46.5", "-GPSLatitudeRef=N", "-XMP-dc:Title=Sunset", "-IPTC:City=Bern"),
    *("-Orientation#=6", "-InteropIndex=R98", "-Comment=a comment", "-IPTC:Keywords=one"),
]


def corpus() -> dict[str, bytes]:
    """Return all files.

    A name is the format, a slash and the kind, which ends in "described" where there are metadata.
    """
    files = dict(_all_kinds())
    return files | _with_metadata(files)


def _all_kinds() -> Iterator[tuple[str, bytes]]:
    for kinds in (_jpeg, _png, _tiff, _webp, _avif, _heic, _jpeg_xl, _dng):
        for kind, data in kinds():
            yield f"{kinds.__name__[1:].replace('_', '-')}/{kind}", data


def scene(bands: int = 3, dtype: npt.DTypeLike = np.uint8) -> Array:
    """Return a smooth picture, of which floats are in [0, 1]: HxWxC, or HxW of one band."""
    rows, columns = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    waves = [
        rows * 7,
        columns * 5,
        255 - rows * 3 - columns * 2,
        rows * columns // 6,
        rows + columns,
    ]
    picture = np.stack(waves[:bands], axis=-1) / 255
    if np.issubdtype(dtype, np.integer):
        picture = np.rint(picture * np.iinfo(dtype).max)
    return np.squeeze(picture.astype(dtype))


def _pillow(mode: str, format: str, **options: Any) -> bytes:  # noqa: A002
    """Write the scene with Pillow."""
    file = io.BytesIO()
    Image.fromarray(scene()).convert(mode).save(file, format=format, **options)
    return file.getvalue()


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Canon"
    exif.get_ifd(0x8769).update({0x9003: "2020:01:02 03:04:05", 0xA002: _WIDTH, 0xA003: _HEIGHT})
    exif.get_ifd(0x8825).update({1: "N", 2: (46.0, 30.0, 0.0)})
    return exif.tobytes()


def _described() -> dict[str, Any]:
    return {"exif": _exif(), "xmp": _XMP, "icc_profile": _SRGB}


def _frames() -> dict[str, Any]:
    other = Image.fromarray(scene()[::-1])
    return {"save_all": True, "append_images": [other, other.convert("L").convert("RGB")]}


def _jpeg() -> Iterator[tuple[str, bytes]]:
    yield "baseline", _pillow("RGB", "JPEG")
    yield "full-colour", _pillow("RGB", "JPEG", subsampling=0, quality=95)
    yield "progressive", _pillow("RGB", "JPEG", progressive=True)
    yield "restarts", _pillow("RGB", "JPEG", restart_marker_rows=1)
    yield "grey", _pillow("L", "JPEG")
    yield "cmyk", _pillow("CMYK", "JPEG")
    yield "rgb", _pillow("RGB", "JPEG", keep_rgb=True)
    yield "described", _pillow("RGB", "JPEG", comment=b"hello", dpi=(300, 300), **_described())
    yield "several", _pillow("RGB", "MPO", **_frames())
    yield "lossless", imagecodecs.jpeg_encode(scene(), lossless=True)
    yield "12-bits", imagecodecs.jpeg_encode(scene(dtype=np.uint16) >> 4, bitspersample=12)


def _png() -> Iterator[tuple[str, bytes]]:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "hello")
    info.add_text("Title", "compressed " * 20, zip=True)
    info.add_itxt("Author", "Zoë", "de", "Verfasser", zip=True)
    info.add_itxt("XML:com.adobe.xmp", _XMP.decode())
    info.add_text("Raw profile type iptc", f"\nIPTC profile\n      24\n{_IPTC.hex()}\n", zip=True)
    about = {"exif": _exif(), "icc_profile": _SRGB, "dpi": (300, 300), "pnginfo": info}
    yield "described", _pillow("RGB", "PNG", **about)
    yield "palette", _pillow("P", "PNG", transparency=3)
    yield "animated", _pillow("RGB", "PNG", **_frames())
    for bands in (1, 2, 3, 4):
        yield f"{bands}x16-bits", imagecodecs.png_encode(scene(bands, np.uint16))
        yield f"{bands}x8-bits", imagecodecs.png_encode(scene(bands))
    for pattern in ("bas*", "t*", "ct[1ez]*", "ch*", "ps*", "s0[357]*", "oi9*"):
        for path in sorted(PNGSUITE.glob(f"{pattern}.png")):
            yield path.stem, path.read_bytes()


_IPTC = b"8BIM\x04\x04\0\0\0\0\0\x0c\x1c\x02\x5a\0\x04Bern\x1c\x02\x00"


def _tiff() -> Iterator[tuple[str, bytes]]:
    for kind, (bands, dtype, options) in _TIFF_KINDS.items():
        yield kind, _tifffile(scene(bands, dtype), **options)
    yield "planar", _tifffile(np.moveaxis(scene(), -1, 0), **_RGB, planarconfig="separate")
    colours = np.linspace(0, 65535, 3 * 256).reshape(3, 256).astype(np.uint16)
    yield "palette", _tifffile(scene(1), photometric="palette", colormap=colours)
    yield "pages", _tifffile(np.stack([scene(), scene()[::-1]]), **_RGB)
    yield "pyramid", _pyramid()
    yield "ccitt", _pillow("1", "TIFF", compression="group4")
    yield "described", _pillow("RGB", "TIFF", **_described())


_RGB = {"photometric": "rgb"}
_GREY = {"photometric": "minisblack"}
_TIFF_KINDS: dict[str, tuple[int, npt.DTypeLike, dict[str, Any]]] = {
    "strips": (3, np.uint8, {**_RGB, "rowsperstrip": 5}),
    "tiles": (3, np.uint8, {**_RGB, "tile": (16, 16)}),
    "deflate": (3, np.uint8, {**_RGB, "compression": "zlib", "predictor": 2}),
    "lzw": (3, np.uint8, {**_RGB, "compression": "lzw"}),
    "packbits": (1, np.uint8, {**_GREY, "compression": "packbits"}),
    "jpeg": (3, np.uint8, {"photometric": "ycbcr", "compression": "jpeg", "tile": (16, 16)}),
    "zstd": (3, np.uint8, {**_RGB, "compression": "zstd"}),
    "webp": (3, np.uint8, {**_RGB, "compression": "webp"}),
    "grey": (1, np.uint8, _GREY),
    "white-is-zero": (1, np.uint8, {"photometric": "miniswhite"}),
    "grey-alpha": (2, np.uint8, {**_GREY, "extrasamples": ["unassalpha"]}),
    "alpha": (4, np.uint8, {**_RGB, "extrasamples": ["unassalpha"]}),
    "multiplied-alpha": (4, np.uint16, {**_RGB, "extrasamples": ["assocalpha"]}),
    "five-channels": (5, np.uint8, {**_RGB, "extrasamples": ["unassalpha", "unspecified"]}),
    "cmyk": (4, np.uint8, {"photometric": "separated"}),
    "lab": (3, np.uint8, {"photometric": "cielab"}),
    "16-bits": (3, np.uint16, {**_RGB, "byteorder": ">"}),
    "32-bits": (3, np.uint32, _RGB),
    "signed": (1, np.int16, _GREY),
    "half": (3, np.float16, _RGB),
    "float": (3, np.float32, {**_RGB, "compression": "zlib", "predictor": 3}),
    "float-grey": (1, np.float32, _GREY),
    "float-alpha": (4, np.float32, {**_RGB, "extrasamples": ["unassalpha"]}),
    "double": (1, np.float64, _GREY),
    "big": (3, np.uint8, {**_RGB, "bigtiff": True, "tile": (16, 16), "compression": "zlib"}),
    "big-endian": (3, np.float32, {**_RGB, "bigtiff": True, "byteorder": ">"}),
}


def _tifffile(picture: Array, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, picture, metadata=None, software=False, **options)
    return file.getvalue()


def _pyramid() -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(scene(), subifds=1, photometric="rgb", metadata=None, software=False)
        writer.write(scene()[::2, ::2], subfiletype=1, photometric="rgb", metadata=None)
    return file.getvalue()


def _webp() -> Iterator[tuple[str, bytes]]:
    yield "lossy", _pillow("RGB", "WEBP")
    yield "lossless", _pillow("RGB", "WEBP", lossless=True)
    yield "alpha", _translucent("WEBP")
    yield "lossless-alpha", _translucent("WEBP", lossless=True, exact=True)
    yield "animated", _pillow("RGB", "WEBP", **_frames())
    yield "described", _pillow("RGB", "WEBP", **_described())


def _translucent(format: str, **options: Any) -> bytes:  # noqa: A002
    file = io.BytesIO()
    Image.fromarray(scene(4)).save(file, format=format, **options)
    return file.getvalue()


def _avif() -> Iterator[tuple[str, bytes]]:
    yield "described", _pillow("RGB", "AVIF", **_described())
    yield "alpha", _translucent("AVIF")
    yield "animated", _timeless(_pillow("RGB", "AVIF", **_frames()))
    yield "grey", imagecodecs.avif_encode(scene(1), numthreads=1)
    for bits in (8, 10, 12):
        for bands in (3, 4):
            picture = scene(bands, np.uint16) >> (16 - bits)
            picture = picture.astype(np.uint8 if bits == 8 else np.uint16)
            encoded = imagecodecs.avif_encode(picture, 90, bitspersample=bits, numthreads=1)
            yield f"{bands}x{bits}-bits", encoded


def _timeless(film: bytes) -> bytes:
    """Blank the times of creation and change, so that each run has the same file."""
    out = bytearray(film)
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        # After the name come version, which is 1, and flags; then two times of 8 bytes.
        start = out.find(box) + 8
        out[start : start + 16] = bytes(16)
    return bytes(out)


def _heic() -> Iterator[tuple[str, bytes]]:
    """Written by pillow-heif where that is installed, or else by heif-enc."""
    try:
        import pillow_heif
    except ImportError:
        yield from _heic_by_command()
        return
    rgb, rgba = Image.fromarray(scene()), Image.fromarray(scene(4))
    for kind, pictures, options in (
        ("rgb", [rgb], {}),
        ("alpha", [rgba], {"quality": -1}),
        ("grey", [rgb.convert("L")], {}),
        ("several", [rgb, rgba], {}),
        ("described", [rgb], _described()),
    ):
        file = io.BytesIO()
        heif = pillow_heif.HeifFile()
        for picture in pictures:
            heif.add_from_pillow(picture)
        heif.save(file, **options)
        yield kind, file.getvalue()


def _heic_by_command() -> Iterator[tuple[str, bytes]]:
    if shutil.which("heif-enc") is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.png"), Path(folder, "a.heic")
        for bands in (1, 3, 4):
            Image.fromarray(scene(bands)).save(source)
            command = ["heif-enc", str(source), "-o", str(target)]
            subprocess.run(command, check=True, capture_output=True)
            yield f"{bands}-channels", target.read_bytes()


def _jpeg_xl() -> Iterator[tuple[str, bytes]]:
    encode = imagecodecs.jpegxl_encode
    yield "lossy", encode(scene(), distance=1.0, lossless=False, numthreads=1)
    yield "lossless", encode(scene(), lossless=True, numthreads=1)
    yield "container", encode(scene(), usecontainer=True, numthreads=1)
    yield "grey", encode(scene(1), numthreads=1)
    yield "alpha", encode(scene(4), numthreads=1)
    yield "16-bits", encode(scene(dtype=np.uint16), lossless=True, numthreads=1)
    yield "float", encode(scene(dtype=np.float32), numthreads=1)
    frames = np.stack([scene(), scene()[::-1]])
    yield "animated", encode(frames, photometric="rgb", numthreads=1)
    yield "from-jpeg", imagecodecs.jpegxl_encode_jpeg(_pillow("RGB", "JPEG"))


def _dng() -> Iterator[tuple[str, bytes]]:
    mosaic, linear = scene(1, np.uint16), scene(3, np.uint16)
    yield "mosaic", _tifffile(mosaic, photometric=_MOSAIC, extratags=_CAMERA + _BAYER)
    yield "linear", _tifffile(linear, photometric=_LINEAR, extratags=_CAMERA)
    strip = imagecodecs.ljpeg_encode(mosaic >> 4, bitspersample=12)
    how = {"shape": mosaic.shape, "dtype": mosaic.dtype, "compression": 7, "rowsperstrip": _HEIGHT}
    compressed = iter([strip])
    yield "ljpeg", _tifffile(compressed, photometric=_MOSAIC, extratags=_CAMERA + _BAYER, **how)


_MOSAIC, _LINEAR = 32803, 34892
# Tag, type, number of values, value, whether only on the first page: DNG version, the oldest
# version that reads it, camera, make, model, matrix from XYZ, neutral, light, white level.
_MATRIX = (8, 10, -2, 10, -1, 10, -3, 10, 12, 10, 1, 10, 0, 10, 2, 10, 6, 10)
_CAMERA: list[tuple[int, int, int, Any, bool]] = [
    (50706, 1, 4, bytes([1, 4, 0, 0]), False),
    (50707, 1, 4, bytes([1, 1, 0, 0]), False),
    (50708, 2, 0, "a camera", False),
    (271, 2, 0, "maker", False),
    (272, 2, 0, "model", False),
    (50721, 10, 9, _MATRIX, False),
    (50728, 5, 3, (5, 10, 10, 10, 6, 10), False),
    (50778, 3, 1, 21, False),
    (50717, 4, 1, 65535, False),
]
_BAYER: list[tuple[int, int, int, Any, bool]] = [
    (33421, 3, 2, (2, 2), False),
    (33422, 1, 4, bytes([0, 1, 1, 2]), False),
]

# What exiftool describes, where it is installed, and the suffix by which it knows the format.
_TO_DESCRIBE = {
    "jpeg/baseline": ".jpg",
    "jpeg/progressive": ".jpg",
    "png/3x8-bits": ".png",
    "tiff/tiles": ".tif",
    "tiff/big": ".tif",
    "tiff/float": ".tif",
    "webp/alpha": ".webp",
    "avif/3x10-bits": ".avif",
    "heic/rgb": ".heic",
    "jpeg-xl/container": ".jxl",
    "dng/mosaic": ".dng",
}


def _with_metadata(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return copies of some files with EXIF, XMP and IPTC by exiftool, none without exiftool."""
    if shutil.which("exiftool") is None:
        return {}
    chosen = [name for name in _TO_DESCRIBE if name in files]
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, name.replace("/", "-") + _TO_DESCRIBE[name]) for name in chosen}
        for name, path in paths.items():
            path.write_bytes(files[name])
        command = [
            "exiftool",
            "-q",
            "-m",
            "-overwrite_original",
            *_EXIFTOOL,
            *map(str, paths.values()),
        ]
        # Not every format takes every block; what exiftool refuses to change stays as it is.
        subprocess.run(command, check=False, capture_output=True)
        return {f"{name}-described": path.read_bytes() for name, path in paths.items()}
