"""`ifan train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ifan.commands import options, stopping
from ifan.commands.installing import installed
from ifan.commands.progress import progress_of_training
from ifan.errors import IfanError, in_one_line


def _print_recipes(asked: bool) -> None:
    if not asked:
        return
    with stopping.deferred(), installed("train"):
        from ifan.training.recipe import describe_recipes
    for name, description in describe_recipes().items():
        typer.echo(f"{name:15} {description}")
    raise typer.Exit


def train(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="Its name (see --recipes), or a YAML file."),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change the recipe, as in optimizer.learning_rate=2e-4. As often as needed.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where an earlier run of this recipe stopped, if there is one."
        ),
    ] = False,
    log_root: Annotated[
        Path,
        typer.Option(
            parser=options.path,
            metavar="FOLDER",
            help="Where runs are kept, in IFAN_CVPR2021/MODE.",
            show_default="logs",
        ),
    ] = Path("logs"),
    workers: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="How many processes prepare pictures."),
    ] = 1,
    accelerator: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="What to train on.")
    ] = "auto",
    wandb: Annotated[
        bool,
        typer.Option(
            "--wandb",
            help="Send what one sees of it to Weights & Biases, too; needs ifan[wandb].",
        ),
    ] = False,
    _recipes: Annotated[
        bool,
        typer.Option(
            "--recipes", help="Print the recipes.", callback=_print_recipes, is_eager=True
        ),
    ] = False,
) -> None:
    """Train a network. Needs ifan[train].

    Several processes, and nodes, train together if torchrun starts them:
    torchrun --nproc-per-node 4 -m ifan train ifan
    """
    stopping.say_how_to_go_on("--resume goes on where this one was")
    with stopping.deferred():
        with installed("train"):
            from ifan.training.checkpoints import RunFolder
            from ifan.training.loop import Training
            from ifan.training.observing import Observer
            from ifan.training.recipe import open_recipe
        opened = open_recipe(recipe, changes or ())
        folder = RunFolder(log_root, opened.mode)
        with progress_of_training(opened.updates) as show:
            observer = Observer(
                folder.log,
                opened.updates,
                lambda line: typer.echo(in_one_line(line)),
                samples=folder.samples,
                show=show,
                wandb=opened if wandb else None,
            )
            training = Training(
                opened,
                folder,
                observer,
                stopped=stopping.asked,
                workers=workers,
                accelerator=accelerator,
                resume=resume,
            )
            if not training.run():
                # The signal came here, which is said after this, or torchrun takes it for a loss.
                reason = "was stopped as another of its processes was"
                raise IfanError("training", reason, "--resume goes on where it was")
