"""Crops of simulated scenes without end, to train with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, model_validator

from ifan.datasets.examples import Example
from ifan.datasets.simulated import Scene, SceneSimulator, Simulation
from ifan.datasets.simulated.settings import Share
from ifan.errors import IfanError
from ifan.optics import linear_light, srgb_coded

_TRIES = 8
"""Crops of a scene that are looked at for one whose blur is wanted."""

_MOST_TRIES = 1000
"""Scenes in a row that may lack the blur that is wanted."""

_SCENES_OF_A_GROUP = 1_000_000
"""Numbers of scenes that each group has for itself; it needs far fewer."""

_LUMINANCE = np.array((0.2126, 0.7152, 0.0722), np.float32)


class Curriculum(BaseModel):
    """Which crops of simulated scenes are taken: mild blur first, then more, then any.

    With crops of every blur from the beginning a network stays at the identity for thousands of
    updates.

    Attributes:
        mean_coc_px: range of a crop's mean |coc| at first, in pixels.
        last_mean_coc_px: the upper end of that range once it is as wide as it gets.
        widened_by: the part of the training after which it is.
        any_share: how many crops are of any blur, none included, once those are mixed in.
        any_after: the part of the training after which they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean_coc_px: tuple[NonNegativeFloat, PositiveFloat] = (1.0, 4.0)
    last_mean_coc_px: PositiveFloat = 7.0
    widened_by: Share = 0.6
    any_share: Share = 0.25
    any_after: Share = 0.35

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        low, high = self.mean_coc_px
        if not low < min(high, self.last_mean_coc_px):
            raise ValueError("mean_coc_px must begin below its end and below last_mean_coc_px")
        return self

    def wanted(self, progress: float) -> tuple[float, float]:
        """Return the range of the mean |coc| at a part of the training, 0 to 1."""
        low, high = self.mean_coc_px
        widened = min(1.0, progress / self.widened_by) if self.widened_by else 1.0
        return low, high + (self.last_mean_coc_px - high) * widened


class CropStream:
    """Makes groups of crops by number, each the same whenever and wherever it is made.

    Args:
        photographs: sharp ones, see `SceneSimulator`.
        simulation: what scenes are drawn from; at least as large as a crop.
        crop: side of the crops in pixels.
        uses: how many crops are taken of each scene.
        curriculum: which; None takes any.
        grey_share: how many are turned grey.
        views: dual-pixel views come with the crops. Without, each crop is turned or mirrored by
            chance, so that of a scene more can be learnt; views only make sense as they are.
        seed: another one makes other crops of the same kind.
        retouch: what is done to each scene before it is cut.
    """

    def __init__(
        self,
        photographs: Sequence[npt.NDArray[np.uint8]],
        simulation: Simulation,
        *,
        crop: int,
        uses: int = 1,
        curriculum: Curriculum | None = None,
        grey_share: float = 0.0,
        views: bool = True,
        seed: int = 0,
        retouch: Callable[[Scene], Scene] | None = None,
    ) -> None:
        self.photographs = photographs
        self.simulation = simulation
        self.crop = crop
        self.uses = uses
        self.curriculum = curriculum
        self.grey_share = grey_share
        self.views = views
        self.seed = seed
        self.retouch = retouch

    def group(self, number: int, scenes: int, progress: float) -> list[Example]:
        """Make the crops of some scenes: `uses` rounds, each with one crop of every scene.

        Args:
            number: of the group.
            scenes: how many there are in it.
            progress: the part of the training that is done, 0 to 1, for the curriculum.

        Returns:
            `scenes` * `uses` examples, uint8 or uint16.
        """
        random = np.random.default_rng([self.seed, number])
        first = number * _SCENES_OF_A_GROUP
        crops = []
        for _ in range(scenes):
            # Once a scene: drawn anew for each try, "any", which never fails, would come oftener.
            wanted = self._wanted(progress, random)
            for _ in range(_MOST_TRIES):
                of_scene = list(self._crops(first, wanted, random))
                first += 1
                if of_scene:
                    break
            else:
                raise _unmet(wanted)
            crops.append(of_scene)
        return [
            crops[scene][use] for use in range(self.uses) for scene in random.permutation(scenes)
        ]

    def _wanted(self, progress: float, random: np.random.Generator) -> tuple[float, float] | None:
        """Draw what blur the next scene is wanted for; None is any."""
        if self.curriculum is None:
            return None
        mixed = progress >= self.curriculum.any_after
        if mixed and random.random() < self.curriculum.any_share:
            return None
        return self.curriculum.wanted(progress)

    def _crops(
        self, number: int, wanted: tuple[float, float] | None, random: np.random.Generator
    ) -> Iterator[Example]:
        """Make a scene and cut it; nothing comes if it has not the blur that is wanted."""
        scene = SceneSimulator(
            self.photographs, _likely(self.simulation, wanted), seed=self.seed
        ).scene(number)
        corners = [self._corner(scene, wanted, random) for _ in range(self.uses)]
        found = [corner for corner in corners if corner is not None]
        if not found:
            return
        if self.retouch is not None:
            scene = self.retouch(scene)
        for corner in corners:
            yield self._example(scene, corner or found[0], number, random)

    def _corner(
        self, scene: Scene, wanted: tuple[float, float] | None, random: np.random.Generator
    ) -> tuple[int, int] | None:
        height, width = (size - self.crop + 1 for size in scene.coc.shape)
        for _ in range(_TRIES):
            y, x = int(random.integers(height)), int(random.integers(width))
            if wanted is None:
                return y, x
            mean = np.abs(scene.coc[y : y + self.crop, x : x + self.crop]).mean()
            if wanted[0] <= mean <= wanted[1]:
                return y, x
        return None

    def _example(
        self, scene: Scene, corner: tuple[int, int], number: int, random: np.random.Generator
    ) -> Example:
        y, x = corner
        crops = {
            name: getattr(scene, name)[y : y + self.crop, x : x + self.crop]
            for name in ("center", "target", "coc", *(("left", "right") if self.views else ()))
        }
        if not self.views:
            crops = _turned(crops, int(random.integers(8)))
        coc = crops.pop("coc")
        if random.random() < self.grey_share:
            crops = {name: _grey(picture) for name, picture in crops.items()}
        bits = self.simulation.bits
        dtype = np.uint16 if bits == 16 else np.uint8
        levels = {
            name: np.rint(picture * (2**bits - 1)).astype(dtype) for name, picture in crops.items()
        }
        return Example(
            levels["center"],
            levels["target"],
            levels.get("left"),
            levels.get("right"),
            name=f"scene {number}: {scene.description}",
            coc=coc,
        )


def _turned(
    crops: dict[str, npt.NDArray[np.float32]], way: int
) -> dict[str, npt.NDArray[np.float32]]:
    """Turn square crops in one of the eight ways, alike."""
    turned = {name: np.rot90(crop, way % 4) for name, crop in crops.items()}
    return {name: crop[:, ::-1] if way >= 4 else crop for name, crop in turned.items()}


def _likely(simulation: Simulation, wanted: tuple[float, float] | None) -> Simulation:
    """Return settings whose scenes mostly have crops of the blur that is wanted."""
    if wanted is None:
        return simulation
    low, high = simulation.coc_px
    range_px = (max(low, min(1.2 * wanted[0], high)), max(low, min(2.5 * wanted[1], high)))
    return simulation.model_copy(update={"coc_px": range_px, "sharp_share": 0.0})


def _grey(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Take the colours away in linear light, where blur mixed them: HxWx3 in [0, 1]."""
    luminance = srgb_coded(linear_light(picture) @ _LUMINANCE)
    return np.repeat(luminance[..., None], 3, axis=-1)


def _unmet(wanted: tuple[float, float] | None) -> IfanError:
    low, high = wanted or (0.0, math.inf)
    reason = f"wants crops with a mean |coc| of {low:g} to {high:g} px, and no scene has any"
    return IfanError("data.curriculum", reason, "widen it, or data.simulation.coc_px")
