"""How results are called."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from string import Formatter
from typing import NamedTuple

from ifan.errors import IfanError
from ifan.files import same_file
from ifan.images import PictureFormat
from ifan.results import COMPARISON_INFIX, MAP_INFIX, RESULT_INFIX, format_tag, result_suffix

_STEM = "{stem}"


class Source(NamedTuple):
    """A photograph that was found.

    Attributes:
        path: the photograph.
        root: the folder below which results keep their sub-folders.
        refusal: why there is none, where nothing was found.
    """

    path: Path
    root: Path
    refusal: IfanError | None = None


@dataclass(frozen=True)
class Naming:
    """Where results go, and how they are called.

    Attributes:
        folder: for all results; None: beside each photograph.
        pattern: of their names without the suffix; `{stem}` is the photograph's name without its.
        format: that of the results; None: each photograph's own, or the nearest that is written.
    """

    folder: Path | None
    pattern: str
    format: PictureFormat | None

    def target(self, source: Source, tag: str = "") -> Path:
        """Return where the result of a photograph goes.

        Args:
            source: the photograph.
            tag: goes after its name, to tell it from another.
        """
        folder = source.path.parent
        if self.folder is not None:
            folder = self.folder / folder.relative_to(source.root)
        name = self.pattern.format(stem=f"{source.path.stem}{tag}")
        return folder / f"{name}{result_suffix(source.path, self.format)}"

    def goes_into(self, folder: Path) -> bool:
        """Tell whether results of photographs in a folder that is searched go into that folder."""
        return self.folder is None or same_file(self.folder, folder)

    @property
    def tells_apart(self) -> bool:
        """Whether photographs of different names have results of different names."""
        return _STEM in self.pattern

    @property
    def adds_nothing(self) -> bool:
        """Whether results are called as the photographs are."""
        return self.pattern == _STEM


def parse_pattern(pattern: str) -> str:
    """Return a pattern for names of results, known to be one.

    Raises:
        ValueError: it is empty, holds a field other than `{stem}`, or a path separator.
    """
    for _, field, specification, conversion in Formatter().parse(pattern):
        if field is not None and (field, specification, conversion) != ("stem", "", None):
            raise ValueError(f"{pattern!r} holds a field other than {_STEM}")
    if any(separator in pattern for separator in "/\\\0"):
        raise ValueError(f"{pattern!r} is to be a name, not a path")
    if not pattern.format(stem="").strip() and _STEM not in pattern:
        raise ValueError("the name is empty")
    return pattern


def without_results(sources: Sequence[Source], naming: Naming) -> list[Source]:
    """Leave out photographs whose names say that they were made of others of the list.

    Where each could be another's, none is.
    """
    made = {
        (source.path.parent, stem)
        for source in sources
        for stem in _stems_of_results(source, naming)
    }
    kept = [source for source in sources if (source.path.parent, source.path.stem) not in made]
    return kept or list(sources)


def _stems_of_results(source: Source, naming: Naming) -> set[str]:
    """Return how results beside a photograph are called, without their suffixes."""
    patterns = {
        _STEM + infix for infix in (RESULT_INFIX, RESULT_INFIX + COMPARISON_INFIX, MAP_INFIX)
    }
    if naming.goes_into(source.root) and not naming.adds_nothing:
        patterns |= {naming.pattern, naming.pattern + COMPARISON_INFIX}
    own = source.path.stem
    stems = (own, own + format_tag(source.path))
    return {pattern.format(stem=stem) for pattern in patterns for stem in stems} - {own}


def targets(sources: Sequence[Source], naming: Naming) -> list[Path]:
    """Return where each result goes, so that no two photographs of different names share one.

    Where the format makes one name of `IMG_1.HEIC` and `IMG_1.JPG`, the second has it, as its
    suffix was that of the results before; the first becomes `IMG_1-heic.jpg`. Capitals do not count
    in that, as many disks do not heed them; what differs in nothing else gets a number. Patterns
    without `{stem}` have one name for all: all but the first are refused when their turn comes.
    """
    plain = {source: naming.target(source) for source in sources}
    rivals: defaultdict[str, set[Path]] = defaultdict(set)
    for source, target in plain.items():
        rivals[name_key(target)].add(source.path)
    taken: dict[str, Path] = {}
    found = {}
    # Those that keep their names first.
    for source in sorted(plain, key=lambda source: _changes_suffix(source, plain[source])):
        shared = len(rivals[name_key(plain[source])]) > 1
        tag = format_tag(source.path) if shared and _changes_suffix(source, plain[source]) else ""
        for target in _numbered(source, tag, naming):
            is_free = taken.setdefault(name_key(target), target) == target
            if is_free or not naming.tells_apart:
                found[source] = target
                break
    return [found[source] for source in sources]


def _numbered(source: Source, tag: str, naming: Naming) -> Iterator[Path]:
    yield naming.target(source, tag)
    yield from (naming.target(source, f"{tag}-{number}") for number in count(2))


def _changes_suffix(source: Source, target: Path) -> bool:
    return source.path.suffix.lower() != target.suffix.lower()


def name_key(path: Path) -> str:
    """Return what two paths have in common that may be one file on some disk."""
    return unicodedata.normalize("NFC", str(path)).casefold()
