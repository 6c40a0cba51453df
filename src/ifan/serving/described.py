"""What the OpenAPI document says beyond what FastAPI sees in the code."""

from __future__ import annotations

from typing import Any, get_args

from ifan import __version__
from ifan.serving.orders import VIEWS, State
from ifan.serving.parameters import Parameters
from ifan.serving.problems import KINDS, MEDIA_TYPE, Described

PICTURE_TYPES = ("image/jpeg", "image/png", "image/tiff", "image/webp", "image/avif")

ABOUT = """\
Turns out-of-focus photographs into sharp ones.

Problems are answered as `application/problem+json` (RFC 9457), with the reason and a remedy.
"""

_VIEWS = {
    "image": "The photograph.",
    "left": "Left dual-pixel view, for a dual-pixel model.",
    "right": "Right dual-pixel view, for a dual-pixel model.",
}

_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}


def document() -> dict[str, Any]:
    """Return what is said of the whole API."""
    return {"title": "ifan", "version": __version__, "description": ABOUT}


def problems(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return the answers that are problems of some kinds."""
    answers: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status, title = KINDS[kind]
        described = answers.get(status, {}).get("description")
        answers[status] = {
            "description": f"{described}; or: {title}" if described else title,
            "content": {MEDIA_TYPE: {"schema": Described.model_json_schema()}},
        }
    return answers


def picture(description: str) -> dict[int | str, dict[str, Any]]:
    """Return the answer that is a picture."""
    content = {media_type: {"schema": _BINARY} for media_type in PICTURE_TYPES}
    return {200: {"description": description, "content": content}}


def events() -> dict[int | str, dict[str, Any]]:
    """Return the answer that is server-sent events."""
    event = {
        "type": "object",
        "properties": {
            "event": {"enum": list(get_args(State))},
            "data": {"type": "string", "contentMediaType": "application/json"},
        },
    }
    content = {"text/event-stream": {"schema": event}}
    return {200: {"description": "The job at each change, as GET describes it", "content": content}}


def request_body(parameters: type[Parameters]) -> dict[str, Any]:
    """Return the bodies that a request may have: a form, or a picture itself."""
    fields = parameters.model_json_schema()["properties"]
    for about in fields.values():
        if about.get("default", ...) is None:
            del about["default"]
    views = {view: {**_BINARY, "description": _VIEWS[view]} for view in VIEWS}
    form = {
        "type": "object",
        "properties": {**views, **fields},
        "required": ["image"],
        "additionalProperties": False,
    }
    # Raw bytes have no schema.
    content = {"multipart/form-data": {"schema": form}, "image/*": {}}
    return {"requestBody": {"required": True, "content": content}}
