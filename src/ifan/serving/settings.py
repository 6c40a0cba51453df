"""What a server allows, as data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ifan.models.store import DEFAULT_MODEL

_MEBIBYTE = 1 << 20


class Settings(BaseModel):
    """What a server is to do, and the limits that keep it standing.

    Attributes:
        models: names of the models that may be asked for; the first is the one unless asked.
        engine: as for `Deblurrer`.
        precision: as for `Deblurrer`.
        api_keys: those that open the API; empty only where nobody else can reach the server.
        allowed_origins: of other sites whose pages may call this server ("https://example.org").
        allowed_hosts: names that the server answers to; empty: any.
        places: requests that are in the house at once, from their first byte to their last.
        max_upload_bytes: of one request, all its files together.
        max_pixels: of one photograph.
        transfer_seconds: in which a request has to come in, and its answer to be taken.
        idle_seconds: for which nothing may come of a request, or be taken of its answer.
        picture_seconds: that the work on one request may take.
        kept_results: results of jobs that wait to be fetched.
        kept_bytes: of these results; while they have as many, no job is begun.
        result_seconds: for which the result of a job is kept.
        stop_seconds: that what runs is given to finish when the server is to stop.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[str, ...] = Field(default=(DEFAULT_MODEL,), min_length=1)
    engine: str = "auto"
    precision: str = "auto"
    api_keys: frozenset[str] = Field(default=frozenset(), repr=False)
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: frozenset[str] = frozenset()
    places: int = Field(default=16, ge=1)
    max_upload_bytes: int = Field(default=128 * _MEBIBYTE, ge=1)
    max_pixels: int = Field(default=100_000_000, ge=1)
    transfer_seconds: float = Field(default=120, gt=0)
    idle_seconds: float = Field(default=15, gt=0)
    picture_seconds: float = Field(default=300, gt=0)
    kept_results: int = Field(default=32, ge=1)
    kept_bytes: int = Field(default=2048 * _MEBIBYTE, ge=1)
    result_seconds: float = Field(default=600, gt=0)
    stop_seconds: float = Field(default=30, gt=0)
