"""What a checkpoint's weights are weights of."""

import json
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

if TYPE_CHECKING:
    from ifan.networks import IFAN

METADATA_KEY = "ifan"
"""Key of a safetensors file's or graph's metadata under which its description stands, as JSON."""

REBLURRING_PREFIX = "reblurNet."
"""How the names of the reblurring network's tensors begin; files may put `module.` before it."""


def bare_name(key: str) -> str:
    """Return a tensor's name without the `module.` and `Network.` that files may put before it."""
    return key.removeprefix("module.").removeprefix("Network.")


class Configuration(BaseModel):
    """The variant of the network, as `ifan.networks.IFAN` takes it.

    Attributes:
        width: base channel count; 32 in the paper.
        iterations: number of IAC iterations, the paper's N.
        dual_pixel: the filters are predicted from the left and right dual-pixel views.
        shared_filters: the IAC uses the vertical filter in both directions, as released
            checkpoints were trained; False is Eq. 1 of the paper.
        output_activation: a leaky ReLU follows the reconstructor's last convolution.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: PositiveInt
    iterations: PositiveInt
    dual_pixel: bool
    shared_filters: bool
    output_activation: bool


class Description(BaseModel):
    """What a file of weights says of itself.

    Attributes:
        configuration: the variant of the network.
        sample_bits: bits a sample of the pictures it was trained with; evaluation reads pictures
            so: 8 means values 0 to 255 divided by 255, 16 means 0 to 65535 divided by 65535.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    configuration: Configuration
    sample_bits: Literal[8, 16] = 8

    @classmethod
    def of(cls, network: "IFAN", sample_bits: int = 8) -> Self:
        """Describe a network."""
        fields = {name: getattr(network, name) for name in Configuration.model_fields}
        return cls.model_validate({"configuration": fields, "sample_bits": sample_bits})

    def to_json(self) -> str:
        """Return the description as it stands in a file: one flat table."""
        return json.dumps(self.configuration.model_dump() | {"sample_bits": self.sample_bits})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a description from a file's flat table, which may hold notes besides.

        Raises:
            ValueError: it is no table, or something is missing or impossible; says so in one line.
        """
        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its metadata are not understood: {error}") from error
        if not isinstance(table, dict):
            raise ValueError("its metadata are not understood: they are no table")
        try:
            return cls(
                configuration=Configuration.model_validate(
                    {name: table.get(name) for name in Configuration.model_fields}
                ),
                sample_bits=table.get("sample_bits", 8),
            )
        except ValidationError as error:
            fault = error.errors()[0]
            field = ".".join(map(str, fault["loc"]))
            raise ValueError(f"its metadata are wrong: {field}: {fault['msg']}") from error
