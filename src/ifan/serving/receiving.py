"""Requests with pictures: taken in piece by piece, never more than is allowed, never too slowly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from ifan.serving.frames import CHUNK
from ifan.serving.orders import VIEWS, Order, Spool, Task
from ifan.serving.parameters import Parameters
from ifan.serving.problems import Problem
from ifan.serving.settings import Settings

_LONGEST_FIELD = 1000
_MOST_FIELDS = 20

_HOW = "send multipart/form-data with a file `image`, or the picture itself as image/*"


async def receive_order(
    request: Request, task: Task, parameters: Parameters, settings: Settings
) -> Order:
    """Take in a photograph, its views, and what is to be done.

    Args:
        request: multipart, with files as in `VIEWS`; or the photograph itself.
        task: what is to be done.
        parameters: of the query; fields of a form come before them.
        settings: of the server.

    Raises:
        Problem: it is too large, too slow, or not what it should be.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem("not-a-picture", "the request is compressed", "send it as it is")
    body = _body(request, settings)
    if media_type == "multipart/form-data":
        return await _of_form(request, body, task, parameters)
    if media_type.startswith("image/") or media_type in ("", "application/octet-stream"):
        return Order(task, {"image": _something(await _spooled(body))}, parameters)
    raise Problem("not-a-picture", f"requests of {media_type[:100]} are not taken", _HOW)


def _with_fields(parameters: Parameters, fields: Mapping[str, str]) -> Parameters:
    given = parameters.model_dump(exclude_unset=True)
    try:
        return type(parameters).model_validate({**given, **fields})
    except ValidationError as error:
        raise bad_parameter(error.errors()[0]) from None


def bad_parameter(error: Mapping[str, object]) -> Problem:
    """Say in words what pydantic says of a parameter."""
    place = error["loc"]
    # Behind the parameter's name stands which of the things that it may be was tried.
    names = [part for part in place if part != "query"] if isinstance(place, tuple) else []
    name = str(names[0]) if names else "parameters"
    detail = f"{name[:100]}: {str(error['msg']).removeprefix('Value error, ')[:200].lower()}"
    return Problem("bad-parameter", detail, "see GET /openapi.json for what it may be")


async def _of_form(
    request: Request,
    body: AsyncGenerator[bytes, None],
    task: Task,
    parameters: Parameters,
) -> Order:
    parser = MultiPartParser(
        request.headers,
        body,
        max_files=len(VIEWS),
        max_fields=_MOST_FIELDS,
        max_part_size=_LONGEST_FIELD,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem("bad-request", f"the form is damaged: {error.message}", _HOW) from error
    try:
        values = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        if values.keys() & set(VIEWS):
            remedy = "with curl: -F image=@photo.jpg"
            raise Problem("bad-parameter", "a picture is given as text, not as a file", remedy)
        parameters = _with_fields(parameters, values)
        files = {name: file for name, file in form.multi_items() if isinstance(file, UploadFile)}
        strangers = files.keys() - set(VIEWS)
        if "image" not in files or strangers or len(files) < parser._current_files:
            detail = "the files of the form are not one `image`, and perhaps `left` and `right`"
            raise Problem("bad-parameter", detail, _HOW)
        views = {name: _something(await _copied(file)) for name, file in files.items()}
        return Order(task, views, parameters, files["image"].filename or "")
    finally:
        await form.close()


def _something(spool: Spool) -> Spool:
    if not spool.size:
        raise Problem("not-a-picture", "the picture is empty", _HOW)
    return spool


async def _copied(file: UploadFile) -> Spool:
    spool = Spool()
    while piece := await file.read(CHUNK):
        spool.write(piece)
    return spool


async def _spooled(body: AsyncGenerator[bytes, None]) -> Spool:
    spool = Spool()
    try:
        async for piece in body:
            spool.write(piece)
    except BaseException:
        spool.let_go()
        raise
    return spool


async def _body(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
    """Yield the body of a request as it comes.

    Raises:
        Problem: it is too large, or comes too slowly.
    """
    most = settings.max_upload_bytes
    announced = request.headers.get("content-length", "")
    received = int(announced) if announced.isdecimal() else 0
    if received > most:
        raise _too_large(most)
    received = 0
    pieces = request.stream()
    clock = asyncio.get_running_loop().time
    deadline = clock() + settings.transfer_seconds
    while True:
        seconds = min(settings.idle_seconds, max(0.0, deadline - clock()))
        try:
            async with asyncio.timeout(seconds):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            remedy = "send it faster, or a smaller picture"
            late = {"Connection": "close"}  # nobody waits for the rest
            raise Problem("too-slow", "it did not come in time", remedy, late) from None
        except ClientDisconnect:
            raise Problem("bad-request", "the client went away", "stay") from None
        received += len(piece)
        if received > most:
            raise _too_large(most)
        yield piece


def _too_large(most: int) -> Problem:
    return Problem("too-large", f"more than {most} bytes are not taken", "send a smaller picture")
