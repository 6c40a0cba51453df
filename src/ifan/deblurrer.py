"""The main job: a picture in, the all-in-focus picture out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ifan import engines, tiling
from ifan.budget import Budget
from ifan.engines import Array, Views
from ifan.engines.staged import StagedNetwork, Wanted
from ifan.errors import EngineError, OutputError, PictureError
from ifan.models.store import Model, compiled_folder, open_model
from ifan.passes import mean_of_passes, require_passes
from ifan.results import default_target, require_target
from ifan.working_size import blended, parse_working_size, resized, sizes_for_blur

if TYPE_CHECKING:
    from ifan.images import Photograph, Rendition

Image = NDArray[Any]
"""HxWx3 or HxW; uint8, uint16, or float32 in [0, 1]; sRGB-coded."""

_LOADING = Lock()
"""Held by the thread that loads a network."""

_MAP_MARGIN = 64
"""Pixels by which a picture is continued on all sides for its defocus map: near a border, the map
shows the border rather than the blur."""


class Deblurrer:
    """Turns out-of-focus pictures into sharp ones.

    Args:
        model: a name (`ifan models list`), a checkpoint file or a model's folder; None is the
            bundled `ifan-s`.
        engine: `openvino`, `torch`, `onnxruntime`, or `auto`, which takes the fastest.
        precision: `fp32`, `bf16`, `fp16`, or `auto`, which takes the fastest that keeps the
            picture.
        memory: gigabytes (10^9 bytes) that a picture may take, the program included; on a GPU, what
            the network may take of its memory. By default a large one takes little more than it has
            to; with more it is done sooner.
        working_size: long side in pixels at which the network sees a picture; `full`; `auto`:
            the full size up to 2048 pixels, and 2048 above; or `blur`: that, its half and
            its quarter, in each place mostly the one where the network finds the most to correct.
            Where that is less than the full size, the network's correction is enlarged and added
            to the picture, so what was sharp keeps its detail.
        passes: how often the network sees a picture: 1, 2, 4 or 8 times, turned and mirrored each
            time. What it makes of them is averaged (`ifan.passes`), which is nearer to the truth, a
            little softer, and takes as many times as long. A dual-pixel model makes four of eight;
            a defocus map takes one.
        threads: that the network may take on a CPU; by default as many as there are cores.

    Raises:
        ModelError: the model is unknown, is not on this machine, or cannot be read.
        EngineError: the engine is not installed, or does not offer the precision.
        ValueError: the working size or the number of passes is none, or the memory or the threads
            are not positive.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        engine: str = "auto",
        precision: str = "auto",
        working_size: int | str = "auto",
        passes: int = 1,
        memory: float | None = None,
        threads: int | None = None,
    ) -> None:
        self._use(working_size, passes)
        if threads is not None and threads < 1:
            raise ValueError(f"{threads} is no number of threads")
        self._threads = threads
        if memory is not None and not memory > 0:
            raise ValueError(f"memory {memory} is not a positive number of gigabytes")
        self.model: Model = open_model(model)
        self.choice = engines.choose(engine, precision, has_graph=self.model.has_graph)
        limit = None if memory is None else memory * 1e9
        self._budget = Budget(limit, on_cpu=self.choice.device == "cpu")
        self._loaded: StagedNetwork | None = None

    def _network(self) -> StagedNetwork:
        """Return the network, which the first of the threads that share this loads."""
        with _LOADING:
            if self._loaded is None:
                self._loaded = self._open_network()
            return self._loaded

    def _open_network(self) -> StagedNetwork:
        model = self.model
        engine = engines.open_engine(
            self.choice,
            graph=model.graph,
            network=model.network,
            compiled=compiled_folder(),
            threads=self._threads,
        )
        configuration = model.description.configuration
        return StagedNetwork(engine, configuration.width, configuration.iterations)

    @property
    def dual_pixel(self) -> bool:
        """Whether the model needs the left and right dual-pixel views besides the center one."""
        return self.model.description.configuration.dual_pixel

    def load(self) -> None:
        """Load the network now; otherwise the first picture does.

        Raises:
            ModelError: the weights cannot be read, or not without PyTorch.
        """
        _ = self.dual_pixel, self._network()

    def at(self, working_size: int | str, passes: int | None = None) -> Deblurrer:
        """Return a deblurrer that works at another size with the same network.

        Args:
            working_size: as for the class.
            passes: as for the class; by default as many as this one makes.

        Raises:
            ModelError: the weights cannot be read, or not without PyTorch.
            ValueError: the working size or the number of passes is none.
        """
        self.load()
        other = copy(self)
        other._use(working_size, self._passes if passes is None else passes)
        return other

    def _use(self, working_size: int | str, passes: int) -> None:
        self._working_size = parse_working_size(working_size)
        self._seeks_blur = working_size == "blur"
        self._passes = require_passes(passes)

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
        sides = (None if view is None else _photograph_of(view) for view in (left, right))
        _require_strength(strength)
        renditions = self._renditions(_photograph_of(image), *sides, strength=strength)
        if strength == 0:
            return image.copy()
        return renditions[0].corrected(self.infer(renditions), strength).pixels

    def deblur_photograph(
        self,
        photograph: Photograph,
        *,
        left: Photograph | None = None,
        right: Photograph | None = None,
        strength: float = 1.0,
    ) -> Photograph:
        """Deblur a photograph that was read from a file.

        The network sees it in sRGB, with transparent parts filled from the visible colours around
        them; its correction is added in the photograph's own colour space.

        Args:
            photograph: the photograph.
            left: left dual-pixel view, of the same size; for a dual-pixel model only.
            right: right dual-pixel view, of the same size; for a dual-pixel model only.
            strength: part of the correction to apply, 0 to 1.

        Raises:
            IfanError: the views are not what the model needs, or memory does not suffice.
            ValueError: the strength is none.
        """
        _require_strength(strength)
        renditions = self.renditions(photograph, strength, left=left, right=right)
        if strength == 0:
            return photograph
        return renditions[0].corrected(self.infer(renditions), strength)

    def renditions(
        self,
        photograph: Photograph,
        strength: float = 1.0,
        /,
        *,
        left: Photograph | None = None,
        right: Photograph | None = None,
    ) -> list[Rendition]:
        """Return a photograph and its views as the network is to see them.

        It is the first of three steps that `deblur_photograph` takes, and that can be taken side by
        side; the others are `infer`, and `Rendition.corrected` of the first rendition.

        Args:
            photograph: the photograph.
            strength: part of the correction that will be applied; less than all takes more memory.
            left: left dual-pixel view, of the same size; for a dual-pixel model only.
            right: right dual-pixel view, of the same size; for a dual-pixel model only.

        Raises:
            IfanError: the views are not what the model needs, or memory does not suffice.
        """
        with naming(photograph.path):
            return self._renditions(photograph, left, right, strength=strength)

    def infer(self, renditions: list[Rendition]) -> Array:
        """Run the network.

        Args:
            renditions: as `renditions` returns them.

        Returns:
            HxWx3 float32: what it makes of the first one.

        Raises:
            EngineError: memory does not suffice, or the network gives values that are no numbers.
        """
        with naming(renditions[0].path):
            views = [rendition.view for rendition in renditions]
            network = self._network()
            room = self._budget.for_network(
                network, renditions, blends=self._seeks_blur, averages=self._passes > 1
            )
            deblurred = self._run(views, room)
            if self._seeks_blur:
                return self._corrected_for_blur(views, deblurred, room)
            return deblurred

    def _run(self, views: list[Array], room: float) -> Array:
        """Run the network on views, HxWx3, and return what it makes of the first one."""

        def once(views: list[Array]) -> Array:
            deblurred: Array = self._network().deblur(_planes(views), room)[0]
            _require_finite(deblurred)
            return deblurred.transpose(1, 2, 0)

        return mean_of_passes(views, self._passes, once)

    def _corrected_for_blur(self, views: list[Array], deblurred: Array, room: float) -> Array:
        """Return the first view with corrections of several sizes, see `blended`.

        Args:
            views: HxWx3.
            deblurred: what the network makes of the first view at its own size; it becomes the
                result.
            room: for the network.
        """
        deblurred -= views[0]
        corrections = [deblurred]
        for size in sizes_for_blur(*views[0].shape[:2])[1:]:
            smaller = [resized(view, *size) for view in views]
            corrections.append(self._run(smaller, room) - smaller[0])
        result = blended(corrections)
        result += views[0]
        return result

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
            pixels of `image`. It grows with the blur. With a dual-pixel model its sign tells the
            two sides of the focus apart; with a model of one view it means little.

        Raises:
            TypeError, ValueError: the arrays are not as described.
            EngineError: memory does not suffice, or the network gives values that are no numbers.
        """
        sides = (None if view is None else _photograph_of(view) for view in (left, right))
        return self._disparity(_photograph_of(image), *sides)

    def map_photograph(
        self,
        photograph: Photograph,
        *,
        left: Photograph | None = None,
        right: Photograph | None = None,
    ) -> Array:
        """Return the defocus map of a photograph that was read from a file.

        Args:
            photograph: as for `deblur_photograph`.
            left: as for `deblur_photograph`.
            right: as for `deblur_photograph`.

        Returns:
            As `defocus_map`.

        Raises:
            IfanError: the views are not what the model needs, or memory does not suffice.
        """
        with naming(photograph.path):
            return self._disparity(photograph, left, right)

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
        page: int | None = None,
        max_pixels: int | None = None,
    ) -> Path:
        """Deblur a photograph as a file; metadata, colours, bit depth and transparency are kept.

        Args:
            source: the photograph.
            target: the result, in the format of its suffix; by default `photo.deblurred.jpg`
                beside `photo.jpg`.
            left: left dual-pixel view; for a dual-pixel model only.
            right: right dual-pixel view; for a dual-pixel model only.
            strength: part of the correction to apply, 0 to 1.
            comparison: where to write the photograph and the result side by side.
            overwrite: whether files of those names are replaced; the photograph itself never is.
            page: which one of a TIFF file of several, from 1.
            max_pixels: larger photographs are refused before memory is taken for them; by default
                500 megapixels.

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
        with naming(source):
            photograph, *sides = _read((source, left, right), page, max_pixels)
            if comparison is not None and os.path.realpath(comparison) == os.path.realpath(target):
                raise OutputError(comparison, "is the result, too", "give another name")
            for path in (target, comparison):
                if path is not None:
                    require_target(path, (source, left, right), overwrite)
                    is_comparison = path is comparison
                    require_room_for(photograph, path, beside_another=is_comparison)
            sharp = self.deblur_photograph(
                photograph, left=sides[0], right=sides[1], strength=strength
            )
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
        page: int | None = None,
        max_pixels: int | None = None,
    ) -> tuple[float, float]:
        """Write the defocus map of a photograph.

        Args:
            source: the photograph.
            target: a `.tif` gets the numbers, in pixels, as one float32 channel; other formats get
                colours: white where it is in focus, darker blue or red the further it is out of
                focus, and a legend in the lower left corner. Which of the two it is means something
                with a dual-pixel model only, see `defocus_map`.
            left: left dual-pixel view; for a dual-pixel model only.
            right: right dual-pixel view; for a dual-pixel model only.
            overwrite: whether a file of that name is replaced; the photograph itself never is.
            page: as for `deblur_file`.
            max_pixels: as for `deblur_file`.

        Returns:
            The smallest and the largest value, in pixels.

        Raises:
            IfanError: as for `deblur_file`.
        """
        from ifan.images import coloured_with_legend, output_format, write_map, write_photograph

        with naming(source):
            photograph, *sides = _read((source, left, right), page, max_pixels)
            require_target(target, (source, left, right), overwrite)
            values = self._disparity(photograph, *sides)
            if output_format(target).name == "TIFF":
                write_map(values, target, overwrite=overwrite)
            else:
                legended = coloured_with_legend(values, photograph.path)
                write_photograph(legended, target, overwrite=overwrite)
        return float(values.min()), float(values.max())

    def _disparity(
        self,
        photograph: Photograph,
        left: Photograph | None = None,
        right: Photograph | None = None,
    ) -> Array:
        renditions = self._renditions(photograph, left, right, wanted="disparity")
        height, width = renditions[0].view.shape[:2]
        room = self._budget.for_network(self._network(), renditions, wanted="disparity")
        views = [rendition.view for rendition in renditions]
        cells = self._network().disparity(_planes(views, _MAP_MARGIN), room)[0, 0]
        _require_finite(cells)
        # Disparities are horizontal: from cells to working pixels to pixels of the picture.
        disparity = cells * (tiling.CELL * photograph.width / width)
        disparity = resized(disparity, *(tiling.CELL * side for side in cells.shape))
        rows, columns = (slice(_MAP_MARGIN, _MAP_MARGIN + side) for side in (height, width))
        return resized(disparity[rows, columns], photograph.height, photograph.width)

    def _renditions(
        self,
        photograph: Photograph,
        left: Photograph | None,
        right: Photograph | None,
        *,
        strength: float = 1.0,
        wanted: Wanted = "deblurred",
    ) -> list[Rendition]:
        """Return the views as the network is to see them, known to fit it and into memory."""
        from ifan.images import Rendition

        if self.dual_pixel and (left is None or right is None):
            raise ValueError("the model needs the left and the right dual-pixel view as well")
        if not self.dual_pixel and not (left is None and right is None):
            raise ValueError("the model takes one view, without a left and a right one")
        views = [photograph, *(view for view in (left, right) if view is not None)]
        height, width = photograph.height, photograph.width
        if any((view.height, view.width) != (height, width) for view in views):
            raise ValueError("the views differ in size")
        size = height, width
        if self._working_size is not None:
            size = tiling.fitted_size(height, width, self._working_size)
        is_deblurred = wanted == "deblurred"
        self._budget.require(
            views,
            size,
            self._loaded,
            strength=strength,
            blends=is_deblurred and self._seeks_blur,
            averages=is_deblurred and self._passes > 1,
        )
        return [Rendition(view, *size) for view in views]


def _read(
    views: Iterable[str | os.PathLike[str] | None], page: int | None, max_pixels: int | None
) -> Iterator[Any]:
    """Read a photograph and its side views; for a view that is not given yield None."""
    from ifan.images import read_photograph

    for view in views:
        if view is None:
            yield None
        else:
            yield read_photograph(view, page=page, max_pixels=max_pixels)


@contextmanager
def naming(source: str | os.PathLike[str]) -> Iterator[None]:
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


def _photograph_of(image: Image) -> Photograph:
    """Wrap an array that a caller gave, once it is known to be a picture."""
    from ifan.images import WHITE, Metadata, Photograph

    if not isinstance(image, np.ndarray) or image.dtype not in WHITE:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"pictures are uint8, uint16 or float32 arrays, not {kind}")
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        raise ValueError(f"pictures are HxWx3 or HxW, not of shape {image.shape}")
    if image.dtype == np.float32 and not (image.min() >= 0 and image.max() <= 1):
        raise ValueError("float32 pictures have values from 0 to 1")
    return Photograph(image, None, format="", metadata=Metadata(), path=Path("picture"))


def _require_finite(values: Array) -> None:
    # Of values among which one is no number, the least and the largest are none, too.
    if not np.isfinite((values.min(), values.max())).all():
        remedy = "choose --precision fp32, or another model"
        raise EngineError("network", "gave values that are not numbers", remedy)


def _planes(views: list[Array], around: int = 0) -> Views:
    """Return views, HxWx3, as the network takes them, continued by reflection on all sides."""
    height, width = views[0].shape[:2]
    margins = ((0, 0), (0, 0), *tiling.margins(height, width, around))
    planes = (view.transpose(2, 0, 1)[None] for view in views)
    return tuple(np.pad(view, margins, mode="reflect") if around else view for view in planes)
