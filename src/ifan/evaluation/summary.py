"""All that came of an evaluation, or of several to be compared, in one place."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import combinations

from pydantic import BaseModel, ConfigDict

from ifan import __version__
from ifan.engines.selection import version
from ifan.evaluation.metrics import Scores
from ifan.evaluation.published import PublishedNumber, published_for
from ifan.evaluation.records import Record, mean_seconds, means, plain_text
from ifan.evaluation.running import Evaluation
from ifan.evaluation.statistics import Difference, differences

_PACKAGES = ("numpy", "openvino", "pyvips", "scikit-image", "torch", "onnxruntime")


class MethodSummary(BaseModel):
    """What came of one method.

    Attributes:
        label: what it is called.
        settings: all that its scores depend on.
        run: the folder of its files.
        means: of its results; None if nothing was scored.
        parts: means of parts of the data set by their names, where all of it was scored.
        gain: over the pictures as they were.
        seconds: mean time of the network.
        records: what became of each picture.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    label: str
    settings: dict[str, object]
    run: str
    means: dict[str, float] | None
    parts: dict[str, dict[str, float]]
    gain: dict[str, Difference]
    seconds: float | None
    records: tuple[Record, ...]


class Paired(BaseModel):
    """How much one method exceeds another.

    Attributes:
        first: its label.
        second: the label of the one that is subtracted.
        metrics: the difference by metric.
    """

    model_config = ConfigDict(frozen=True)

    first: str
    second: str
    metrics: dict[str, Difference]


class Summary(BaseModel):
    """What came of an evaluation.

    Attributes:
        data: name of the data set.
        folder: where it is.
        pictures: how many it has.
        expected: how many it should have; None if unknown.
        has_targets: whether there was anything to score.
        command: that made it.
        created: when, in ISO 8601.
        versions: of the program and what it computes with.
        before: means of the pictures as they were.
        methods: what came of each method.
        paired: the later methods against the earlier ones.
        published: the numbers of the field for this set.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    data: str
    folder: str
    pictures: int
    expected: int | None
    has_targets: bool
    command: str
    created: str
    versions: dict[str, str]
    before: dict[str, float] | None
    methods: tuple[MethodSummary, ...]
    paired: tuple[Paired, ...]
    published: tuple[PublishedNumber, ...]


def summarise(evaluations: Sequence[Evaluation], command: str) -> Summary:
    """Put together what came of evaluations over one data set.

    Args:
        evaluations: one for each method, done.
        command: that made them, for the reader.
    """
    test_set = evaluations[0].test_set
    expected = test_set.released.pictures.get("test") if test_set.released else None
    return Summary(
        data=plain_text(test_set.name),
        folder=plain_text(test_set.folder.resolve()),
        pictures=len(test_set.files),
        expected=expected,
        has_targets=test_set.has_targets,
        command=plain_text(command),
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        versions=_versions(),
        before=_before(evaluations),
        methods=tuple(map(_method, evaluations)),
        paired=tuple(
            Paired(
                first=plain_text(second.method.label),
                second=plain_text(first.method.label),
                metrics=differences(_scores(second), _scores(first)),
            )
            for first, second in combinations(evaluations, 2)
        ),
        published=tuple(published_for(test_set.name)),
    )


def _method(evaluation: Evaluation) -> MethodSummary:
    records = evaluation.in_order
    return MethodSummary(
        label=plain_text(evaluation.method.label),
        settings=evaluation.settings,
        run=plain_text(evaluation.run_folder.path),
        means=means(records),
        parts=_parts(evaluation),
        gain=differences(_scores(evaluation), _scores(evaluation, "before")),
        seconds=mean_seconds(records),
        records=tuple(records),
    )


def _before(evaluations: Sequence[Evaluation]) -> dict[str, float] | None:
    """Return the means of the pictures as they were; all methods saw the same."""
    records = {number: one for each in evaluations for number, one in each.records.items()}
    return means([records[number] for number in sorted(records)], "before")


def _parts(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    released = evaluation.test_set.released
    if released is None or not evaluation.test_set.is_complete:
        return {}
    found = {}
    for part in released.parts:
        numbers = [position + 1 for position in released.positions(part)]
        records = [evaluation.records.get(number) for number in numbers]
        scored = [record for record in records if record is not None and record.scores]
        average = means(scored) if len(scored) == len(numbers) else None
        if average:
            found[part] = average
    return found


def _scores(evaluation: Evaluation, which: str = "scores") -> Mapping[int, Scores]:
    found = {number: getattr(record, which) for number, record in evaluation.records.items()}
    return {number: scores for number, scores in found.items() if scores is not None}


def _versions() -> dict[str, str]:
    found = {package: version(package) for package in _PACKAGES}
    return {
        "ifan": __version__,
        "Python": platform.python_version(),
        **{package: number for package, number in found.items() if number},
        "system": platform.platform(),
    }
