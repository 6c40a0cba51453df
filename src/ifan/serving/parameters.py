"""What a request may ask for, checked: options of the command line, and `quality`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import SkipJsonSchema

from ifan.passes import PASSES, require_passes

Missing = SkipJsonSchema[None]
"""What is not given: nobody can write it, so it is no part of the document."""

FormatName = Literal["jpeg", "png", "tiff", "webp", "avif"]

_WORKING_SIZE = Field(
    pattern="^(auto|blur|full|[1-9][0-9]{0,4})$",
    description="Size at which the network sees the photograph: N, its long side in pixels; full; "
    "auto, at most 2048; or blur, for heavy blur: the size of auto, its half and its quarter, each "
    "place mostly getting the strongest correction (maps: as auto). The result always has the full "
    "size.",
    examples=["auto"],
)
_PASSES = Field(
    description="How often the network sees the photograph, turned and mirrored each time; the "
    "result is the mean: nearer to the truth, a little softer, and as many times slower. Of 8, a "
    "dual-pixel model makes 4.",
    json_schema_extra={"enum": list(PASSES)},
)
_PAGE = Field(description="Which page of a TIFF of several, from 1.")
_PageNumber = Annotated[int, Field(ge=1, le=65535)]


class MapParameters(BaseModel):
    """Parameters of a defocus map."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[
        FormatName,
        Field(
            description="tiff has the numbers, in pixels, as 32-bit floats; the others have "
            "colours: white where it is in focus, darker blue or red the further it is out of "
            "focus. With a dual-pixel model the sign, blue or red, tells the two sides of the "
            "focus apart; with a model of one view it means little."
        ),
    ] = "png"
    working_size: Annotated[str, _WORKING_SIZE] = "auto"
    page: Annotated[_PageNumber | Missing, _PAGE] = None
    model: Annotated[str | Missing, Field(description="One of `GET /v1/models`.")] = None


class DeblurParameters(BaseModel):
    """Parameters of a deblurred photograph."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strength: Annotated[
        float,
        Field(ge=0, le=1, allow_inf_nan=False, description="How much of the correction to apply."),
    ] = 1.0
    format: Annotated[
        FormatName | Missing,
        Field(
            description="Of the result. Default: that of the photograph; for HEIC jpeg, for "
            "JPEG XL png, for RAW tiff."
        ),
    ] = None
    passes: Annotated[int, AfterValidator(require_passes), _PASSES] = 1
    quality: Annotated[
        Annotated[int, Field(ge=1, le=100)] | Missing,
        Field(
            description="Of JPEG, WebP and AVIF. Default: 95, or that of the photograph if it is "
            "finer.",
        ),
    ] = None
    working_size: Annotated[str, _WORKING_SIZE] = "auto"
    page: Annotated[_PageNumber | Missing, _PAGE] = None
    model: Annotated[str | Missing, Field(description="One of `GET /v1/models`.")] = None


Parameters = DeblurParameters | MapParameters


def of_models(kind: type[Parameters], models: tuple[str, ...]) -> Any:
    """Return the parameters with the models that a server has in the place of any."""
    any_of: Any = Literal[models]
    return create_model(
        kind.__name__, __base__=kind, model=(any_of | Missing, kind.model_fields["model"])
    )
