"""What is refused, and that the server stands afterwards."""

import asyncio
import itertools
import socket
import struct
import time
import zlib
from contextlib import ExitStack, suppress

import httpx
import numpy as np
import psutil
import pytest
from servers import encoded, events_of, large_picture, opened, picture, with_settings

from corpus import corpus
from damage import damaged
from ifan.engines.memory import REMEDY as MEMORY_REMEDY
from ifan.errors import EngineError
from ifan.serving.front import Front
from ifan.serving.metrics import Metrics
from ifan.serving.settings import Settings
from ifan.serving.worker import refusal_of
from ifan.worklist.faults import told

TEXT = b"This is no picture at all, but a text. " * 10


def assert_problem(answer, status, kind=None):
    """The answer is a problem as RFC 9457 has them."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "remedy"} <= problem.keys()
    assert "--" not in problem["remedy"], "this is no command line"
    if kind is not None:
        assert problem["type"] == f"urn:ifan:{kind}"
    return problem


@pytest.mark.parametrize(
    "remedy",
    [
        told(MemoryError(), "image").remedy,
        MEMORY_REMEDY,
        "close other programs",
        "give more --memory",
    ],
)
def test_who_asks_is_not_told_to_close_programs_or_give_options(remedy):
    refusal = refusal_of(EngineError("image", "memory ran out", remedy))
    assert refusal["kind"] == "too-large"
    assert refusal["remedy"].startswith("send a smaller one")
    assert "programs" not in refusal["remedy"]
    assert "--" not in refusal["remedy"]


def assert_stands(client):
    answer = client.post("/v1/deblur", files={"image": encoded(picture())})
    assert opened(answer.content).size == (64, 48)


@pytest.mark.parametrize(
    ("request_", "status", "kind"),
    [
        ({"files": {"image": ("a.jpg", TEXT)}}, 415, "not-a-picture"),
        ({"files": {"image": ("a.jpg", b"")}}, 415, "not-a-picture"),
        ({"content": TEXT, "headers": {"Content-Type": "image/png"}}, 415, "not-a-picture"),
        ({"json": {"image": "a.jpg"}}, 415, "not-a-picture"),
        ({"data": {"image": "a.jpg"}}, 415, "not-a-picture"),
        ({"content": b"x", "headers": {"Content-Encoding": "gzip"}}, 415, "not-a-picture"),
        ({"files": {"photo": TEXT}}, 422, "bad-parameter"),
        ({"files": {"left": TEXT}}, 422, "bad-parameter"),
        ({"files": [("image", TEXT), ("image", TEXT)]}, 422, "bad-parameter"),
        ({"files": [("image", TEXT)] * 5}, 400, "bad-request"),
        ({"files": {"image": TEXT}, "data": {"strength": "2"}}, 422, "bad-parameter"),
        ({"files": {"image": TEXT}, "data": {"strength": "nan"}}, 422, "bad-parameter"),
        ({"files": {"image": TEXT}, "data": {"colour": "red"}}, 422, "bad-parameter"),
        ({"files": {"image": TEXT}, "data": {"model": "/etc/passwd"}}, 422, "bad-parameter"),
        ({"files": {"image": TEXT}, "data": {"working_size": "0"}}, 422, "bad-parameter"),
        ({"files": {"image": TEXT}, "params": {"format": "gif"}}, 422, "bad-parameter"),
        ({"files": {"image": TEXT}, "data": {"format": "x" * 2000}}, 400, "bad-request"),
        (
            {"content": b"--", "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "bad-request",
        ),
        (
            {"content": b"x" * 99, "headers": {"Content-Type": "multipart/form-data; boundary=a"}},
            400,
            "bad-request",
        ),
    ],
)
def test_what_is_no_picture_or_asks_for_what_there_is_not(client, request_, status, kind):
    assert_problem(client.post("/v1/deblur", **request_), status, kind)


def test_a_picture_given_as_text_is_explained(client):
    files = {"image": (None, "a.jpg")}
    assert "-F image=@" in assert_problem(client.post("/v1/deblur", files=files), 422)["remedy"]


def test_transparency_is_not_written_where_it_would_be_lost(client):
    translucent = encoded(picture()[..., [0, 1, 2, 0]])
    answer = client.post("/v1/deblur?format=jpeg", files={"image": translucent})
    problem = assert_problem(answer, 422, "bad-result")
    assert problem["remedy"] == "write a .png or .tif (format=png)"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/serving/app.py", 404),
        ("GET", "/v1/jobs/%2e%2e%2fx", 404),
        ("GET", "/v1/jobs/nobody", 404),
    ],
)
def test_paths_that_there_are_not(client, method, path, status):
    assert_problem(client.request(method, path), status)


@pytest.mark.parametrize(
    ("method", "path", "there_are"),
    [
        ("GET", "/v1/deblur", "POST"),
        ("PUT", "/healthz", "GET"),
        ("DELETE", "/", "GET"),
        ("PUT", "/v1/jobs/nobody", "DELETE, GET"),
    ],
)
def test_methods_that_there_are_not(client, method, path, there_are):
    answer = client.request(method, path)
    assert_problem(answer, 405)
    assert answer.headers["allow"] == there_are


@pytest.mark.parametrize("name", ["quality", "page", "format", "model", "working_size", "passes"])
def test_a_wrong_parameter_is_named(client, name):
    for given in ({"params": {name: "@"}}, {"data": {name: "@"}}):
        answer = client.post("/v1/deblur", files={"image": encoded(picture())}, **given)
        assert assert_problem(answer, 422)["detail"].startswith(f"{name}: ")


def test_names_of_hosts_have_no_capitals(server):
    with server.client(headers={"Host": "LocalHost"}) as client:
        assert client.get("/healthz").status_code == 200


def test_accidents_are_logged_and_answered(caplog):
    async def accident(scope, receive, send):
        raise RuntimeError("with secret.jpg")

    async def ask():
        front = httpx.ASGITransport(Front(accident, Settings(), Metrics()))
        async with httpx.AsyncClient(transport=front, base_url="http://localhost") as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    problem = assert_problem(answer, 500, "failed")
    assert problem["remedy"] == "tell who runs it"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "unexpected: RuntimeError at front.py:" in caplog.text
    assert "secret" not in caplog.text


def test_methods_that_are_made_up_are_not_remembered(client):
    for number in range(3):
        client.request(f"MADEUP{number}", "/healthz")
    assert "MADEUP" not in client.get("/metrics").text


def test_views_that_the_model_does_not_take_are_refused_for_maps_too(client):
    views = {name: encoded(picture()) for name in ("image", "left", "right")}
    for task in ("deblur", "defocus-map"):
        answer = client.post(f"/v1/{task}", files=views)
        assert_problem(answer, 422, "bad-picture")
        assert "the model takes one view" in answer.text


def test_broken_pictures_are_refused_and_the_server_stands(server, client):
    files = corpus()
    broken = [damaged(files, 9, number) for number in range(25)]
    worker = server.worker()
    statuses = set()
    for name, data in itertools.chain(files.items(), broken):
        if len(data) > 20_000 or (name in files and name.startswith("png/") and "-" not in name):
            continue  # PngSuite has tests of its own
        answer = client.post("/v1/deblur?strength=0&page=1", files={"image": data})
        statuses.add(answer.status_code)
        if answer.status_code != 200:
            assert answer.status_code in (415, 422), (name, answer.text)
            assert_problem(answer, answer.status_code)
    assert statuses >= {200, 415, 422}
    assert_stands(client)
    assert worker.is_running(), "decoders that crash belong into tests/fuzz.py"


def bomb():
    """A PNG of a terapixel."""
    header = struct.pack(">IIBBBBB", 1_000_000, 1_000_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        data += struct.pack(">I", len(body)) + name + body
        data += struct.pack(">I", zlib.crc32(name + body))
    return data


def test_pictures_that_grow_are_refused_before_they_do(guest, strict):
    for data in (bomb(), large_picture(510_000)):
        problem = assert_problem(guest.post("/v1/deblur", files={"image": data}), 422)
        assert "more than 500000 are not read" in problem["detail"]
        assert problem["remedy"] == "send a smaller one"
    assert strict.worker().memory_info().rss < 1_000_000_000


def test_uploads_that_are_too_large_are_refused_whether_they_say_so_or_not(guest):
    large = bytes(1_600_000)
    headers = {"Content-Type": "image/png"}
    assert_problem(guest.post("/v1/deblur", content=large, headers=headers), 413, "too-large")
    pieces = (bytes(40_000) for _ in range(40))
    assert_problem(guest.post("/v1/deblur", content=pieces, headers=headers), 413, "too-large")
    assert_problem(guest.post("/v1/deblur", files={"image": large}), 413, "too-large")
    assert_stands(guest)


def raw(server, *pieces, pause=0.0):
    """Send pieces over a bare connection; return what comes back until it is closed."""
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port), timeout=30) as connection:
        # Who is refused may find the connection closed or reset; the answer came before.
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        answer = b""
        with suppress(ConnectionResetError):
            while more := connection.recv(65536):
                answer += more
    return answer


HEAD = (
    b"POST /v1/deblur HTTP/1.1\r\nHost: localhost\r\nX-API-Key: a key\r\nConnection: close\r\n"
    b"Content-Type: image/png\r\nContent-Length: 1000\r\n"
)


def test_uploads_that_are_too_slow_are_refused(strict, guest):
    stalled = raw(strict, HEAD + b"\r\n" + bytes(10))
    assert stalled.startswith(b"HTTP/1.1 408 ")
    trickle = [bytes(1)] * 12
    assert raw(strict, HEAD + b"\r\n", *trickle, pause=0.3).startswith(b"HTTP/1.1 408 ")
    assert_stands(guest)


@pytest.mark.parametrize("limits", [{"idle_seconds": 2}, {"transfer_seconds": 2}])
def test_who_does_not_take_an_answer_is_hung_up_on(limits):
    with with_settings(**limits) as server, server.client() as client, ExitStack() as stack:
        result = large_result(client)
        for paths in ([result], ["/page/examples/drum.jpg"] * 20):
            connection = stack.enter_context(asking(server, *paths))
            while is_held(server, connection):
                time.sleep(0.05)
        assert client.get(result).status_code == 200
        assert "unexpected" not in server.log()
        assert "ASGI" not in server.log()


def test_who_takes_an_answer_slowly_gets_all_of_it():
    with with_settings(idle_seconds=2) as server, server.client() as client:
        result = large_result(client)
        whole, answer = client.get(result).content, b""
        with asking(server, result) as connection:
            while not answer.endswith(whole):
                more = connection.recv(500_000, socket.MSG_WAITALL)
                assert more, "it was hung up on"
                answer += more
                time.sleep(0.3)


def large_result(client):
    """Where a result lies of which not all is on its way at once."""
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    files = {"image": encoded(noise, compress_level=0)}
    job = client.post("/v1/jobs?strength=0", files=files).headers["location"]
    while client.get(job).json()["state"] != "done":
        time.sleep(0.05)
    return f"{job}/result"


def asking(server, *paths):
    """A connection by which an answer to each path has begun to come, of which no more is taken."""
    address = httpx.URL(server.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((address.host, address.port))
    heads = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" for path in paths]
    connection.sendall("".join(heads).encode())
    assert connection.recv(1) == b"H"
    return connection


def is_held(server, connection):
    """Whether the server has not hung up; what it sent before may still be on its way."""
    there = psutil.Process(server.process.pid).net_connections("tcp")
    return connection.getsockname() in [other.raddr for other in there]


def test_who_asks_whether_to_send_hears_no_before(strict):
    head = HEAD.replace(b"1000", b"999999999") + b"Expect: 100-continue\r\n\r\n"
    answer = raw(strict, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "another key"},
        {"X-API-Key": "a key "[:-1] + "s"},
        {"X-API-Key": ""},
        {"Authorization": "Bearer nobody"},
        {"Authorization": "Basic a key"},
    ],
)
def test_nothing_is_open_without_a_key_but_health_and_the_page(strict, headers):
    with strict.client(headers=headers) as client:
        for method, path in (
            *(("POST", "/v1/deblur"), ("POST", "/v1/defocus-map"), ("POST", "/v1/jobs")),
            *(("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/v1/jobs/x")),
        ):
            answer = client.request(method, path)
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert {client.get(path).status_code for path in ("/healthz", "/readyz", "/")} == {200}


def test_a_key_opens_by_either_header(strict):
    for headers in (
        {"X-API-Key": "a key"},
        {"Authorization": "Bearer a key"},
        {"authorization": "bearer a key"},
    ):
        with strict.client(headers=headers) as client:
            assert client.get("/v1/models").status_code == 200


def test_pages_of_other_sites_get_nothing(server, client):
    for headers in (
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Host": "rebound.example.org"},
    ):
        assert_problem(client.get("/v1/models", headers=headers), 403, "forbidden")
    own = {"Origin": server.url.rstrip("/")}
    answer = client.get("/v1/models", headers=own)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_worker_that_dies_is_replaced_and_its_picture_is_answered_for(server, client):
    server.worker().kill()  # while nothing is done
    assert client.get("/readyz").status_code == 200  # so that work comes, which starts another
    assert_stands(client)
    job = client.post("/v1/jobs?strength=0", files={"image": large_picture()}).json()["id"]
    with client.stream("GET", f"/v1/jobs/{job}/events") as events:
        for event in events_of(events):
            if event["state"] == "reading":
                server.worker().kill()
    assert event["state"] == "failed"
    assert event["problem"]["status"] == 422
    assert event["problem"]["detail"] == "image: its decoder crashed"
    assert_stands(client)


def test_work_that_takes_too_long_is_ended(strict, guest):
    strict.worker().suspend()
    answer = guest.post("/v1/deblur", files={"image": encoded(picture())})
    assert assert_problem(answer, 504)["detail"] == "image: takes more than 6 s"
    assert_stands(guest)


def test_a_client_that_goes_away_is_worked_for_no_longer(server, client):
    worker = server.worker()
    worker.suspend()
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/deblur", files={"image": encoded(picture())}, timeout=0.3)
    assert_stands(client)
    assert not worker.is_running()
    assert "ifan_places_taken 0.0" in client.get("/metrics").text
