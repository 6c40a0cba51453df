"""Speed of training, as ratios to a plain loop, and of the data that feed it.

The plain loop is training as one writes it down first: float32, channels first, filters in the
released order that are cut out by their index, whole predictions for the reblurring network.
Networks have the paper's settings, all three losses and the same weights; the losses of the first
step show that they compute the same. All contestants take turns in one process, as machines are
noisy; ratios are of the same round, and their median is printed.

    python benchmarks/training.py [--crops 4] [--side 256] [--rounds 5] [--channels 32]
                                  [--iterations 17]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ifan.datasets.folders import open_folder
from ifan.datasets.packing import pack
from ifan.networks import IFAN, ReblurringNetwork
from ifan.networks.disparity import downsample
from ifan.networks.iac import PARTS, TAPS, released_channel_order
from ifan.networks.reblurring import COLOURS
from ifan.training.batches import Rank, batches
from ifan.training.initialisation import gentle_start
from ifan.training.losses import Tasks, warp_right_to_left
from ifan.training.optimisation import make_optimizers
from ifan.training.recipe import FolderData, Recipe
from ifan.training.views import Views

WEIGHTS = {"deblurring": 1.0, "disparity": 1.0, "reblurring": 1.0}
PLAIN = "plain fp32"
BARS = {"ours fp32": 1.3, "ours bf16": 3.0}
PICTURES = 4
BATCHES = 24
HEIGHT, WIDTH = 1120, 1680


class Contestant(NamedTuple):
    """A way to train: a module that returns the loss of views, and how it is run."""

    loss: Callable[[Views], Tensor]
    optimizer: torch.optim.Optimizer
    precision: torch.dtype
    memory_format: torch.memory_format


def main() -> None:
    options = parse()
    steps = measure_steps(options)
    plain = steps[PLAIN]
    print(
        f"width {options.channels}, N={options.iterations}, {options.crops} crops of "
        f"{options.side}x{options.side}, all losses, {torch.get_num_threads()} threads"
    )
    for name, seconds in steps.items():
        speed_up = statistics.median(p / s for p, s in zip(plain, seconds, strict=True))
        bar = f", wanted: {BARS[name]}" if name in BARS else ""
        print(f"{name:12}{statistics.median(seconds):8.2f} s a step{speed_up:7.2f}x{bar}")
    eaten = min(map(statistics.median, steps.values()))
    print(f"\nbatches alone, by one process, of {WIDTH}x{HEIGHT} pixels with both views, as")
    for name, seconds_a_batch in measure_batches(options).items():
        ratio = eaten / seconds_a_batch
        print(f"{name:12}{seconds_a_batch:8.3f} s a batch{ratio:7.1f}x what is eaten, wanted: 2")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--channels", type=int, default=32, help="the network's width")
    parser.add_argument("--iterations", type=int, default=17, help="the paper's N")
    return parser.parse_args()


def measure_steps(options: argparse.Namespace) -> dict[str, list[float]]:
    """Return the seconds of each round's step, without the first, by contestant."""
    pictures = [torch.rand(options.crops, options.side, options.side, 3) for _ in range(4)]
    contestants = {
        PLAIN: contestant(options, plain=True),
        "ours fp32": contestant(options),
        "ours bf16": contestant(options, precision=torch.bfloat16),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(options.rounds + 1):
        losses = []
        for name, one in contestants.items():
            started = time.perf_counter()
            losses.append(step(one, pictures))
            if turn:
                seconds[name].append(time.perf_counter() - started)
        if turn == 0:
            np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
            np.testing.assert_allclose(losses[2], losses[0], rtol=0.05)
    return seconds


def contestant(
    options: argparse.Namespace, *, plain: bool = False, precision: torch.dtype = torch.float32
) -> Contestant:
    torch.manual_seed(0)
    network = IFAN(options.channels, options.iterations)
    reblurring = ReblurringNetwork(options.channels, options.iterations)
    gentle_start(network, reblurring)
    layout = torch.contiguous_format if plain else torch.channels_last
    module: PlainTasks | Tasks
    if plain:
        module = PlainTasks(network, reblurring)
        loss = module.forward
    else:
        module = Tasks(network, reblurring, WEIGHTS)
        loss = lambda views: module(views).total  # noqa: E731
    module.to(memory_format=layout)  # type: ignore[call-overload]
    (optimizer,) = make_optimizers(module, Recipe().optimizer)
    return Contestant(loss, optimizer, precision, layout)


def step(one: Contestant, pictures: list[Tensor]) -> float:
    """Make an update as the training loop does, and return the loss before it."""
    views = Views(
        *(p.permute(0, 3, 1, 2).contiguous(memory_format=one.memory_format) for p in pictures)
    )
    mixed = one.precision != torch.float32
    with torch.autocast("cpu", one.precision) if mixed else nullcontext():
        loss = one.loss(views)
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [p for group in one.optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, 0.5)
    one.optimizer.step()
    one.optimizer.zero_grad()
    return float(loss.detach())


class PlainTasks(nn.Module):
    """All tasks on the same layers, with predictions in the released order."""

    def __init__(self, network: IFAN, reblurring: ReblurringNetwork) -> None:
        super().__init__()
        self.network = network
        self.reblurring = reblurring
        # The weights are put into that order once, so that no step pays for it.
        channels = 4 * network.width
        into_released = released_channel_order(network.iterations, channels).argsort()
        reorder(network.filter_predictor.output, into_released)
        first = cast("nn.Conv2d", cast("nn.Sequential", reblurring.filter_inverter[0])[0])
        last = cast("nn.Conv2d", reblurring.filter_inverter[-1])
        with torch.no_grad():
            first.weight.copy_(first.weight[:, into_released])
        reorder(last, released_channel_order(reblurring.reblurring_iterations, COLOURS).argsort())

    def forward(self, views: Views) -> Tensor:
        """Return the sum of the losses."""
        network = self.network
        assert views.left is not None
        assert views.right is not None
        encoded = network.filter_encoder(views.center)
        *skips, features = network.feature_extractor.pyramid(views.center)
        prediction = network.filter_predictor(encoded, network.disparity_estimator(encoded))
        features = F.leaky_relu(plainly_filtered(features, prediction), 0.1)
        deblurred = network.reconstructor(features, skips) + views.center
        sharp = views.target[..., ::8, ::8]
        inverted = self.reblurring.filter_inverter(prediction)
        reblurred = sharp + plainly_filtered(sharp, inverted)
        warped = warp_right_to_left(network, views.left, views.right)
        return (
            F.mse_loss(deblurred, views.target)
            + F.mse_loss(warped, downsample(views.left))
            + F.mse_loss(reblurred, downsample(views.center))
        )


def reorder(layer: nn.Conv2d, order: Tensor) -> None:
    """Change the order of the channels that a layer puts out."""
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(layer.weight[order])
        layer.bias.copy_(layer.bias[order])


def plainly_filtered(features: Tensor, prediction: Tensor) -> Tensor:
    """Apply Eq. 1 with filters that are cut out by their index; no activation after the last."""
    batch, channels, height, width = features.shape
    iterations = prediction.shape[1] // (PARTS * channels)
    count = iterations * 2 * TAPS * channels
    filters = prediction[:, :count].view(batch, iterations, 2, channels, TAPS, height, width)
    biases = prediction[:, count:].view(batch, iterations, channels, height, width)
    for n in range(iterations):
        if n > 0:
            features = F.leaky_relu(features, 0.1)
        vertical, horizontal = filters[:, n].unbind(1)
        padded = F.pad(features, (0, 0, 1, 1), mode="replicate")
        features = sum_of(padded[:, :, t : t + height] * vertical[:, :, t] for t in range(TAPS))
        padded = F.pad(features, (1, 1, 0, 0), mode="replicate")
        features = sum_of(padded[..., t : t + width] * horizontal[:, :, t] for t in range(TAPS))
        features = features + biases[:, n]
    return features


def sum_of(products: Iterator[Tensor]) -> Tensor:
    total = next(products)
    for product in products:
        total = total + product
    return total


def measure_batches(options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds that a batch takes, with the paper's augmentation, by kind of storage."""
    with tempfile.TemporaryDirectory() as name:
        files, packed = Path(name, "files"), Path(name, "packed")
        write_pictures(files)
        for _ in pack(open_folder(files, "train", views=True), packed / "train").make():
            pass
        kinds = {"PNG files": files, "packed": packed}
        return {kind: seconds_a_batch(options, root) for kind, root in kinds.items()}


def write_pictures(root: Path) -> None:
    """Write pictures in the layout and of the size of DPDD's."""
    random = np.random.default_rng(0)
    for folder in ("train_c/source", "train_c/target", "train_l/source", "train_r/source"):
        (root / folder).mkdir(parents=True)
        for number in range(PICTURES):
            blocks = random.integers(0, 256, (HEIGHT // 40, WIDTH // 40, 3), np.uint8)
            image = Image.fromarray(blocks).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            pixels = np.asarray(image) // 2 + random.integers(0, 8, (HEIGHT, WIDTH, 3), np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{number}.png")


def seconds_a_batch(options: argparse.Namespace, root: Path) -> float:
    """Return the time from batch to batch, once the process that makes them has started."""
    recipe = Recipe(
        crop=options.side, batch=options.crops, updates=BATCHES + 1, data=FolderData(root=str(root))
    )
    coming = batches(recipe, 0, rank=Rank(), workers=1, photographs=root)
    with closing(coming):
        next(coming)
        started = time.perf_counter()
        count = sum(1 for _ in coming)
        return (time.perf_counter() - started) / count


if __name__ == "__main__":
    main()
