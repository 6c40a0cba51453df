"""Answers that are pictures, and answers that go on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ifan.serving.jobs import Job
from ifan.serving.orders import Result


class PictureResponse(Response):
    """The file of a result, sent piece by piece.

    Args:
        result: the result.
        is_last: whether it is let go of afterwards.
    """

    def __init__(self, result: Result, *, is_last: bool) -> None:
        timings = (f"{name};dur={1000 * took:.0f}" for name, took in result.seconds.items())
        headers = {
            "Content-Length": str(result.data.size),
            "Content-Disposition": _attached(result.name),
            "Server-Timing": ", ".join(timings),
        }
        super().__init__(media_type=result.media_type, headers=headers)
        self._result = result
        self._is_last = is_last

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            await send(start)
            with self._result.data.reading() as pieces:
                for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            if self._is_last:
                self._result.data.let_go()


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


def _attached(name: str) -> str:
    """Return the header that has a browser save a file under a name, whatever it holds."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    coded = quote(name, safe="", encoding="utf-8", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{coded}"


async def events_of(job: Job) -> AsyncIterator[str]:
    """Yield how a job is going, as server-sent events."""
    async for description in job.watch():
        if description is None:
            yield ": still here\n\n"
        else:
            yield f"event: {description.state}\ndata: {description.model_dump_json()}\n\n"
