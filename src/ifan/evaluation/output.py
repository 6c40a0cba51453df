"""What an evaluation leaves for people and for programs: tables and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ifan.evaluation.metrics import Scores
from ifan.evaluation.report import write_report
from ifan.evaluation.running import Evaluation
from ifan.evaluation.summary import Summary, summarise
from ifan.evaluation.tree import write_table
from ifan.files import make_folder, write_atomically
from ifan.logs import mode_folder

_METRICS = tuple(Scores.model_fields)


def write_results(evaluations: Sequence[Evaluation], log_root: Path, command: str) -> Path:
    """Write CSV, JSON and the HTML report beside each score file; a comparison of several apart.

    Args:
        evaluations: one, or several to be compared.
        log_root: of all projects.
        command: that made them, for the reader.

    Returns:
        The report, of several that of the comparison.

    Raises:
        OutputError: one cannot be written.
    """
    for one in evaluations:
        latest, own = one.score_files(".html")
        _write(own, [one], command)
        for suffix in (".csv", ".json", ".html"):
            data = own.with_suffix(suffix).read_bytes()
            write_atomically(latest.with_suffix(suffix), data, overwrite=True)
    if len(evaluations) == 1:
        return latest
    folder = mode_folder(log_root, comparison_mode(evaluations)) / "result"
    report = folder / f"compare_{evaluations[0].test_set.name}.html"
    _write(report, evaluations, command)
    return report


def _write(report: Path, evaluations: Sequence[Evaluation], command: str) -> None:
    """Write the files of a report."""
    summary = summarise(evaluations, command)
    make_folder(report.parent)
    _write_csv(report.with_suffix(".csv"), summary)
    text = summary.model_dump_json(indent=1)
    write_atomically(report.with_suffix(".json"), text.encode(), overwrite=True)
    write_report(report, summary, evaluations)


def comparison_mode(evaluations: Sequence[Evaluation]) -> str:
    """Return the name of the folder of a comparison."""
    return "-against-".join(evaluation.method.label for evaluation in evaluations)[:120]


def _write_csv(path: Path, summary: Summary) -> None:
    """Write a row for each picture and method."""
    header = ["method", "number", "name", *_METRICS]
    header += [*(f"input_{metric}" for metric in _METRICS), "seconds", "result", "error"]
    rows = [
        [method.label, record.number, record.name]
        + [getattr(record.scores, metric, None) for metric in _METRICS]
        + [getattr(record.before, metric, None) for metric in _METRICS]
        + [record.seconds, record.result, record.error]
        for method in summary.methods
        for record in method.records
    ]
    write_table(path, header, rows)
