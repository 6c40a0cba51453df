"""What every request meets first: whose it is, what is noted of it, and headers for its answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ifan.errors import place_of
from ifan.serving.metrics import Metrics
from ifan.serving.problems import Problem, unexpected
from ifan.serving.settings import Settings

_LOG = logging.getLogger("ifan.serving")

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_DRAIN_SECONDS = 10.0

ANYBODY = "anybody"


def owner_of(request: Request, settings: Settings) -> str:
    """Return what identifies who asks.

    Raises:
        Problem: a key is needed, and is not given, or is none of those that there are.
    """
    if not settings.api_keys:
        return ANYBODY
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    bearer = credentials if scheme.lower() == "bearer" else ""
    given = request.headers.get("x-api-key") or bearer
    # All are compared, whole, so that the time says nothing of any of them.
    fits = [hmac.compare_digest(_digest(given), _digest(key)) for key in settings.api_keys]
    if not (given and any(fits)):
        detail = "the API key is not one of this server's" if given else "there is no API key"
        remedy = "send it as `X-API-Key: KEY` or as `Authorization: Bearer KEY`"
        raise Problem("unauthorized", detail, remedy, {"WWW-Authenticate": "Bearer"})
    return _digest(given).hex()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class Front:
    """Stands between the network and the application.

    Args:
        app: the application.
        settings: of the server.
        metrics: where counts go.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        exchange = _Exchange(scope, receive, send)
        try:
            _require_own(Headers(scope=scope), self._settings)
            await self._app(scope, exchange.receive, exchange.send)
        except Problem as problem:
            await problem.response()(scope, exchange.receive, exchange.send)
        except Exception as error:  # what nobody has thought of
            said = unexpected(place_of(error))
            if exchange.status == 0:
                await said.response()(scope, exchange.receive, exchange.send)
        finally:
            self._note(scope, exchange.status, time.perf_counter() - begin)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request, and log it: its route, not its path, which may name things."""
        route = getattr(scope.get("route"), "path", "other")
        # Of what no route knows a client could make up any number, to be counted for ever.
        is_known = route != "other" and status != HTTPStatus.METHOD_NOT_ALLOWED
        method = scope["method"] if is_known else "any"
        self._metrics.requests.labels(method, route, status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        _LOG.info("%s %s %s %.0f ms", method, route, status or "gone", seconds * 1000)


def _require_own(headers: Headers, settings: Settings) -> None:
    """Refuse what pages of other sites have a browser send here.

    Where there are no keys, such a page could else use the server of whoever looks at it, under
    this server's address or, by a name of its own that leads here, even read the answers.
    """
    host = headers.get("host", "")
    if settings.allowed_hosts and _without_port(host).lower() not in settings.allowed_hosts:
        remedy = "call it localhost; who runs it can open it to others by an API key"
        raise Problem("forbidden", "the server does not answer to this name", remedy)
    origin = headers.get("origin")
    own = {f"{scheme}://{host}" for scheme in ("http", "https")}
    if origin is not None and origin not in own | set(settings.allowed_origins):
        remedy = (
            "ask who runs the server to allow that site, or its proxy to pass on the Host header"
        )
        raise Problem("forbidden", "the request comes from a page of another site", remedy)


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host


class _Exchange:
    """A request and its answer.

    A refusal may come before the request is wholly there. What is still on its way is taken and
    dropped first: a connection that is closed in its middle would take the refusal with it.

    Attributes:
        status: of the answer; 0 while there is none.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._is_asked_to_wait = b"expect" in _names(scope["headers"])
        self._is_received = False
        self.status = 0

    async def receive(self) -> Message:
        self._is_asked_to_wait = False
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._is_received = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if Headers(scope=message).get("connection") != "close":
                await self._drain()
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def _drain(self) -> None:
        if self._is_asked_to_wait:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._is_received:
                    await self.receive()


def _names(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    return {name for name, _ in headers}
