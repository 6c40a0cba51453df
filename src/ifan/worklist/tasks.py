"""What is to be done, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from ifan.errors import IfanError
from ifan.results import COMPARISON_INFIX

STREAM = Path("-")
"""Standard input as the source of the only task, standard output as its target."""


class Task(NamedTuple):
    """A photograph to deblur.

    Attributes:
        source: the photograph.
        target: where the result goes; the suffix tells the format.
        left: its left dual-pixel view, for a dual-pixel model only.
        right: its right dual-pixel view, for a dual-pixel model only.
        format: of a result that goes to standard output, a key of `images.FORMATS`; by default that
            of the photograph, or the nearest where that one is not written.
        refusal: why it cannot be done, where that is known already.
    """

    source: Path
    target: Path
    left: Path | None = None
    right: Path | None = None
    format: str | None = None
    refusal: IfanError | None = None

    @property
    def comparison(self) -> Path:
        """Where the side-by-side picture goes, if one is wanted."""
        return self.target.with_name(f"{self.target.stem}{COMPARISON_INFIX}{self.target.suffix}")


class Outcome(NamedTuple):
    """What became of a task.

    Attributes:
        task: the task.
        status: `done`; `skipped`, as the target was there already; or `failed`.
        error: why it failed.
        seconds: how long it was worked on; others may have been worked on at the same time.
    """

    task: Task
    status: Literal["done", "skipped", "failed"]
    error: IfanError | None = None
    seconds: float = 0.0
