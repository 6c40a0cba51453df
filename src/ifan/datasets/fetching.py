"""Released data sets: from an address or an archive into their folders."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ifan.datasets.released import ReleasedSet, released_sets
from ifan.errors import IfanError, OutputError
from ifan.fetching.archives import ArchiveError, unpack
from ifan.fetching.download import download
from ifan.files import exists, is_folder, sha256_of

_LEFT_OUT = {"__MACOSX", "Thumbs.db"}


class Archive(NamedTuple):
    """An archive that was downloaded.

    Attributes:
        path: where it is.
        size: in bytes.
        sha256: its checksum, to be pinned.
    """

    path: Path
    size: int
    sha256: str


def fetch(
    released: ReleasedSet,
    root: Path,
    *,
    address: str | None = None,
    sha256: str | None = None,
    progress: Callable[[int, int | None], object] | None = None,
) -> Archive:
    """Download the archive of a data set; a broken download is continued.

    Args:
        released: which one.
        root: the folder that its folder is to be in.
        address: where the archive is; None: where the table says.
        sha256: its checksum to insist on.
        progress: called with the bytes received so far and, if known, those in all.

    Raises:
        DownloadError: the download failed, or is not what was asked for.
        IfanError: the set has no address, or is here already.
    """
    source = address or released.address
    if source is None:
        known = ", ".join(one.name for one in released_sets() if one.address)
        raise IfanError(released.name, "is not downloaded from anywhere", f"choose one of {known}")
    # Another address may hold another archive.
    name = f"{released.name}-{hashlib.sha256(source.encode()).hexdigest()[:8]}.zip"
    if is_folder(root / released.name) and not exists(root / name):
        remedy = "use it, or remove it to fetch it again"
        raise OutputError(root / released.name, "is there already", remedy)
    then = f"ifan data prepare FILE --out {root}"
    path = download(source, root, name=name, sha256=sha256, progress=progress, then=then)
    return Archive(path, path.stat().st_size, sha256_of(path))


def unpack_set(
    archive: Path, root: Path, released: ReleasedSet | None = None
) -> Generator[tuple[int, int], None, None]:
    """Unpack the archive of a data set; goes on where an earlier call was stopped.

    Whatever folders the archive has around the set, its pictures come to lie as the set has them.

    Args:
        archive: the zip archive.
        root: the folder that the set's folder is to be in.
        released: which set it is; None: what the archive's name or its folders say.

    Yields:
        The bytes that are unpacked so far, and those in all.

    Raises:
        IfanError: it is not known which set it is.
        DownloadError: the archive is no good, or the folder cannot be written.
    """
    known = released or set_in(archive)
    yield from unpack(archive, root, lambda path: _place(path, known))


def set_in(archive: Path) -> ReleasedSet:
    """Tell which data set an archive holds.

    Raises:
        IfanError: neither its name nor its folders say so.
    """
    names = [archive.name.split(".")[0].split("-")[0]]
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(archive) as zipped:
        names += [part for name in zipped.namelist() for part in PurePosixPath(name).parts[:1]]
    for known in released_sets():
        if known.address and known.name.casefold() in {name.casefold() for name in names}:
            return known
    known_names = ", ".join(one.name for one in released_sets() if one.address)
    remedy = f"call it as the set it holds, one of {known_names}: DPDD.zip"
    raise IfanError(archive, "is the archive of no set that is known", remedy)


def remove_bad(archive: Archive, error: ArchiveError) -> ArchiveError:
    """Remove an archive that is no good: kept, it would be taken for right.

    Returns:
        What to raise.
    """
    archive.path.unlink(missing_ok=True)
    remedy = "check the address, and run it again to download the archive anew"
    return ArchiveError(error.subject, error.reason, remedy)


def _place(path: PurePosixPath, released: ReleasedSet) -> PurePosixPath | None:
    """Return where a file of an archive goes below the root; None: nowhere."""
    parts = path.parts
    if any(part in _LEFT_OUT or (part.startswith(".") and part != "..") for part in parts):
        return None
    folders = {
        place.format(split=split).split("/")[0]
        for place in released.folders.values()
        for split in released.splits
    }
    begins = [at for at, part in enumerate(parts[:-1]) if part in folders]
    named = [
        at + 1 for at, part in enumerate(parts[:-1]) if part.casefold() == released.name.casefold()
    ]
    first = min(begins or named or [0])
    return PurePosixPath(released.name, *parts[first:])
