"""Real servers on real ports, in processes of their own."""

import io
import json
import os
import queue
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "out-of-focus.jpg"

KEYS = ("a key", "another one")

_PROGRAM = """
import json, logging, sys
from ifan.serving.running import listen, serve
from ifan.serving.settings import Settings
logging.basicConfig(level=logging.INFO, format="%(message)s")
listening = listen("127.0.0.1", 0)
serve(Settings(**json.loads(sys.argv[1])), listening,
      lambda: print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True))
"""


class Server:
    """A server in a process of its own.

    Attributes:
        url: where it is.
        process: that speaks HTTP.
    """

    def __init__(self, command, **variables):
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        )
        self._lines = queue.Queue()
        self._logged = []
        for stream, take in (
            (self.process.stdout, self._lines.put),
            (self.process.stderr, self._logged.append),
        ):
            threading.Thread(target=self._follow, args=(stream, take), daemon=True).start()
        self.said = self._lines.get(timeout=60)
        assert self.said is not None, self.log()
        self.url = next(word for word in self.said.split() if word.startswith("http"))

    def _follow(self, stream, take):
        with closing(stream):
            for line in stream:
                take(line)
        if take == self._lines.put:
            take(None)

    def log(self):
        return "".join(self._logged)

    def client(self, **options):
        return httpx.Client(base_url=self.url, timeout=120, **options)

    def worker(self):
        """The process that has the network."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    def stop(self, number=signal.SIGTERM):
        """Stop it by a signal, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def started(command, **variables):
    server = Server(command, **variables)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def with_settings(folder=None, **settings):
    """A server with limits that the command line does not offer; `folder` is for its files."""
    variables = {} if folder is None else {"TMPDIR": str(folder)}
    return started([sys.executable, "-c", _PROGRAM, json.dumps(settings)], **variables)


class _Cutting(socketserver.BaseRequestHandler):
    """A connection that breaks in the middle of the answer to what is to be cut."""

    def handle(self):
        is_cut = threading.Event()
        with socket.create_connection(self.server.behind) as behind:
            back = threading.Thread(target=self._answer, args=(behind, is_cut))
            back.start()
            while data := self.request.recv(1 << 16):
                cuts = self.server.cuts
                if cuts and cuts[0] in data:
                    cuts.pop(0)
                    is_cut.set()
                behind.sendall(data)
            behind.shutdown(socket.SHUT_WR)
            back.join()

    def _answer(self, behind, is_cut):
        held = b""
        while data := behind.recv(1 << 16):
            held += data
            if not is_cut.is_set():
                self.request.sendall(held)
                held = b""
            elif held.partition(b"\r\n\r\n")[2]:
                self.request.sendall(held[:-1])
                break
        with suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting(server, cuts):
    """The address of a proxy that breaks off answers to requests that hold these bytes, in turn.

    Whoever waits may see by `cuts`, which becomes empty, that all were.
    """
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Cutting) as proxy:
        proxy.daemon_threads, proxy.block_on_close = True, False
        address = httpx.URL(server.url)
        proxy.behind, proxy.cuts = (address.host, address.port), cuts
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}/"
        proxy.shutdown()


def picture(width=64, height=48, seed=1):
    """A picture with some detail: HxWx3 uint8."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(seed).integers(0, 40, (height, width))
    channels = [rows * 3 + noise, columns * 2 + noise, 200 - rows + noise]
    return np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


def encoded(array, format="PNG", **options):  # noqa: A002, as Pillow calls it
    file = io.BytesIO()
    Image.fromarray(array).save(file, format=format, **options)
    return file.getvalue()


def large_picture(pixels=50_000_000):
    """A picture that takes more than a second to read, in a small file."""
    side = int(pixels**0.5)
    return encoded(np.zeros((side, side), np.uint8), compress_level=1)


def opened(data):
    return Image.open(io.BytesIO(data))


def events_of(response):
    """The data of server-sent events, as they come."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
