"""Refusals as RFC 9457 has them: a table of kinds, and an exception that carries one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

_LOG = logging.getLogger("ifan.serving")

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A kind of problem: its HTTP status, and its title."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "bad-request": Kind(400, "The request cannot be understood"),
    "unauthorized": Kind(401, "An API key is needed"),
    "forbidden": Kind(403, "The request comes from another site"),
    "not-found": Kind(404, "There is no such thing here"),
    "method-not-allowed": Kind(405, "This cannot be done with it"),
    "too-slow": Kind(408, "The request came in too slowly"),
    "not-finished": Kind(409, "The job has no result"),
    "too-large": Kind(413, "The picture is too large"),
    "not-a-picture": Kind(415, "This is no picture that can be read"),
    "bad-parameter": Kind(422, "A parameter is not what it should be"),
    "bad-picture": Kind(422, "The picture cannot be read"),
    "bad-result": Kind(422, "The result cannot be written so"),
    "busy": Kind(429, "The server is busy"),
    "failed": Kind(500, "The server failed"),
    "not-ready": Kind(503, "The server is not ready"),
    "too-long": Kind(504, "The work took too long"),
}


class Described(BaseModel):
    """A problem, as it is answered."""

    type: str = Field(examples=["urn:ifan:bad-picture"])
    title: str = Field(examples=["The picture cannot be read"])
    status: int = Field(examples=[422], ge=400, le=599)
    detail: str = Field(examples=["image is damaged or cut short"])
    remedy: str = Field(examples=["get a complete copy of it"])


class Problem(Exception):  # noqa: N818, it is what RFC 9457 calls it
    """A refusal.

    Args:
        kind: a key of `KINDS`.
        detail: what is wrong, in one sentence.
        remedy: what the caller can do about it.
        headers: to go with the answer.

    Attributes:
        status: the HTTP status.

    Raises:
        KeyError: there is no such kind.
    """

    def __init__(
        self, kind: str, detail: str, remedy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{kind}: {detail}; {remedy}")
        self.kind, self.detail, self.remedy = kind, detail, remedy
        self.headers = headers
        self.status = KINDS[kind].status

    def described(self) -> dict[str, Any]:
        """Return what is answered."""
        problem = Described(
            type=f"urn:ifan:{self.kind}",
            title=KINDS[self.kind].title,
            status=self.status,
            detail=self.detail,
            remedy=self.remedy,
        )
        return problem.model_dump()

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(
            self.described(), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def unexpected(place: str) -> Problem:
    """Log where something happened that nobody has thought of, and return what is said of it."""
    _LOG.error("unexpected: %s", place)
    return Problem("failed", "something unexpected happened", "tell who runs it")
