"""`ifan evaluate`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from ifan.commands import options, stopping
from ifan.commands.installing import installed
from ifan.commands.opening import open_deblurrer
from ifan.commands.progress import progress_over
from ifan.errors import in_one_line

if TYPE_CHECKING:
    from ifan.datasets.folders import Bits
    from ifan.evaluation.methods import Method
    from ifan.evaluation.protocol import Protocol
    from ifan.evaluation.running import Evaluation


def evaluate(
    compared: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METHOD",
            help="For --compare: models, and folders of pictures that other programs made; ./NAME"
            " for one that is called like a model.",
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME|FOLDER",
            parser=options.address,
            help="DPDD, RealDOF, CUHK, PixelDP or random, below the root; or any folder.",
        ),
    ] = "DPDD",
    root: options.Root = None,
    split: Annotated[
        Literal["train", "val", "test"],
        typer.Option("--split", help="Which part of the data set."),
    ] = "test",
    model: options.Model = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            parser=options.path,
            metavar="FOLDER",
            help="Score these pictures, which any program may have made, in place of a model.",
        ),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare two or more METHODs in one report.")
    ] = False,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="ifan (the paper's); restormer, lakdnet, nrknet, drbnet, gkmnet; or steps joined"
            " by +: padded, crop16, unclipped, quantised, gaussian (SSIM), rounded (reading).",
        ),
    ] = "ifan",
    bits: Annotated[
        int | None,
        typer.Option(
            parser=options.bits,
            metavar="8|16",
            help="In which pictures are read. Default: the model's.",
        ),
    ] = None,
    log_root: Annotated[
        Path,
        typer.Option(
            parser=options.path,
            metavar="FOLDER",
            help="Where results go, in IFAN_CVPR2021/MODE/result.",
            show_default="logs",
        ),
    ] = Path("logs"),
    mode: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Folder of the results. Default: the model's name."),
    ] = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "fp32",
    again: Annotated[
        bool, typer.Option("--again", help="Score anew what has been scored before.")
    ] = False,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="Do nothing beside the network: slower, but times are its own; what was scored"
            " otherwise is scored anew.",
        ),
    ] = False,
) -> None:
    """Score a model, or pictures, as the paper does. Needs ifan[evaluate].

    Writes the pictures, the score file of the paper's code, CSV, JSON and an HTML report that shows
    the numbers beside published ones. The same command goes on where an earlier one was stopped.
    """
    _refuse_bad_use(compared, compare, predictions, model, mode)
    if again:
        stopping.say_how_to_go_on("without --again the same command goes on where this one was")
    steps = _steps(protocol)
    with stopping.deferred(), installed("evaluate"):
        from ifan.datasets.testing import open_test_set
        from ifan.evaluation.running import Evaluation
    read_in = cast("Bits | None", bits)
    if compare:
        methods = _compared(compared or [], steps, engine, precision, read_in)
    else:
        methods = [_method(model, predictions, steps, engine, precision, read_in, mode)]
    evaluations = []
    for method in methods:
        test_set = open_test_set(data, root, views=method.needs_views, split=split)
        evaluations.append(Evaluation(method, test_set, steps, log_root, again=again, alone=alone))
    for evaluation in evaluations:
        _run(evaluation)
    _finish(evaluations, log_root)


def _refuse_bad_use(
    compared: Sequence[str] | None,
    compare: bool,
    predictions: Path | None,
    model: str | None,
    mode: str | None,
) -> None:
    """Refuse options that say nothing together."""
    if compare and len(compared or []) < 2:
        raise typer.BadParameter("--compare takes two or more models or folders")
    if compared and not compare:
        raise typer.BadParameter(f"{compared[0]}: give it with --model, --predictions or --compare")
    if sum((compare, predictions is not None, model is not None)) > 1:
        raise typer.BadParameter("give one of --model, --predictions and --compare")
    if compare and mode is not None:
        raise typer.BadParameter("--mode names one folder, --compare has several")
    if mode is not None and (mode in ("", ".", "..") or Path(mode).name != mode):
        raise typer.BadParameter(f"--mode {mode} is no name of a folder")


def _steps(protocol: str) -> Protocol:
    with stopping.deferred(), installed("evaluate"):
        from ifan.evaluation.protocol import open_protocol
    try:
        return open_protocol(protocol)
    except ValueError as error:
        raise typer.BadParameter(f"--protocol: {error}") from error


def _method(
    model: str | None,
    predictions: Path | None,
    steps: Protocol,
    engine: str,
    precision: str,
    bits: Bits | None,
    mode: str | None,
) -> Method:
    from ifan.evaluation.methods import FolderMethod, ModelMethod

    if predictions is not None:
        return FolderMethod(predictions, steps, bits or 8, mode)
    deblurrer = open_deblurrer(model, engine, precision, "full", None, verbose=False)
    return ModelMethod(deblurrer, bits, mode)


def _compared(
    named: Sequence[str], steps: Protocol, engine: str, precision: str, bits: Bits | None
) -> list[Method]:
    """Open models and folders, each under a name of its own."""
    from ifan.evaluation.methods import is_result_folder, labels_of

    models = [
        None
        if is_result_folder(name)
        else _method(name, None, steps, engine, precision, bits, None)
        for name in named
    ]
    # Differences are of scores against the same targets, so all are read alike.
    labels = labels_of(named)
    found = [(label, model.bits) for label, model in zip(labels, models, strict=True) if model]
    if len({each for _, each in found}) > 1:
        said = ", ".join(f"{label} {each}" for label, each in found)
        raise typer.BadParameter(f"models take different bits ({said}); give --bits 8 or 16")
    alike = found[0][1] if found else bits
    methods = []
    for name, label, model in zip(named, labels, models, strict=True):
        method = model or _method(None, Path(name), steps, engine, precision, alike, label)
        method.label = label
        methods.append(method)
    return methods


def _run(evaluation: Evaluation) -> None:
    """Score what is missing, and say it; what is begun when a signal comes is finished."""
    from ifan.evaluation.tree import score_line

    test_set, method = evaluation.test_set, evaluation.method
    count, there = len(test_set.files), len(evaluation.records)
    said = [f"{count} picture{'s' if count > 1 else ''} in {method.bits} bits"]
    said += [] if test_set.has_targets else ["without targets"]
    said += [f"{there} done before"] if there else []
    _say(f"{method.label} on {test_set.name}: {', '.join(said)}")
    with stopping.deferred():
        records = evaluation.run(stopped=stopping.asked)
        with closing(records), progress_over([1] * len(evaluation.missing)) as advance:
            for record in records:
                failed = record.error is not None
                _say(score_line(method.mode, record, count), aside=failed)
                advance()
        evaluation.write_scores()


def _finish(evaluations: Sequence[Evaluation], log_root: Path) -> None:
    """Write all that is written at the end, and say the means.

    Raises:
        typer.Exit: with status 1, if a picture failed.
    """
    from ifan.evaluation.output import write_results
    from ifan.evaluation.tree import total_line

    for evaluation in evaluations:
        _say(total_line(evaluation.results.checkpoint_name, evaluation.in_order))
        test_set = evaluation.test_set
        if not test_set.is_complete:
            _say(f"{test_set.name}: not all test pictures are there; published ones are of all")
    report = write_results(evaluations, log_root, shlex.join(["ifan", *sys.argv[1:]]))
    _say(f"report: {report}")
    failed = [record for one in evaluations for record in one.in_order if record.error is not None]
    if failed:
        _say(f"{len(failed)} failed", aside=True)
        raise typer.Exit(1)


def _say(line: str, *, aside: bool = False) -> None:
    typer.echo(in_one_line(line), err=aside)
