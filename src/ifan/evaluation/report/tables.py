"""The tables of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ifan.evaluation.metrics import Scores
from ifan.evaluation.published import PublishedNumber
from ifan.evaluation.records import Record
from ifan.evaluation.report.numbers import HEADS, MISSING, shown, sortable
from ifan.evaluation.statistics import Difference
from ifan.evaluation.summary import Summary

METRICS = tuple(HEADS)

# Columns that hold words, which begin at the left.
_WORDS = {"Method", "Pictures", "Compared", "Year", "Views", "Set", "Verified", "Source", "Picture"}
_TEXT = " class='text'"


def table(
    caption: str, head: Sequence[str], rows: Sequence[str], *, sorts: bool = False, name: str = ""
) -> str:
    """Return a table that can be scrolled to the side.

    Args:
        caption: what it is, for those who do not see it.
        head: of each column.
        rows: `<tr>` elements.
        sorts: whether a click on a head sorts the rows.
        name: of the element.
    """
    inside = "<button type='button'>{}</button>" if sorts else "{}"
    cells = "".join(
        f"<th scope='col'{_TEXT if title in _WORDS else ''}>{inside.format(escape(title))}</th>"
        for title in head
    )
    identity = f" id='{name}'" if name else ""
    kind = " class='sortable'" if sorts else ""
    return (
        f"<div class='scroll' tabindex='0' role='region' aria-label='{escape(caption)}'>"
        f"<table{identity}{kind}><caption>{escape(caption)}</caption>"
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def means_table(summary: Summary) -> str:
    """Return the means of each method, of the input, and of parts of the set."""
    head = ["Method", "Pictures", *HEADS.values(), "Seconds"]
    rows = [_means_row("Input", "", "whole set", summary.before, None)]
    for method in summary.methods:
        rows.append(_means_row(method.label, "ours", "whole set", method.means, method.seconds))
        for part, means in method.parts.items():
            rows.append(_means_row(method.label, "", part, means, None))
    return table("Means over the pictures", head, rows)


def _means_row(
    label: str, kind: str, part: str, means: Mapping[str, float] | None, seconds: float | None
) -> str:
    cells = "".join(_number(metric, (means or {}).get(metric)) for metric in METRICS)
    time = f"{seconds:.3f}" if seconds is not None else MISSING
    return (
        f"<tr class='{kind}'><th scope='row'>{escape(label)}</th><td class='text'>{part}</td>"
        f"{cells}<td>{time}</td></tr>"
    )


def differences_table(caption: str, rows: Sequence[tuple[str, Mapping[str, Difference]]]) -> str:
    """Return paired differences with their intervals.

    Args:
        caption: what is compared.
        rows: who with whom, and the difference by metric.
    """
    lines = [
        f"<tr><th scope='row'>{escape(label)}</th>"
        + "".join(_difference(differences[metric]) for metric in METRICS)
        + "</tr>"
        for label, differences in rows
        if differences
    ]
    return table(caption, ["Compared", *HEADS.values()], lines) if lines else ""


def _difference(difference: Difference) -> str:
    metric = difference.metric
    kind = "unclear"
    if difference.is_clear:
        kind = "better" if difference.is_gain else "worse"
    interval = ""
    if difference.low is not None and difference.high is not None:
        low = shown(metric, difference.low, signed=True)
        high = shown(metric, difference.high, signed=True)
        interval = f"{low} to {high}<br>"
    return (
        f"<td class='{kind}'><strong>{shown(metric, difference.mean, signed=True)}</strong>"
        f"<small>{interval}better in {difference.better} of {difference.pictures}</small></td>"
    )


def published_table(summary: Summary) -> str:
    """Return the numbers of the field, with those of this evaluation among them, best first."""
    head = ["Method", *HEADS.values(), "Verified", "Set", "Views", "Year", "Source"]
    lines = [(number.dataset, number.psnr, _published_row(number)) for number in summary.published]
    own: list[tuple[str, Mapping[str, float] | None, Mapping[str, Mapping[str, float]]]]
    own = [("Input", summary.before, {})]
    own += [(method.label, method.means, method.parts) for method in summary.methods]
    for label, means, parts in own:
        for part, scores in {"": means, **parts}.items():
            if scores:
                data = f"{summary.data}-{part}" if part else summary.data
                lines.append((data, scores["psnr"], _own_row(label, data, scores)))
    lines.sort(key=lambda line: (line[0], -line[1]))
    caption = f"Published numbers for {summary.data}, and those of this evaluation"
    return table(caption, head, [row for _, _, row in lines], sorts=True, name="published")


def _published_row(number: PublishedNumber) -> str:
    mark = (
        "<td class='text' data-value='1'><span class='yes'>✓ verified</span></td>"
        if number.verified
        else "<td class='text' data-value='0'><span class='no'>? from memory</span></td>"
    )
    return (
        f"<tr><th scope='row'>{escape(number.method)}</th>"
        + "".join(_number(metric, getattr(number, metric)) for metric in METRICS)
        + f"{mark}<td class='text'>{escape(number.dataset)}</td>"
        f"<td class='text'>{escape(number.input)}</td>"
        f"<td class='text'>{number.year or MISSING}</td>"
        f"<td class='text source'>{escape(number.source)}</td></tr>"
    )


def _own_row(label: str, data: str, scores: Mapping[str, float]) -> str:
    nothing = f"<td class='text' data-value=''>{MISSING}</td>"
    return (
        f"<tr class='ours'><th scope='row'>{escape(label)}</th>"
        + "".join(_number(metric, scores[metric]) for metric in METRICS)
        + f"<td class='text' data-value='2'>measured</td><td class='text'>{escape(data)}</td>"
        f"{nothing}{nothing}<td class='text source'>this evaluation</td></tr>"
    )


def pictures_table(summary: Summary) -> str:
    """Return the scores of each picture, to be sorted."""
    several = len(summary.methods) > 1
    head = ["No.", "Picture"]
    for method in summary.methods:
        of = f" {method.label}" if several else ""
        head += [f"{HEADS[metric]}{of}" for metric in METRICS] if summary.has_targets else []
        head += [f"Gain{of}"] if summary.has_targets else []
        head += [f"Seconds{of}"] if method.seconds is not None else []
    records = [{record.number: record for record in one.records} for one in summary.methods]
    numbers = sorted({number for one in records for number in one})
    rows = [_picture_row(summary, [one.get(number) for one in records]) for number in numbers]
    return table("Scores of each picture", head, rows, sorts=True, name="pictures")


def _picture_row(summary: Summary, records: Sequence[Record | None]) -> str:
    first = next(record for record in records if record is not None)
    cells = [f"<td>{first.number}</td><th scope='row'>{escape(first.name)}</th>"]
    for method, record in zip(summary.methods, records, strict=True):
        if summary.has_targets:
            cells.append(_score_cells(record))
        if method.seconds is not None:
            seconds = record.seconds if record else None
            text = f"{seconds:.3f}" if seconds is not None else MISSING
            cells.append(f"<td data-value='{sortable(seconds)}'>{text}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _score_cells(record: Record | None) -> str:
    if record is not None and record.error is not None:
        return "<td class='text worse' data-value=''>failed</td>" + 4 * "<td data-value=''></td>"
    scores = record.scores if record else None
    cells = [_number(metric, getattr(scores, metric, None)) for metric in METRICS]
    gain = gain_of(scores, record.before if record else None)
    cells.append(_number("psnr", gain, signed=True))
    return "".join(cells)


def gain_of(scores: Scores | None, before: Scores | None) -> float | None:
    """Return by how many dB a result is nearer to its target than the input; None if unknown."""
    if scores is None or before is None:
        return None
    return 0.0 if scores.psnr == before.psnr else scores.psnr - before.psnr


def _number(metric: str, value: float | None, *, signed: bool = False) -> str:
    return f"<td data-value='{sortable(value)}'>{shown(metric, value, signed=signed)}</td>"
