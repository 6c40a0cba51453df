"""The main job: a picture in, the all-in-focus picture out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ifan import engines, tiling
from ifan.engines import Array, Engine, Views
from ifan.engines.memory import require_memory
from ifan.errors import EngineError, OutputError, PictureError
from ifan.files import require_free, same_file
from ifan.models.store import Model, open_model

if TYPE_CHECKING:
    from ifan.images import Photograph

Image = NDArray[Any]
"""HxWx3 or HxW; uint8, uint16, or float32 in [0, 1]; sRGB-coded."""

AUTO_WORKING_SIZE = 2048
"""Long side in pixels up to which `auto` works at the full size. Defocus in larger photographs
spans more pixels than any that networks are trained with."""

RESULT_INFIX = ".deblurred"
COMPARISON_INFIX = ".compare"
MAP_INFIX = ".defocus"
"""What stands before the suffix of a result's name."""

_MAP_MARGIN = 64
"""Pixels by which a picture is continued on all sides for its defocus map: near a border, the map
shows the border rather than the blur."""

_BYTES_PER_PIXEL = 40
"""Peak memory of all but the network, in bytes for each pixel of the photograph: the photograph
itself, its correction in float32, the result, and what resampling takes, with some to spare."""

_BAND_ROWS = 256

_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}


class Deblurrer:
    """Turns out-of-focus pictures into sharp ones.

    Args:
        model: a name (`ifan models list`), a checkpoint file or a model's folder; None is the
            bundled model.
        engine: `openvino`, `torch`, `onnxruntime`, or `auto`, which takes the fastest.
        precision: `fp32`, `bf16`, `fp16`, or `auto`, which takes the fastest that keeps the
            picture.
        working_size: long side in pixels at which the network sees a picture; `full`; or `auto`:
            the full size up to 2048 pixels, and 2048 above. Where that is less than the full size,
            the network's correction is enlarged and added to the picture, so what was sharp keeps
            its detail.

    Raises:
        ModelError: the model is unknown, is not on this machine, or cannot be read.
        EngineError: the engine is not installed, or does not offer the precision.
        ValueError: the working size is none.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        engine: str = "auto",
        precision: str = "auto",
        working_size: int | str = "auto",
    ) -> None:
        self._working_size = parse_working_size(working_size)
        self.model: Model = open_model(model)
        self.choice = engines.choose(engine, precision, has_graph=self.model.has_graph)

    @cached_property
    def _engine(self) -> Engine:
        return engines.open_engine(self.choice, graph=self.model.graph, network=self.model.network)

    @property
    def dual_pixel(self) -> bool:
        """Whether the model needs the left and right dual-pixel views besides the center one."""
        return self.model.description.configuration.dual_pixel

    def load(self) -> None:
        """Load the network now; otherwise the first picture does.

        Raises:
            ModelError: the weights cannot be read, or not without PyTorch.
        """
        _ = self.dual_pixel, self._engine

    def __call__(
        self,
        image: Image,
        *,
        left: Image | None = None,
        right: Image | None = None,
        strength: float = 1.0,
    ) -> Image:
        """Deblur a picture.

        Args:
            image: HxWx3 or HxW; uint8, uint16, or float32 in [0, 1]; sRGB-coded; of any size.
            left: left dual-pixel view, like `image`; for a dual-pixel model only.
            right: right dual-pixel view, like `image`; for a dual-pixel model only.
            strength: part of the correction to apply, 0 (the picture as it is) to 1.

        Returns:
            The all-in-focus picture, of the same shape and dtype.

        Raises:
            TypeError, ValueError: the arrays or the strength are not as described.
            EngineError: memory does not suffice, or the network gives values that are no numbers.
        """
        _require_strength(strength)
        views = self._working_views(image, left, right)
        if strength == 0:
            return image.copy()
        height, width = views[0].shape[:2]
        deblurred = self._engine.deblur(_padded(views))[0].transpose(1, 2, 0)
        _require_finite(deblurred)
        # Clipped first: what lies outside the range is no correction that could be shown.
        correction = np.clip(deblurred[:height, :width], 0, 1) - views[0]
        return _corrected(image, _resized(correction, *image.shape[:2]), strength)

    def defocus_map(
        self, image: Image, *, left: Image | None = None, right: Image | None = None
    ) -> Array:
        """Estimate how far each pixel is out of focus.

        Args:
            image: as for deblurring.
            left: as for deblurring.
            right: as for deblurring.

        Returns:
            HxW float32: the disparity between the dual-pixel views that the network predicts, in
            pixels of `image`. It grows with the blur; its sign tells the two sides of the plane of
            focus apart.

        Raises:
            TypeError, ValueError: the arrays are not as described.
            EngineError: memory does not suffice, or the network gives values that are no numbers.
        """
        views = self._working_views(image, left, right)
        height, width = views[0].shape[:2]
        cells = self._engine.disparity(_padded(views, _MAP_MARGIN))[0, 0]
        _require_finite(cells)
        # Disparities are horizontal: from cells to working pixels to pixels of the picture.
        disparity = cells * (tiling.CELL * image.shape[1] / width)
        disparity = _resized(disparity, *(tiling.CELL * side for side in cells.shape))
        rows, columns = (slice(_MAP_MARGIN, _MAP_MARGIN + side) for side in (height, width))
        return _resized(disparity[rows, columns], *image.shape[:2])

    def deblur_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str] | None = None,
        *,
        left: str | os.PathLike[str] | None = None,
        right: str | os.PathLike[str] | None = None,
        strength: float = 1.0,
        comparison: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Deblur a photograph as a file; EXIF, ICC profile, bit depth and transparency are kept.

        Args:
            source: the photograph.
            target: the result, in the format of its suffix; by default `photo.deblurred.jpg`
                beside `photo.jpg`.
            left: left dual-pixel view; for a dual-pixel model only.
            right: right dual-pixel view; for a dual-pixel model only.
            strength: part of the correction to apply, 0 to 1.
            comparison: where to write the photograph and the result side by side.
            overwrite: whether files of those names are replaced; the photograph itself never is.

        Returns:
            The path of the result.

        Raises:
            IfanError: a photograph cannot be read, the result not be written, or memory does not
                suffice; the error's text says which.
            ValueError: the strength is none.
        """
        from ifan.images import require_room_for, side_by_side, write_photograph

        _require_strength(strength)
        target = Path(target) if target is not None else default_target(Path(source))
        with _naming(source):
            photograph, sides = _read(source, left, right)
            for path in (target, comparison):
                if path is not None:
                    _require_target(path, (source, left, right), overwrite)
                    require_room_for(photograph, path)
            sharp = photograph.with_pixels(self(photograph.pixels, **sides, strength=strength))
            write_photograph(sharp, target, overwrite=overwrite)
            if comparison is not None:
                write_photograph(side_by_side(photograph, sharp), comparison, overwrite=overwrite)
        return target

    def defocus_map_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        left: str | os.PathLike[str] | None = None,
        right: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> tuple[float, float]:
        """Write the defocus map of a photograph.

        Args:
            source: the photograph.
            target: a `.tif` gets the numbers, in pixels, as one float32 channel; other formats get
                colours: white where it is in focus, blue and red on the two sides of the focus.
            left: left dual-pixel view; for a dual-pixel model only.
            right: right dual-pixel view; for a dual-pixel model only.
            overwrite: whether a file of that name is replaced; the photograph itself never is.

        Returns:
            The smallest and the largest value, in pixels.

        Raises:
            IfanError: as for `deblur_file`.
        """
        from ifan.images import coloured, output_format, write_map, write_photograph

        with _naming(source):
            photograph, sides = _read(source, left, right)
            _require_target(target, (source, left, right), overwrite)
            values = self.defocus_map(photograph.pixels, **sides)
            if output_format(target).name == "TIFF":
                write_map(values, target, overwrite=overwrite)
            else:
                write_photograph(coloured(values, photograph.path), target, overwrite=overwrite)
        return float(values.min()), float(values.max())

    def _working_views(self, image: Image, left: Image | None, right: Image | None) -> list[Array]:
        """Return the views as the network is to see them: HxWx3 float32 in [0, 1].

        They are known to be as they should, and to fit into memory.
        """
        if self.dual_pixel and (left is None or right is None):
            raise ValueError("the model needs the left and the right dual-pixel view as well")
        if not self.dual_pixel and not (left is None and right is None):
            raise ValueError("the model takes one view, without a left and a right one")
        views = [image, *(view for view in (left, right) if view is not None)]
        for view in views:
            _require_picture(view)
        height, width = image.shape[:2]
        if any(view.shape[:2] != (height, width) for view in views):
            raise ValueError("the views differ in size")
        size = height, width
        if self._working_size is not None:
            size = tiling.fitted_size(height, width, self._working_size)
        self._require_memory(height * width, size)
        return [_resized(_as_float(view), *size) for view in views]

    def _require_memory(self, pixels: int, working_size: tuple[int, int]) -> None:
        """Refuse a picture of so many pixels if it cannot fit."""
        if self.choice.device != "cpu":
            return  # a GPU says itself when its memory is full
        configuration = self.model.description.configuration
        per_pixel = self._engine.bytes_per_pixel * configuration.width
        needed = per_pixel * working_size[0] * working_size[1] + _BYTES_PER_PIXEL * pixels
        require_memory(needed, *working_size)


def default_target(source: Path) -> Path:
    """Return where the result of `source` goes if nothing is said: `photo.deblurred.jpg`."""
    return source.parent / f"{source.stem}{RESULT_INFIX}{source.suffix}"


def default_map_target(source: Path) -> Path:
    """Return where the defocus map of `source` goes if nothing is said: `photo.defocus.png`."""
    return source.parent / f"{source.stem}{MAP_INFIX}.png"


def compare_files(
    before: str | os.PathLike[str], after: str | os.PathLike[str], target: str | os.PathLike[str]
) -> None:
    """Write a photograph and its result, which is there already, side by side.

    Raises:
        IfanError: one of the two cannot be read, they are not alike, or the target not be written.
    """
    from ifan.images import read_photograph, side_by_side, write_photograph

    with _naming(before):
        photograph, result = read_photograph(before), read_photograph(after)
        try:
            both = side_by_side(photograph, result)
        except ValueError as error:
            raise PictureError(after, f"is not like {before} ({error})", "make it anew") from error
        write_photograph(both, target)


def parse_working_size(working_size: int | str) -> int | None:
    """Return the long side in pixels that is meant, None for the full size.

    Raises:
        ValueError: it is neither `auto`, `full` nor a positive number.
    """
    if working_size == "auto":
        return AUTO_WORKING_SIZE
    if working_size == "full":
        return None
    size = int(working_size) if str(working_size).isdecimal() else 0
    if size < 1:
        raise ValueError(f"working size {working_size!r} is neither auto, full nor pixels")
    return size


def _require_target(
    target: str | os.PathLike[str],
    views: Iterable[str | os.PathLike[str] | None],
    overwrite: bool,
) -> None:
    """Refuse, before the long work, a result that could not be written or would replace a view."""
    from ifan.images import output_format

    output_format(target)
    if any(view is not None and same_file(view, target) for view in views):
        remedy = "choose another name or folder for the result"
        raise OutputError(target, "is the photograph itself", remedy)
    require_free(target, overwrite=overwrite)


def _read(
    source: str | os.PathLike[str],
    left: str | os.PathLike[str] | None,
    right: str | os.PathLike[str] | None,
) -> tuple[Photograph, dict[str, Image]]:
    """Read a photograph and the pixels of the side views that are given."""
    from ifan.images import read_photograph

    sides = {"left": left, "right": right}
    return read_photograph(source), {
        name: read_photograph(path).pixels for name, path in sides.items() if path is not None
    }


@contextmanager
def _naming(source: str | os.PathLike[str]) -> Iterator[None]:
    """Put the photograph's name into errors that know arrays only."""
    try:
        yield
    except ValueError as error:
        remedy = "give the views that the model needs, all of one size"
        raise PictureError(source, str(error), remedy) from error
    except MemoryError as error:
        remedy = "close other programs, or give a smaller picture"
        raise EngineError(source, "memory ran out", remedy) from error
    except EngineError as error:
        raise EngineError(source, error.reason, error.remedy) from error


def _require_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise ValueError(f"strength {strength} is not between 0 and 1")


def _require_picture(image: Image) -> None:
    if not isinstance(image, np.ndarray) or image.dtype not in _WHITE:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"pictures are uint8, uint16 or float32 arrays, not {kind}")
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        raise ValueError(f"pictures are HxWx3 or HxW, not of shape {image.shape}")
    if image.dtype == np.float32 and not (image.min() >= 0 and image.max() <= 1):
        raise ValueError("float32 pictures have values from 0 to 1")


def _require_finite(values: Array) -> None:
    if not np.isfinite(values).all():
        remedy = "choose --precision fp32, or another model"
        raise EngineError("network", "gave values that are not numbers", remedy)


def _as_float(image: Image) -> Array:
    """Return a new HxWx3 float32 array in [0, 1]."""
    picture = np.divide(image, _WHITE[image.dtype], dtype=np.float32)
    return np.repeat(picture[..., None], 3, axis=2) if image.ndim == 2 else picture


def _corrected(image: Image, correction: Array, strength: float) -> Image:
    """Return `image` with so much of the correction, HxWx3, added."""
    corrected = np.empty_like(image)
    # In bands of rows: a large photograph as floats is several times what it is as bytes.
    for top in range(0, len(image), _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS)
        picture = np.clip(_as_float(image[rows]) + strength * correction[rows], 0, 1)
        corrected[rows] = _like(image, picture)
    return corrected


def _like(image: Image, picture: Array) -> Image:
    """Return `picture`, HxWx3 in [0, 1], as `image` has it: RGB or grey, and its dtype."""
    if image.ndim == 2:
        picture = picture.mean(axis=2)
    if image.dtype == np.float32:
        return picture
    return np.rint(picture * _WHITE[image.dtype]).astype(image.dtype)


def _padded(views: list[Array], around: int = 0) -> Views:
    """Return HxWx3 views as the network takes them, continued by reflection."""
    height, width = views[0].shape[:2]
    above_below, left_right = tiling.margins(height, width, around)
    padded = (np.pad(view, (above_below, left_right, (0, 0)), mode="reflect") for view in views)
    return tuple(np.ascontiguousarray(view.transpose(2, 0, 1)[None]) for view in padded)


def _resized(array: Array, height: int, width: int) -> Array:
    if array.shape[:2] == (height, width):
        return array
    from ifan.images import resize

    return resize(array, height, width)
