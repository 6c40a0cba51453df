"""The folder of a run, and checkpoints that hold all that going on needs.

LOG_ROOT/IFAN_CVPR2021/<mode>/checkpoint/last.ckpt                all of the run, for --resume
                                         best.ckpt                the same at the best score
                                         <mode>_<epoch>.pytorch   weights, in the released layout
                                         checkpoints.txt          each of those with its scores
                              config/recipe.yaml                  the recipe, every key of it
                              cost.txt                            parameters and operations
                              log/, sample/                       what one sees of it
                              photographs/                        decoded, for simulated data
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from ifan.errors import IfanError
from ifan.files import is_written, make_folder, remove_leftovers, write_atomically
from ifan.logs import mode_folder
from ifan.models import save_released_checkpoint
from ifan.networks import IFAN, ReblurringNetwork
from ifan.networks.ifan import DeblurringNetwork
from ifan.training.cost import Cost
from ifan.training.recipe import Recipe

# These change how a training is run and watched and where its pictures lie, not what it computes.
_FREE: Any = {
    "base": True,
    "save_every": True,
    "keep": True,
    "validation": True,
    "data": {"root", "photographs", "skip_damaged", "cache", "cache_gigabytes"},
}

_PICTURES = {"root", "split", "scenes"}
"""What says which the validation pictures are."""

_log = logging.getLogger(__name__)


class Scored(BaseModel):
    """A checkpoint of the weights, and how good they are.

    Attributes:
        name: of the file.
        update: after which the weights were so.
        psnr: mean over the validation pictures in dB; None where there are none.
        ssim: the same, 0 to 1.
        is_past: the validation pictures have been others since then, so it is not compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    update: int
    psnr: float | None
    ssim: float | None
    is_past: bool = False

    def __str__(self) -> str:
        """Return the line of `checkpoints.txt`."""
        line = f"{self.name} update {self.update}"
        if self.psnr is None:
            return line
        past = " (on other pictures)" if self.is_past else ""
        return f"{line} PSNR: {self.psnr:.5f} SSIM: {self.ssim:.5f}{past}"


class RunFolder:
    """Where a run keeps its files.

    Args:
        log_root: of all projects.
        mode: name of the run.
    """

    def __init__(self, log_root: Path, mode: str) -> None:
        self.mode = mode
        self.path = mode_folder(log_root, mode)
        self.checkpoints = self.path / "checkpoint"
        self.log = self.path / "log"
        self.samples = self.path / "sample"
        self.photographs = self.path / "photographs"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self._recipe = self.path / "config" / "recipe.yaml"
        self._list = self.checkpoints / "checkpoints.txt"

    def begin(self, recipe: Recipe, cost: Cost) -> None:
        """Make the folders, and write down what is trained.

        Raises:
            OutputError: they cannot be written.
        """
        for folder in (self.checkpoints, self._recipe.parent, self.log, self.samples):
            make_folder(folder)
            remove_leftovers(folder)
        write_atomically(self._recipe, recipe.to_yaml().encode(), overwrite=True)
        write_atomically(self.path / "cost.txt", str(cost).encode(), overwrite=True)

    def require_unused(self) -> None:
        """Refuse to begin anew where a run is.

        Raises:
            IfanError: there is one.
        """
        if is_written(self.last) or is_written(self.best):
            remedy = "go on with --resume, or name this one otherwise: --set mode=NAME"
            raise IfanError(self.path, "holds a run already", remedy)

    def save(self, state: Mapping[str, Any], recipe: Recipe, *, best: bool = False) -> None:
        """Write all that going on needs.

        Raises:
            OutputError: it cannot be written; what was there before stays.
        """
        content = {
            "recipe": recipe.model_dump_json(),
            "versions": {name: version(name) for name in ("ifan", "torch", "numpy")},
            "torch_random": torch.get_rng_state(),
            **state,
        }
        data = io.BytesIO()
        torch.save(content, data)
        for path in (self.last, self.best)[: 1 + best]:
            write_atomically(path, data.getbuffer(), overwrite=True)

    def load(self, recipe: Recipe) -> dict[str, Any] | None:
        """Read what `save` wrote; None if there is no run yet.

        Scores on other validation pictures than the recipe has now are marked.

        Raises:
            IfanError: it is damaged or missing, or of another recipe.
        """
        if not is_written(self.last) and not is_written(self.best):
            return None
        try:
            content: dict[str, Any] = torch.load(self.last, map_location="cpu", weights_only=True)
            before = Recipe.model_validate_json(content["recipe"])
        except Exception as error:  # of a damaged file it can be any
            remedy = f"put {self.best.name} in its place, or begin anew"
            raise IfanError(self.last, "is no checkpoint of a run, or damaged", remedy) from error
        _require_same(before, recipe)
        was, now = (one.validation.model_dump(include=_PICTURES) for one in (before, recipe))
        if was != now and content["scores"]:
            _log.warning("%s: scores on other validation pictures count no more", self.path)
            content["scores"] = [score | {"is_past": True} for score in content["scores"]]
        return content

    def keep_weights(
        self,
        scores: list[Scored],
        network: DeblurringNetwork,
        reblurring: ReblurringNetwork | None,
        recipe: Recipe,
    ) -> list[Scored]:
        """Keep the weights that were scored last, and of the older ones the best and the newest.

        Args:
            scores: of all that are kept, those of `network` last.
            network: the deblurring network.
            reblurring: the reblurring network.
            recipe: of the training; says how many older ones stay besides the best.

        Returns:
            The scores of those that stay.
        """
        path = self.checkpoints / scores[-1].name
        if isinstance(network, IFAN):
            bits = recipe.sample_bits
            save_released_checkpoint(path, network, reblurring, sample_bits=bits, overwrite=True)
        else:  # the released layout knows no other network
            data = io.BytesIO()
            torch.save(network.state_dict(), data)
            write_atomically(path, data.getbuffer(), overwrite=True)
        best = best_of(scores)
        newest = scores[-1 - recipe.keep :]
        stay = [scored for scored in scores if scored is best or scored in newest]
        lines = "".join(f"{scored}{' (best)' * (scored is best)}\n" for scored in stay)
        write_atomically(self._list, lines.encode(), overwrite=True)
        for scored in scores:
            if scored not in stay:
                (self.checkpoints / scored.name).unlink(missing_ok=True)
        return stay

    def weights_name(self, number: int, update: int | None = None) -> str:
        """Return the name of the weights' checkpoint after an epoch, or an update in its midst."""
        return f"{self.mode}_{number:05}{f'_{update}' if update else ''}.pytorch"


def best_of(scores: Sequence[Scored]) -> Scored | None:
    """Return the best weights, if any were scored on the pictures that one validates on now."""
    scored = [
        one
        for one in scores
        if one.psnr is not None and not math.isnan(one.psnr) and not one.is_past
    ]
    return max(scored, key=lambda one: one.psnr or 0.0, default=None)


def _require_same(before: Recipe, now: Recipe) -> None:
    difference = _difference(before.model_dump(exclude=_FREE), now.model_dump(exclude=_FREE))
    if difference is not None:
        key, was, given = difference
        reason = f"was begun with {key} {was}, not {given}"
        raise IfanError(before.mode, reason, f"give --set {key}={was}, or begin anew")


def _difference(
    before: Mapping[str, Any], now: Mapping[str, Any], path: str = ""
) -> tuple[str, Any, Any] | None:
    for key in {**before, **now}:
        was, given = before.get(key), now.get(key)
        if isinstance(was, dict) and isinstance(given, dict):
            found = _difference(was, given, f"{path}{key}.")
            if found is not None:
                return found
        elif was != given:
            return f"{path}{key}", was, given
    return None
