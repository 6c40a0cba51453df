"""`ifan data list`, `check` and `download`: data sets as they are released."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ifan.commands import options, stopping
from ifan.commands.progress import progress_of_download, progress_over
from ifan.errors import IfanError, in_one_line

if TYPE_CHECKING:
    from ifan.datasets.checking import Finding
    from ifan.datasets.folders import FolderExamples, Split
    from ifan.datasets.released import ReleasedSet

_PAIR = ("center", "target")

Place = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FOLDER",
        help="DPDD, RealDOF, CUHK or PixelDP, below the root; or a folder in the layout of DPDD, or"
        " with pairs in source and target.",
    ),
]
NoViews = Annotated[
    bool, typer.Option("--no-views", help="Leave left and right dual-pixel views out.")
]


def list_sets(root: options.Root = None) -> None:
    """List the data sets that are known, and how much of each is here."""
    with stopping.deferred():
        from ifan.datasets.released import released_sets
        from ifan.datasets.root import dataset_root

    place = dataset_root(root)
    typer.echo(in_one_line(f"root: {place}"))
    typer.echo(f"{'name':8} {'part':6} {'pictures':>8} {'of':>4} {'targets':8} what it is")
    for known in released_sets():
        for split, count in known.counts(place / known.name).items():
            targets = "yes" if "target" in known.folders else "no"
            expected = known.pictures.get(split, "?" if known.address else "any")
            typer.echo(
                f"{known.name:8} {split:6} {count:8} {expected:>4} {targets:8} {known.description}"
            )


def check(
    place: Place,
    root: options.Root = None,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(
            "--split",
            help="Which part of the data set. Default: train; of a known set, what is there.",
        ),
    ] = None,
    crop: Annotated[
        int, typer.Option(min=1, metavar="N", help="Side of the training crops in pixels.")
    ] = 256,
    no_views: NoViews = False,
) -> None:
    """Find what would disturb a training or an evaluation, before it starts.

    Views that are missing, pictures without a partner, damaged ones, those of different sizes or
    bits, and those that are smaller than the crop: a line each. Of a known set, also whether it
    holds what it should.
    """
    with stopping.deferred():
        from ifan.datasets.folders import open_folder
        from ifan.datasets.testing import locate

    folder, released = locate(place, root)
    if released is not None:
        _check_released(released, folder, split, crop, views=not no_views)
        return
    examples = open_folder(folder, split or "train", views=not no_views)
    problems = 0
    for finding in _findings(examples, crop):
        problems += len(finding.problems)
    what = f"{len(examples)} examples for {split or 'train'}"
    typer.echo(in_one_line(f"{place}: {what}, {_counted(problems)}"))
    if problems:
        raise typer.Exit(1)


def _check_released(
    released: ReleasedSet, folder: Path, split: Split | None, crop: int, *, views: bool
) -> None:
    """Check the parts of a known set that are there, or the one that was asked for."""
    there: list[Split] = [part for part, count in released.counts(folder).items() if count]
    parts = [split] if split else there or released.splits
    problems = [_check_part(released, folder, part, crop, views=views) for part in parts]
    if any(problems):
        raise typer.Exit(1)


def _check_part(
    released: ReleasedSet, folder: Path, split: Split, crop: int, *, views: bool
) -> int:
    """Say what is wrong with a part of a known set, and what it has; return how much is wrong."""
    from ifan.datasets.checking import described, differences_from
    from ifan.datasets.folders import FolderExamples, paired

    places = released.lay_out(folder, split)
    wanted = {role: path for role, path in places.items() if views or role in _PAIR}
    findings: list[Finding] = []
    try:
        examples = FolderExamples(paired(wanted))
        findings = list(_findings(examples, crop if split == "train" else 1))
        problems = differences_from(released, split, places["center"], findings)
    except IfanError as error:  # the files of different folders do not belong together
        problems = [error]
    for problem in problems:
        typer.echo(str(problem), err=True)
    count = len(problems) + sum(len(one.problems) for one in findings)
    typer.echo(in_one_line(f"{folder} {split}: {described(findings)}, {_counted(count)}"))
    return count


def _findings(examples: FolderExamples, crop: int) -> Iterator[Finding]:
    """Yield what is found of each example, and say what is wrong with it."""
    from ifan.datasets.checking import findings_of

    with (
        stopping.deferred(),
        closing(findings_of(examples, crop, stopped=stopping.asked)) as results,
        progress_over([1] * len(examples)) as advance,
    ):
        for finding in results:
            for problem in finding.problems:
                typer.echo(str(problem), err=True)
            yield finding
            advance()


def _counted(problems: int) -> str:
    return "1 problem" if problems == 1 else f"{problems or 'no'} problems"


def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="DPDD, RealDOF, CUHK or PixelDP.")],
    root: options.Root = None,
    address: Annotated[
        str | None, typer.Option(help="Where the archive is, if not where the table says.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Checksum of the archive to insist on.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the archive after it has been unpacked.")
    ] = False,
) -> None:
    """Download a released data set and unpack it below the root.

    A broken download, or one that was stopped, is continued by the same command. The data sets
    have their makers' terms.
    """
    with stopping.deferred():
        from ifan.datasets.fetching import fetch, remove_bad
        from ifan.datasets.released import find_set, released_sets
        from ifan.datasets.root import dataset_root
        from ifan.fetching.archives import ArchiveError

    known = find_set(name)
    if known is None:
        names = ", ".join(one.name for one in released_sets() if one.address)
        raise IfanError(name, "is no data set that is known", f"choose one of {names}")
    place = dataset_root(root)
    with progress_of_download() as progress:
        archive = fetch(known, place, address=address, sha256=sha256, progress=progress)
    typer.echo(in_one_line(f"{archive.path}: {archive.size} bytes, sha256 {archive.sha256}"))
    try:
        unpack(archive.path, place, known)
    except ArchiveError as error:
        if sha256:
            raise
        raise remove_bad(archive, error) from error
    if not keep:
        archive.path.unlink(missing_ok=True)


def unpack(archive: Path, root: Path, known: ReleasedSet | None = None) -> None:
    """Unpack a data set, and say what there is then."""
    from ifan.datasets.fetching import set_in, unpack_set

    known = known or set_in(archive)
    with (
        progress_of_download() as progress,
        closing(unpack_set(archive, root, known)) as unpacked,
    ):
        for done, total in unpacked:
            progress(done, total)
    counts = known.counts(root / known.name)
    parts = ", ".join(f"{count} {split} pictures" for split, count in counts.items() if count)
    typer.echo(in_one_line(f"{root / known.name}: {parts or 'no pictures'}"))
