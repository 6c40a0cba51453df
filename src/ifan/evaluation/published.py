"""The numbers of the field, with their sources."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field


class PublishedNumber(BaseModel):
    """The scores of a method over a data set, as somebody published them.

    Attributes:
        method: name; `Input` is the defocused pictures themselves.
        year: of the method; None for the input.
        input: `single`, or `dual` for methods that take the dual-pixel views.
        dataset: name of the set, or of a part of it as in `DPDD-indoor`.
        psnr: in dB.
        ssim: None where it was not published; so for the others.
        mae: of values in [0, 1].
        lpips: with AlexNet.
        verified: the number was read in the source that is named; otherwise from memory.
        source: where it is published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    year: int | None
    input: str
    dataset: str
    psnr: float
    ssim: float | None
    mae: float | None
    lpips: float | None = Field(validation_alias="lpips_alex")
    verified: bool
    source: str


@cache
def published_numbers() -> tuple[PublishedNumber, ...]:
    """Return all of them, in the order of the table.

    Raises:
        pydantic.ValidationError: published_numbers.csv, which is part of the package, is wrong.
    """
    file = resources.files("ifan.evaluation") / "published_numbers.csv"
    rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    return tuple(_number(row) for row in rows)


def published_for(dataset: str) -> list[PublishedNumber]:
    """Return those of a data set and of its parts, best PSNR of the whole set first."""
    found = [number for number in published_numbers() if number.dataset.split("-")[0] == dataset]
    return sorted(found, key=lambda number: (number.dataset, -number.psnr))


def _number(row: dict[str, str]) -> PublishedNumber:
    return PublishedNumber.model_validate({name: text or None for name, text in row.items()})
