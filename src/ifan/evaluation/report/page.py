"""The page of a report, put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from ifan.evaluation.report.figures import figures
from ifan.evaluation.report.numbers import HEADS, MINUS, NAMES, shown
from ifan.evaluation.report.plots import Series, dot_plot
from ifan.evaluation.report.tables import (
    differences_table,
    means_table,
    pictures_table,
    published_table,
)
from ifan.evaluation.running import Evaluation
from ifan.evaluation.summary import Summary
from ifan.files import write_atomically

_MEANS_NOTE = (
    "<p>PSNR over RGB with peak 1; MAE is raw, where the paper's tables show it times ten.</p>"
)

_ALIKE = 0.05
"""Decibels by which the input's PSNR may differ where pictures and protocol are the same."""


def write_report(path: Path, summary: Summary, evaluations: Sequence[Evaluation]) -> None:
    """Write the report of an evaluation, or of several to be compared.

    Args:
        path: the file; one that is there is replaced.
        summary: what came of them.
        evaluations: the same, with the files of their pictures.

    Raises:
        OutputError: it cannot be written.
    """
    parts = [
        _head(summary),
        _notices(summary),
        _tiles(summary),
        _section("Means", means_table(summary) + _MEANS_NOTE if summary.before else ""),
        _section("Differences, picture by picture", _differences(summary)),
        _section("Beside the field", _published(summary)),
        _section("Distributions", _plots(summary)),
        _section(_pictures_title(summary), figures(evaluations)),
        _section("Every picture", pictures_table(summary)),
        _section("How it was made", _making(summary)),
    ]
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta name='color-scheme' content='light dark'>"
        f"<title>{escape(_title(summary))}</title><style>{_file('style.css')}</style></head>"
        f"<body><main>{''.join(parts)}</main><script>{_file('script.js')}</script></body></html>\n"
    )
    write_atomically(path, page.encode("utf-8", "xmlcharrefreplace"), overwrite=True)


def _file(name: str) -> str:
    return (resources.files("ifan.evaluation.report") / name).read_text(encoding="utf-8")


def _title(summary: Summary) -> str:
    return f"{' against '.join(one.label for one in summary.methods)} on {summary.data}"


def _head(summary: Summary) -> str:
    protocol = summary.methods[0].settings["protocol"]
    name = protocol["name"] if isinstance(protocol, dict) else protocol
    count = "1 picture" if summary.pictures == 1 else f"{summary.pictures} pictures"
    made = summary.created[:16].replace("T", " ")
    return (
        f"<header><h1>{escape(_title(summary))}</h1><p>{count}, protocol "
        f"<code>{escape(str(name))}</code>, {escape(made)}</p></header>"
    )


def _notices(summary: Summary) -> str:
    """Return what the reader must know before any number."""
    said = []
    if summary.expected not in (None, summary.pictures):
        said.append(
            f"{summary.data} has {summary.expected} test pictures, here are {summary.pictures}: "
            "these means cannot be compared with published ones."
        )
    known = next((one for one in summary.published if one.method == "Input"), None)
    if known and summary.before and abs(known.psnr - summary.before["psnr"]) > _ALIKE:
        said.append(
            f"The input has {shown('psnr', summary.before['psnr'])} dB here, and "
            f"{shown('psnr', known.psnr)} dB where it is published: the pictures, or the protocol, "
            "are not those of the published numbers."
        )
    if not summary.has_targets:
        said.append("There are no targets, so nothing was scored.")
    for method in summary.methods:
        said += [
            f"{method.label}, {record.name}: {record.error}"
            for record in method.records
            if record.error is not None
        ]
    items = "".join(f"<li>{escape(line)}</li>" for line in said)
    return f"<ul class='notice' role='status'>{items}</ul>" if items else ""


def _tiles(summary: Summary) -> str:
    """Return the means in large, of one method."""
    method = summary.methods[0]
    if len(summary.methods) > 1 or method.means is None:
        return ""
    tiles = []
    for metric, head in HEADS.items():
        gain = method.gain[metric]
        kind = "better" if gain.is_gain else "worse"
        tiles.append(
            f"<div class='tile'><span>{head}{' in dB' if metric == 'psnr' else ''}</span>"
            f"<strong>{shown(metric, method.means[metric])}</strong>"
            f"<span class='{kind if gain.is_clear else 'unclear'}'>"
            f"{shown(metric, gain.mean, signed=True)} over the input</span></div>"
        )
    return f"<div class='tiles'>{''.join(tiles)}</div>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _differences(summary: Summary) -> str:
    rows = [(f"{one.label} {MINUS} input", one.gain) for one in summary.methods]
    rows += [(f"{one.first} {MINUS} {one.second}", one.metrics) for one in summary.paired]
    found = differences_table("Mean differences with 95 % intervals", rows)
    if not found:
        return ""
    return found + (
        "<p>Mean of the paired differences, its 95 % bootstrap interval over the pictures (10,000 "
        "resamples), and in how many pictures the first is better. Coloured where the interval "
        "leaves zero out.</p>"
    )


def _published(summary: Summary) -> str:
    if not summary.published or summary.before is None:
        return ""
    return published_table(summary) + (
        "<p>Verified numbers were read in the source that is named; those from memory were not. "
        "They come from protocols that differ in details, see <code>--protocol</code>.</p>"
    )


def _plots(summary: Summary) -> str:
    if summary.before is None:
        return ""
    plots, infinite = [], 0
    for metric, name in NAMES.items():
        before = {
            record.number: (record.name, getattr(record.before, metric))
            for method in summary.methods
            for record in method.records
            if record.before is not None
        }
        series = [Series("Input", 0, list(before.values()))]
        for at, method in enumerate(summary.methods, start=1):
            values = [
                (record.name, getattr(record.scores, metric))
                for record in method.records
                if record.scores is not None
            ]
            infinite += sum(math.isinf(value) for _, value in values)
            series.append(Series(method.label, (at - 1) % 6 + 1, values))
        plots.append(
            f"<figure class='chart'><h3>{escape(name)}</h3>{dot_plot(metric, series)}</figure>"
        )
    note = f"<p>Not drawn: {infinite} infinite values, of pictures equal to their target.</p>"
    return f"<div class='charts'>{''.join(plots)}</div>{note if infinite else ''}"


def _pictures_title(summary: Summary) -> str:
    if not summary.has_targets:
        return "Pictures"
    if len(summary.methods) > 1:
        first, second = (method.label for method in summary.methods[:2])
        return f"Where {second} is furthest above and below {first}"
    return "Best and worst pictures"


def _making(summary: Summary) -> str:
    rows = {"command": summary.command, "data": summary.folder}
    for method in summary.methods:
        of = f" of {method.label}" if len(summary.methods) > 1 else ""
        rows[f"files{of}"] = method.run
        for key, value in method.settings.items():
            if key == "protocol" and isinstance(value, dict):
                rows[key] = ", ".join(f"{name}: {said}" for name, said in value.items())
            elif key not in ("data", "folder", "ifan"):
                rows[f"{key}{of}"] = str(value)
    rows["versions"] = ", ".join(f"{name} {number}" for name, number in summary.versions.items())
    items = "".join(
        f"<dt>{escape(key)}</dt><dd><code>{escape(value)}</code></dd>"
        for key, value in rows.items()
    )
    return f"<dl>{items}</dl>"
