"""The table of known models: where their weights are, on what terms, and what they score."""

import tomllib
from functools import cache
from importlib import resources
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt, model_validator

from ifan.models.configuration import Configuration


class PublishedScore(BaseModel):
    """The mean score of a model over a test set, as somebody published it.

    Attributes:
        dataset: name of the test set, as in `ifan evaluate --data`.
        psnr: peak signal-to-noise ratio in dB; higher is better.
        ssim: structural similarity, up to 1; higher is better.
        mae: mean absolute error of values scaled to [0, 1]; lower is better. None: not published.
        lpips: perceptual distance with AlexNet features; lower is better. None: not published.
        verified: the number was compared with its source; otherwise nobody has compared it yet.
        source: who published it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    psnr: float
    ssim: float
    mae: NonNegativeFloat | None = None
    lpips: NonNegativeFloat | None = None
    verified: bool
    source: str


class CatalogueEntry(BaseModel):
    """One model that can be asked for by its name.

    Attributes:
        name: what the user types; upper and lower case are the same.
        description: one line for people.
        origin: 'bundled' is installed with `ifan`; 'released' is a checkpoint of the authors of
            the paper, to be downloaded.
        file: bundled: the folder of the model among the bundled ones. Released: the base name of
            the checkpoint in the archive, whose folders may be any.
        address: http(s) address of the archive that holds the checkpoint. None if bundled.
        size_bytes: size of that archive in bytes. None: unknown.
        sha256: SHA-256 of that archive in hexadecimal digits. None: unknown.
        terms: the licence of the weights, as an SPDX-like short name.
        rights_holder: who can grant other terms. None: nobody in particular.
        sample_bits: bits a sample of the pictures it was trained with; evaluation reads pictures
            so: 8 means values 0 to 255 divided by 255, 16 means 0 to 65535 divided by 65535.
        mode: `--mode` of the released code, also the model's name in result folders. None if
            bundled.
        network: `--network` of the released code. None if bundled.
        config: `--config` of the released code. None if bundled.
        configuration: the variant of the network.
        scores: what was published about this very checkpoint; empty where nothing is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    origin: Literal["bundled", "released"]
    file: str
    address: str | None = None
    size_bytes: PositiveInt | None = None
    sha256: str | None = None
    terms: str
    rights_holder: str | None = None
    sample_bits: Literal[8, 16]
    mode: str | None = None
    network: str | None = None
    config: str | None = None
    configuration: Configuration
    scores: tuple[PublishedScore, ...] = ()

    @model_validator(mode="after")
    def _has_what_its_origin_needs(self) -> Self:
        """Refuse a released entry without its address or names, and a bundled one with any."""
        needed = (self.address, self.mode, self.network, self.config)
        if any((value is not None) != (self.origin == "released") for value in needed):
            raise ValueError(
                f"{self.name}: address, mode, network and config belong to all released models "
                "and to no bundled one"
            )
        return self


@cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """Return all known models, the bundled ones first.

    Raises:
        pydantic.ValidationError: catalogue.toml, which is part of the package, is wrong.
    """
    text = resources.files("ifan.models").joinpath("catalogue.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return tuple(
        CatalogueEntry.model_validate(table["shared"][model["origin"]] | model)
        for model in table["models"]
    )


def find(name: str) -> CatalogueEntry | None:
    """Return the model of that name in upper or lower case; None if there is none."""
    return next((e for e in catalogue() if e.name.casefold() == name.casefold()), None)
