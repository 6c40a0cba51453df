"""What is evaluated: a model, or a folder of pictures that some program made."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from ifan import __version__
from ifan.datasets.folders import Bits, Role, pictures_below
from ifan.datasets.testing import TestSet
from ifan.deblurrer import Deblurrer
from ifan.errors import IfanError, PictureError
from ifan.evaluation.protocol import Protocol as EvaluationProtocol
from ifan.evaluation.protocol import Values, cropped, read_result
from ifan.evaluation.records import plain_text
from ifan.files import exists, is_folder
from ifan.images import Metadata, Photograph
from ifan.models.catalogue import CatalogueEntry, find
from ifan.models.store import WEIGHTS_NAME, Model, is_here

_EPOCH = re.compile(r"_\d{5}$")


class Made(NamedTuple):
    """What a method made of a picture.

    Attributes:
        result: HxWx3, not clipped.
        seconds: that its network took; None where there is none.
    """

    result: Values
    seconds: float | None


class Method(Protocol):
    """Something that makes sharp pictures out of those of a data set.

    Attributes:
        label: what to call it.
        mode: the folder of its results.
        checkpoint: the file of its weights; None where there is none.
        bits: in which pictures are read.
        needs_views: whether it takes the dual-pixel views, too.
    """

    label: str
    mode: str
    checkpoint: Path | None
    bits: Bits
    needs_views: bool

    def identity(self) -> dict[str, object]:
        """Return all that its results depend on, besides the pictures and the protocol."""
        ...

    def files(self, test_set: TestSet) -> Sequence[Path | None]:
        """Return for each picture the file that holds its result already, if there is one.

        Raises:
            IfanError: there are not as many as pictures, or nothing to score them by.
        """
        ...

    def make(self, views: Mapping[Role, Values], picture: Path, file: Path | None) -> Made:
        """Make the sharp picture.

        Args:
            views: `center` and, if it takes them, `left` and `right`; HxWx3.
            picture: the file of the center view, for messages.
            file: that of `files`.

        Raises:
            IfanError: it cannot be made or read, or is of another size.
        """
        ...


class ModelMethod:
    """A model, through `Deblurrer`, at full size.

    Args:
        deblurrer: opened with a working size of `full`.
        bits: in which pictures are read; None: what the model says, or the catalogue says of a
            released file of that name.
        mode: the folder of its results; None: as the paper's code calls the model.
    """

    def __init__(
        self, deblurrer: Deblurrer, bits: Bits | None = None, mode: str | None = None
    ) -> None:
        model = deblurrer.model
        entry = model.entry or _released_file(model)
        self._deblurrer = deblurrer
        self.label = model.name
        self.mode = mode or (entry and entry.mode) or _EPOCH.sub("", model.name)
        self.checkpoint: Path | None = model.weights
        self.bits: Bits = bits or (_released_file(model) or model.description).sample_bits
        self.needs_views = deblurrer.dual_pixel

    def identity(self) -> dict[str, object]:
        """Return the weights, what runs them, and the version of this program."""
        choice = self._deblurrer.choice
        return {
            "model": plain_text(self._deblurrer.model.name),
            "sha256": self._deblurrer.model.sha256,
            "bits": self.bits,
            "engine": choice.engine,
            "device": choice.device,
            "precision": choice.precision,
            "ifan": __version__,
        }

    def files(self, test_set: TestSet) -> Sequence[Path | None]:
        """Return nothing: all is to be made."""
        return [None] * len(test_set.files)

    def make(
        self,
        views: Mapping[Role, Values],
        picture: Path,
        file: Path | None,  # noqa: ARG002
    ) -> Made:
        """Deblur a picture; the time is that of the network alone.

        Raises:
            EngineError: memory does not suffice, or the network gives values that are no numbers.
        """
        center, *sides = (
            _photograph(views[role], picture)
            for role in ("center", "left", "right")
            if role in views
        )
        left, right = sides or (None, None)
        renditions = self._deblurrer.renditions(center, left=left, right=right)
        started = time.perf_counter()
        result = self._deblurrer.infer(renditions)
        return Made(result, time.perf_counter() - started)


class FolderMethod:
    """Pictures that some program made, in the order of those that it made them of.

    Args:
        folder: where they are; folders in it count, hidden pictures do not.
        protocol: says in which size they may be.
        bits: in which the pictures of the data set are read.
        label: what to call it; None: as the folder.

    Raises:
        IfanError: there is no such folder.
    """

    checkpoint: Path | None = None
    needs_views = False

    def __init__(
        self,
        folder: Path,
        protocol: EvaluationProtocol,
        bits: Bits = 8,
        label: str | None = None,
    ) -> None:
        if not is_folder(folder):
            raise IfanError(folder, "is no folder", "check the name")
        self._folder = folder
        self._protocol = protocol
        self.label = self.mode = label or folder.resolve().name
        self.bits = bits

    def identity(self) -> dict[str, object]:
        """Return where the pictures are; of each, it is known by its file whether it changed."""
        return {
            "predictions": plain_text(self._folder.resolve()),
            "bits": self.bits,
            "ifan": __version__,
        }

    def files(self, test_set: TestSet) -> Sequence[Path | None]:
        """Return the pictures of the folder.

        Raises:
            IfanError: they are more or less than those of the data set, or that has no targets.
        """
        if not test_set.has_targets:
            reason = "has no targets, so there is nothing to score"
            raise IfanError(test_set.folder, reason, "give a set that has, or a --model")
        found = pictures_below(self._folder)
        if len(found) != len(test_set.files):
            reason = f"has {len(found)} pictures, but {test_set.folder} has {len(test_set.files)}"
            remedy = "give one result for each picture, in the same order of names"
            raise IfanError(self._folder, reason, remedy)
        return found

    def make(
        self,
        views: Mapping[Role, Values],
        picture: Path,  # noqa: ARG002
        file: Path | None,
    ) -> Made:
        """Read a picture, which may have the size of the original, or the one that is scored.

        Raises:
            PictureError: it cannot be read, or is of another size.
        """
        assert file is not None  # noqa: S101 (for mypy: `files` gives one for each picture)
        result = read_result(file)
        height, width = views["center"].shape[:2]
        multiple = self._protocol.multiple or 1
        beyond = [side - of for side, of in zip(result.shape[:2], (height, width), strict=True)]
        if not all(0 <= rest < multiple for rest in beyond):
            reason = f"has {result.shape[1]}x{result.shape[0]} pixels, not {width}x{height}"
            raise PictureError(file, reason, "give a result of the same scene in the same size")
        return Made(cropped(result, (height, width)), None)


def is_result_folder(named: str) -> bool:
    """Tell a folder of pictures from a model, which may be a folder, or be called like one."""
    is_other = is_folder(Path(named)) and not exists(Path(named) / WEIGHTS_NAME)
    return is_other and not is_here(named)


def labels_of(named: Sequence[str]) -> list[str]:
    """Return short names for models and folders: the last parts of each that tell them apart."""
    paths = [Path(name) for name in named]
    parts = [
        [part for part in (*path.parts[:-1], path.stem if path.is_file() else path.name) if part]
        for path in map(_absolute, paths)
    ]
    for count in range(1, max(map(len, parts)) + 1):
        labels = ["-".join(own[-count:]).replace("/", "") for own in parts]
        if len(set(labels)) == len(labels):
            return labels
    return [f"{number}-{label}" for number, label in enumerate(labels, start=1)]


def _absolute(path: Path) -> Path:
    return path.resolve() if exists(path) else path


def _released_file(model: Model) -> CatalogueEntry | None:
    """Return the released checkpoint that a file is by its name, if it does not say what it is."""
    entry = find(model.name)
    is_it = entry is not None and entry.origin == "released" and entry.file == model.weights.name
    return entry if is_it else None


def _photograph(values: Values, path: Path) -> Photograph:
    pixels = np.ascontiguousarray(values)
    return Photograph(pixels, None, format="", metadata=Metadata(), path=path)
