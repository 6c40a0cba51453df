"""The table of known data sets: where they are, how they lie in folders, and what they hold."""

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ifan.datasets.folders import Role, Split, pictures_below


class ReleasedSet(BaseModel):
    """A data set that can be asked for by its name.

    Attributes:
        name: that of its folder, too.
        description: one line for people.
        address: http(s) address of the archive that holds it; None if there is none.
        pictures: how many scenes each part holds, as far as that is known.
        size: width and height of the test pictures in pixels; None if unknown, or not all the same.
        bits: of a sample; None if unknown.
        folders: by what they show, where the pictures are, below the set's folder.
        parts: by name, positions in the sorted test pictures that are averaged apart, from 0: first
            and last of each stretch.
        rotated: pictures lie on their side; they are turned by 90 degrees counter-clockwise before
            the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    address: str | None = None
    pictures: dict[Split, int] = {}
    size: tuple[int, int] | None = None
    bits: int | None = None
    folders: dict[Role, str]
    parts: dict[str, tuple[tuple[int, int], ...]] = {}
    rotated: bool = False

    @property
    def splits(self) -> tuple[Split, ...]:
        """The parts that the set has."""
        return tuple(self.pictures) or ("test",)

    def lay_out(self, folder: Path, split: Split) -> dict[Role, Path]:
        """Return the folders of a part, by what they show.

        Args:
            folder: that of the set.
            split: which part.
        """
        places = self.folders.items()
        return {role: folder / place.format(split=split) for role, place in places}

    def counts(self, folder: Path) -> dict[Split, int]:
        """Return how many pictures of each part are in the set's folder.

        Args:
            folder: that of the set; it need not exist.
        """
        places = {split: self.lay_out(folder, split)["center"] for split in self.splits}
        return {split: len(pictures_below(place)) for split, place in places.items()}

    def positions(self, part: str) -> list[int]:
        """Return the positions of a part of `parts`, from 0."""
        return [at for first, last in self.parts[part] for at in range(first, last + 1)]


@cache
def released_sets() -> tuple[ReleasedSet, ...]:
    """Return all known data sets.

    Raises:
        pydantic.ValidationError: released.toml, which is part of the package, is wrong.
    """
    text = resources.files("ifan.datasets").joinpath("released.toml").read_text(encoding="utf-8")
    return tuple(ReleasedSet.model_validate(table) for table in tomllib.loads(text)["sets"])


def find_set(name: str) -> ReleasedSet | None:
    """Return the data set of exactly that name, as its folder is called; None if there is none."""
    return next((known for known in released_sets() if known.name == name), None)
