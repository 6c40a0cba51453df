"""More requests than the server can take, and what is left of them."""

import collections
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from servers import encoded, opened, picture


def test_under_load_nothing_is_lost_and_what_is_too_much_is_put_off(guest):
    photo = encoded(picture(), "JPEG")
    health, stop = [], threading.Event()

    def ask_for_health():
        while not stop.wait(0.02):
            health.append(guest.get("/healthz").status_code)

    asking = threading.Thread(target=ask_for_health)
    asking.start()
    with ThreadPoolExecutor(16) as pool:
        deblur = "/v1/deblur"
        answers = list(pool.map(lambda _: guest.post(deblur, files={"image": photo}), range(32)))
    stop.set()
    asking.join()
    statuses = collections.Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 429}
    assert statuses.total() == 32
    for answer in answers:
        if answer.status_code == 200:
            assert opened(answer.content).size == (64, 48)
        else:
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert answer.json()["type"] == "urn:ifan:busy"
    assert set(health) == {200}
    assert guest.post(deblur, files={"image": photo}).status_code == 200


def test_temporary_files_have_no_names_so_that_a_killed_server_leaves_none(strict, guest):
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    large = encoded(noise, "TIFF")
    assert len(large) > 1 << 20, "as much is kept in memory"
    strict.worker().suspend()
    job = guest.post("/v1/jobs?strength=0", files={"image": large}).headers["location"]
    assert guest.get(job).json()["state"] == "queued"
    assert list(strict.folder.iterdir()) == []
    strict.worker().resume()
    while guest.get(job).json()["state"] != "done":
        time.sleep(0.02)
    assert int(guest.get(f"{job}/result").headers["content-length"]) > 1_000_000
    assert list(strict.folder.iterdir()) == []
    guest.delete(job)
