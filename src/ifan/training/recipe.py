"""What a training is to do, as data: recipes in YAML, overrides, and refusals that name the key.

The recipes of the paper and of the bundled models are files in `ifan/recipes`. One may name another
as its `base` and give only what differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationError,
    model_validator,
)

from ifan.datasets.augmentation import Augmentation
from ifan.datasets.folders import Split
from ifan.datasets.simulated import Simulation
from ifan.datasets.simulated.settings import Share
from ifan.datasets.streaming import Curriculum
from ifan.errors import IfanError
from ifan.passes import Passes

_SUFFIX = ".yaml"

BelowOne = Annotated[float, Field(ge=0, lt=1)]
"""At 1, a moving average would never move."""

_SHOWN = (str, int, float, list)


class Settings(BaseModel):
    """Base of all parts of a recipe: unknown keys are refused, nothing changes later."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


class Network(Settings):
    """The network that is trained.

    Attributes:
        architecture: `ifan`; or of the paper's ablations `B` (neither filters nor disparity), `D`
            (disparity only), `F` (filters only), `fac` (one dense filter in place of the IAC).
        width: base channel count; 32 in the paper.
        iterations: number of IAC iterations, the paper's N. `fac` has the reblurring network that
            goes with it; `B` and `D` have neither.
        dual_pixel: the filters are predicted from the left and right dual-pixel views.
        shared_filters: the IAC as the released checkpoints have it; False is Eq. 1. Of `fac` that
            of the reblurring network.
        output_activation: a leaky ReLU follows the last convolution, as in released checkpoints.
    """

    architecture: Literal["ifan", "B", "D", "F", "fac"] = "ifan"
    width: PositiveInt = 32
    iterations: PositiveInt = 17
    dual_pixel: bool = False
    shared_filters: bool = False
    output_activation: bool = True


class Losses(Settings):
    """Weights of the losses of the paper and others; 0 leaves a task out, with all that it needs.

    Attributes:
        deblurring: of the output against the target; it must have a weight, as the other tasks do
            not train the whole network.
        disparity: of the warped right view against the left one; needs dual-pixel views.
        reblurring: of the reblurred target against the center view.
        colour: of the mean linear light of the output against that of the target. The paper does
            not have it.
        defocus: of the size of the disparity against the true circle of confusion; needs simulated
            data, which alone tell it. The paper does not have it.
        growth: of how much all iterated filters together can enlarge. The paper does not have it.
        bottleneck: of what a linear map makes of the features at 1/8 of the size, without the
            skips, against the target. The paper does not have it.
        difference: how pictures are compared. The paper has `squared`; `root-mean-square` is of
            each picture, as log(1 + it), so that none counts without bound.
        epsilon: with `charbonnier`, below which differences count about as their squares; with
            `root-mean-square`, the same of whole pictures.
    """

    deblurring: PositiveFloat = 1.0
    disparity: NonNegativeFloat = 1.0
    reblurring: NonNegativeFloat = 1.0
    colour: NonNegativeFloat = 0.0
    defocus: NonNegativeFloat = 0.0
    growth: NonNegativeFloat = 0.0
    bottleneck: NonNegativeFloat = 0.0
    difference: Literal["squared", "absolute", "charbonnier", "root-mean-square"] = "squared"
    epsilon: PositiveFloat = 1e-3

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each task by name."""
        return self.model_dump(exclude={"difference", "epsilon"})


class Optimizer(Settings):
    """How weights change.

    Attributes:
        name: `radam` in the paper; decay is decoupled in all. `muon` is Muon for the kernels
            between features, and Adam for all else.
        learning_rate: before the schedule.
        betas: decay of the two moments.
        epsilon: keeps the division finite.
        weight_decay: for each update, times the learning rate.
        largest_norm: gradients of a larger global norm are scaled to it; None leaves them. With
            `muon`, those of its kernels neither count nor change.
        kernel_learning_rate: of the kernels with `muon`, before the schedule.
        kernel_momentum: of the kernels with `muon`.
    """

    name: Literal["radam", "adam", "muon"] = "radam"
    learning_rate: PositiveFloat = 1e-4
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.01
    largest_norm: PositiveFloat | None = 0.5
    kernel_learning_rate: PositiveFloat = 0.01
    kernel_momentum: BelowOne = 0.95


class Schedule(Settings):
    """How the learning rate changes over the updates, of which the first has number 1.

    Attributes:
        kind: `steps` halves it after each of `halved_after`; `cosine` lets it fall to `last_share`
            of itself at the last update.
        halved_after: numbers of updates. The released counter's first halved update is number
            500 002.
        warm_up: updates in which it rises linearly from nothing.
        last_share: see `kind`.
    """

    kind: Literal["steps", "cosine"] = "steps"
    halved_after: tuple[PositiveInt, ...] = (500_001, 550_001)
    warm_up: NonNegativeInt = 0
    last_share: Share = 0.02


class FolderData(Settings):
    """Training pictures on disk.

    Attributes:
        kind: tells this from simulated data.
        root: a folder in the layout of DPDD, of pairs, or what `ifan data prepare` made; or the
            address of shards.
        split: which part of it.
        augmentation: what is done to a picture before it is cropped.
        skip_damaged: a picture that cannot be read is left out and counted; else training ends.
        cache: where shards from elsewhere are kept.
        cache_gigabytes: how much of them.
    """

    kind: Literal["folder"] = "folder"
    root: str = ""
    split: Split = "train"
    augmentation: Augmentation = Augmentation()
    skip_damaged: bool = False
    cache: str | None = None
    cache_gigabytes: PositiveFloat = 20.0


class Teaching(Settings):
    """A network that has a share in the targets, see `ifan.training.teacher`.

    Attributes:
        model: which: a name, a checkpoint or a model's folder; of one view.
        passes: how often it sees each scene.
        share: of it in the target.
    """

    model: str
    passes: Passes = 8
    share: Annotated[Share, Field(gt=0)] = 0.8


class SimulatedData(Settings):
    """Scenes without end, simulated from sharp photographs while training goes on.

    Attributes:
        kind: tells this from pictures on disk.
        photographs: a folder of them, searched with those below it.
        held_out: how many photographs, evenly spaced, are kept for validation.
        simulation: what scenes are drawn from; they must be as large as a crop at least.
        curriculum: which crops are taken; None takes any.
        scenes: how many share their crops out among batches.
        uses: how many crops are taken of each scene.
        grey_share: how many crops become grey.
        teacher: what has a share in the targets.
    """

    kind: Literal["simulated"]
    photographs: str = ""
    held_out: NonNegativeInt = 0
    simulation: Simulation = Simulation()
    curriculum: Curriculum | None = Curriculum()
    scenes: PositiveInt = 32
    uses: PositiveInt = 4
    grey_share: Share = 0.05
    teacher: Teaching | None = None


def _kind(data: Any) -> str:
    """Tell which kind of data a table, or what was made of it, is; those on disk need not say."""
    kind = data.get("kind", "folder") if isinstance(data, dict) else getattr(data, "kind", "folder")
    return str(kind)


Data = Annotated[
    Annotated[FolderData, Tag("folder")] | Annotated[SimulatedData, Tag("simulated")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message="there is no such kind; give folder or simulated",
    ),
]


class Validation(Settings):
    """How a training is watched.

    Attributes:
        first: number of the update after which there is one for the first time.
        every: updates between validations.
        last_every: the same within the last `last` updates.
        last: see `last_every`.
        root: pictures on disk, as `FolderData.root`. Simulated data are validated on scenes of the
            photographs that are held out.
        split: which part of `root`.
        scenes: how many simulated scenes.
        sample_pictures: of how many pictures what comes out is shown.
    """

    first: PositiveInt = 44
    every: PositiveInt = 176
    last_every: PositiveInt = 44
    last: NonNegativeInt = 440
    root: str = ""
    split: Split = "val"
    scenes: PositiveInt = 32
    sample_pictures: NonNegativeInt = 4


class Recipe(Settings):
    """A training, whole.

    Attributes:
        mode: names the folder of the run, and its checkpoints.
        base: the recipe that this one changed.
        updates: of the weights.
        batch: examples a process sees at a time.
        accumulation: batches whose gradients make one update.
        crop: side of the training pictures in pixels, a multiple of 8.
        sample_bits: bits a sample of the pictures, 8 or 16.
        seed: of weights and data.
        precision: of the passes; weights are float32 always.
        compile: let `torch.compile` make a graph of the network, on GPUs; PyTorch 2.13 fails at its
            gradients on the CPU.
        average: decay of an exponential moving average of the weights, which is then what is
            validated and kept; None is none.
        initialisation: `paper`; or `gentle`, which begins near the identity.
        start: a model to go on from instead, of the same shape, or smaller, to be widened: a name,
            a checkpoint or a folder.
        network: what is trained.
        losses: on what.
        optimizer: how.
        schedule: how fast.
        data: with what.
        validation: how it is watched.
        save_every: updates after which all that resuming needs is written.
        keep: how many checkpoints of the weights are kept besides the best and the last.
    """

    mode: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "IFAN"
    base: str | None = None
    updates: PositiveInt = 600_028
    batch: PositiveInt = 8
    accumulation: PositiveInt = 1
    crop: Annotated[int, Field(ge=16, multiple_of=8)] = 256
    sample_bits: Literal[8, 16] = 8
    seed: NonNegativeInt = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    average: Annotated[float, Field(gt=0, lt=1)] | None = None
    initialisation: Literal["paper", "gentle"] = "paper"
    start: str | None = None
    network: Network = Network()
    losses: Losses = Losses()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    data: Data = FolderData()
    validation: Validation = Validation()
    save_every: PositiveInt = 500
    keep: NonNegativeInt = 100

    @model_validator(mode="after")
    def _network_does_what_is_asked(self) -> Self:
        architecture = self.network.architecture
        if self.losses.growth and architecture not in ("ifan", "F"):
            raise ValueError(f"losses.growth must be 0: {architecture} has no iterated filters")
        if self.losses.disparity and architecture in ("B", "F"):
            raise ValueError(f"losses.disparity must be 0: {architecture} estimates none")
        if self.losses.defocus and architecture in ("B", "F"):
            raise ValueError(f"losses.defocus must be 0: {architecture} estimates no disparity")
        if self.losses.reblurring and architecture in ("B", "D"):
            raise ValueError(f"losses.reblurring must be 0: {architecture} predicts no filters")
        if self.network.dual_pixel and architecture != "ifan":
            raise ValueError(f"network.dual_pixel must be false: {architecture} has one view")
        # Of FAC they are those of the reblurring network.
        if architecture not in ("ifan", "F") and not self.losses.reblurring:
            for key in ("iterations", "shared_filters"):
                usual = Network.model_fields[key].default
                if getattr(self.network, key) != usual:
                    raise ValueError(
                        f"network.{key} must be left at {usual}: nothing in {architecture} reads it"
                    )
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.optimizer.name == "muon" and self.precision == "fp16":
            raise ValueError("optimizer.name must not be muon with precision fp16")
        if self.losses.defocus and not isinstance(self.data, SimulatedData):
            raise ValueError("losses.defocus must be 0: only simulated scenes tell the true blur")
        if isinstance(self.data, SimulatedData):
            scenes = self.data.simulation
            if min(scenes.height, scenes.width) < self.crop:
                raise ValueError(f"data.simulation must have scenes of crop = {self.crop} or more")
            if scenes.bits != self.sample_bits:
                raise ValueError("data.simulation.bits must be sample_bits")
            curriculum, largest = self.data.curriculum, scenes.coc_px[1]
            if curriculum is not None and curriculum.mean_coc_px[0] >= largest:
                raise ValueError(f"data.curriculum.mean_coc_px must begin below {largest:g} px")
            if self.data.scenes * self.data.uses % self.batch:
                raise ValueError("data.scenes * data.uses must be a multiple of batch")
        return self

    @property
    def needs_views(self) -> bool:
        """Whether dual-pixel views are needed."""
        return bool(self.losses.disparity) or self.network.dual_pixel

    def to_yaml(self) -> str:
        """Return the recipe, every key of it but its base, whose keys these are too, as a file."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude={"base"}), sort_keys=False)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package."""
    files = resources.files("ifan.recipes").iterdir()
    return sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX))


def describe_recipes() -> dict[str, str]:
    """Return the recipes that come with the package, and what each is, as its first line says."""
    return {name: _text(name).partition("\n")[0].removeprefix("# ") for name in recipe_names()}


def open_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe and its bases.

    Args:
        name: of a recipe of the package, or a YAML file.
        overrides: each `key.of.key=value`, the value in YAML.

    Raises:
        IfanError: there is no such recipe, or it, or an override, has an unknown key or an
            impossible value; the key is named.
    """
    table = _with_base(name, ())
    for override in overrides:
        _set(table, override)
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise IfanError(name, _fault(error), "mend the recipe, or what --set says") from error


def _with_base(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """Read a recipe, laid over what it is based on; a file's base is looked for beside it."""
    if name in seen:
        raise IfanError(name, "has itself as its base", "mend the recipe")
    table = _read(name)
    base = table.get("base")
    if base is None:
        return table
    beside = str(Path(name).parent / str(base)) if _is_file_name(str(base)) else str(base)
    return _merged(_with_base(beside, (*seen, name)), table)


def _read(name: str) -> dict[str, Any]:
    try:
        text = _text(name)
        table = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise IfanError(name, f"is no YAML: {error}", "mend the recipe") from error
    except UnicodeDecodeError as error:
        raise IfanError(name, "is no text", "give a recipe in YAML") from error
    if not isinstance(table, dict):
        raise IfanError(name, "is no table of keys and values", "give a recipe in YAML")
    return table


def _text(name: str) -> str:
    if _is_file_name(name):
        try:
            return Path(name).read_text("utf-8")
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            raise IfanError(name, reason, "check the name of the recipe") from error
    known = recipe_names()
    if name not in known:
        remedy = f"give a file NAME.yaml or one of {', '.join(known)}"
        raise IfanError(name, "is no recipe", remedy)
    return resources.files("ifan.recipes").joinpath(name + _SUFFIX).read_text("utf-8")


def _is_file_name(name: str) -> bool:
    return Path(name).suffix in (".yaml", ".yml")


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another, key by key; another kind of data replaces the whole part."""
    result = dict(base)
    for key, value in changes.items():
        before = result.get(key)
        if (
            isinstance(before, dict)
            and isinstance(value, dict)
            and value.get("kind", _kind(before)) == _kind(before)
        ):
            result[key] = _merged(before, value)
        else:
            result[key] = value
    return result


def _set(table: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise IfanError(override, "is no override", "give --set key=value, or key.of.key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise IfanError(override, "has a value that is no YAML", "quote it") from error
    *parents, last = path.split(".")
    for parent in parents:
        below = table.setdefault(parent, {})
        if not isinstance(below, dict):
            below = table[parent] = {}
        table = below
    table[last] = value


def _fault(error: ValidationError) -> str:
    """Say which key is wrong and how."""
    fault = error.errors()[0]
    # A kind of data stands among the keys there, but is none.
    key = ".".join(str(part) for part in fault["loc"] if part not in ("folder", "simulated"))
    if fault["type"] == "extra_forbidden":
        return f"{key}: there is no such key"
    message = fault["msg"].removeprefix("Value error, ")
    given = f", not {fault['input']!r}" if isinstance(fault["input"], _SHOWN) else ""
    return f"{key}: {message}{given}" if key else message
