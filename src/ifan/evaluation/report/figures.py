"""Pictures of a report: before and after under a slider, and where the result is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from ifan.errors import IfanError
from ifan.evaluation.protocol import (
    Values,
    cropped,
    fitted_size,
    read_picture,
    read_result,
)
from ifan.evaluation.records import Record
from ifan.evaluation.report.numbers import shown
from ifan.evaluation.report.pictures import LARGEST_ERROR, embedded, error_colours, error_map
from ifan.evaluation.report.tables import gain_of
from ifan.evaluation.running import Evaluation

_SHOWN = 3
"""Pictures at each end."""


class _Chosen(NamedTuple):
    """A picture to be shown.

    Attributes:
        number: which.
        why: for the reader.
    """

    number: int
    why: str


def figures(evaluations: Sequence[Evaluation]) -> str:
    """Return the pictures at both ends of the gain, or of the difference of the first two methods.

    Args:
        evaluations: of the methods.
    """
    return "".join(_figure(evaluations, chosen) for chosen in _chosen(evaluations))


def _chosen(evaluations: Sequence[Evaluation]) -> list[_Chosen]:
    first = evaluations[0]
    records = [record for record in first.in_order if record.error is None]
    if not first.test_set.has_targets:
        return [_Chosen(record.number, "") for record in records[: 2 * _SHOWN]]
    ranked = sorted((value, number) for number, value in _values(evaluations).items())
    best = [_Chosen(number, _why(evaluations, value)) for value, number in ranked[::-1][:_SHOWN]]
    rest = ranked[: max(0, len(ranked) - len(best))][:_SHOWN]
    return best + [_Chosen(number, _why(evaluations, value)) for value, number in rest[::-1]]


def _values(evaluations: Sequence[Evaluation]) -> dict[int, float]:
    """Return by the number of the picture what the choice goes by, in dB."""
    if len(evaluations) == 1:
        gains = {n: gain_of(one.scores, one.before) for n, one in evaluations[0].records.items()}
    else:
        first, second = (one.records for one in evaluations[:2])
        both = first.keys() & second.keys()
        gains = {n: gain_of(second[n].scores, first[n].scores) for n in both}
    return {number: gain for number, gain in gains.items() if gain is not None}


def _why(evaluations: Sequence[Evaluation], value: float) -> str:
    decibels = f"{shown('psnr', value, signed=True)} dB"
    if len(evaluations) == 1:
        return f"{decibels} over the input"
    first, second = (one.method.label for one in evaluations[:2])
    return f"{decibels} from {first} to {second}"


def _figure(evaluations: Sequence[Evaluation], chosen: _Chosen) -> str:
    """Return a picture with all that was made of it; or why it cannot be shown."""
    first = evaluations[0]
    name = escape(first.records[chosen.number].name)
    title = f"{name} <small>{escape(chosen.why)}</small>"
    try:
        layers, maps = _layers(evaluations, chosen.number)
    except (IfanError, OSError) as error:
        return f"<figure><h3>{title}</h3><p class='notice'>{escape(str(error))}</p></figure>"
    size = layers[0][1].shape
    images = "".join(
        f"<img alt='{escape(label)}' data-layer='{at}' src='{embedded(values)}'>"
        for at, (label, values) in enumerate(layers)
    )
    choices = [
        "".join(
            f"<option value='{at}'{' selected' if at == begin else ''}>{escape(label)}</option>"
            for at, (label, _) in enumerate(layers)
        )
        for begin in ((0, 1) if len(evaluations) == 1 else (1, 2))
    ]
    return (
        f"<figure class='viewer'><h3>{title}</h3>"
        f"<div class='sides'><label>left <select class='left'>{choices[0]}</select></label>"
        f"<label>right <select class='right'>{choices[1]}</select></label></div>"
        f"<div class='scene'>"
        f"<div class='stage' style='--width: {size[1]}; --height: {size[0]}'>{images}"
        f"<span class='handle' aria-hidden='true'></span>"
        f"<input type='range' min='0' max='100' value='50' step='0.5' "
        f"aria-label='Where left ends and right begins in {name}'></div>"
        f"<div class='maps'>{''.join(maps)}</div></div></figure>"
    )


def _layers(
    evaluations: Sequence[Evaluation], number: int
) -> tuple[list[tuple[str, Values]], list[str]]:
    """Return the pictures of a scene with their names, and the error maps of the results."""
    first = evaluations[0]
    test_set, protocol, bits = first.test_set, first.protocol, first.method.bits
    files = test_set.files[number - 1]
    center = read_picture(files["center"], bits, protocol)
    size = fitted_size(center.shape[0], center.shape[1], protocol)
    layers = [("input", cropped(center, size))]
    target = None
    if "target" in files:
        target = cropped(read_picture(files["target"], bits, protocol), size)
    maps = []
    for evaluation in evaluations:
        record = evaluation.records.get(number)
        if record is None or record.result is None:
            continue
        label = evaluation.method.label
        result = cropped(read_result(evaluation.result_file(number)), size)
        layers.append((label, result))
        if target is not None:
            maps.append(_map(label, record, error_map(result, target)))
    if target is not None:
        layers.append(("target", target))
    return layers, maps


def _map(label: str, record: Record, address: str) -> str:
    colours = ", ".join(error_colours())
    said = ""
    if record.scores is not None:
        said = (
            f"PSNR {shown('psnr', record.scores.psnr)} dB, SSIM {shown('ssim', record.scores.ssim)}"
        )
    return (
        f"<div class='map'><img alt='Error map of {escape(label)}' src='{address}'>"
        f"<p>Error of {escape(label)}: {said}. <span class='scale'>0 "
        f"<span class='colours' style='background: linear-gradient(90deg, {colours})'></span> "
        f"{LARGEST_ERROR:.0%} and more</span></p></div>"
    )
