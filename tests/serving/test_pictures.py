"""A picture goes in, a picture comes out."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from servers import encoded, opened, picture

from ifan import Deblurrer

MAKE, ORIENTATION = 0x010F, 0x0112
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def deblurrer():
    return Deblurrer()


@pytest.fixture(scope="module")
def photo():
    return encoded(picture(), "JPEG", quality=90)


def as_command_line(deblurrer, photo, folder, name, **options):
    (folder / "photo.jpg").write_bytes(photo)
    return deblurrer.deblur_file(folder / "photo.jpg", folder / name, **options).read_bytes()


@pytest.mark.parametrize("name", ["sharp.jpg", "sharp.png", "sharp.avif"])
def test_the_answer_is_what_the_command_line_writes(client, deblurrer, photo, tmp_path, name):
    expected = as_command_line(deblurrer, photo, tmp_path, name, strength=0.5)
    fields = {"strength": "0.5", "format": name.split(".")[1].replace("jpg", "jpeg")}
    answer = client.post("/v1/deblur", files={"image": ("photo.jpg", photo)}, data=fields)
    assert answer.status_code == 200
    assert answer.content == expected
    assert answer.headers["content-type"] == f"image/{fields['format']}"
    assert int(answer.headers["content-length"]) == len(expected)


def test_a_picture_may_be_the_body_and_parameters_be_in_the_address(client, photo):
    form = client.post("/v1/deblur", files={"image": photo}, data={"strength": "0.25"})
    headers = {"Content-Type": "image/jpeg"}
    body = client.post("/v1/deblur?strength=0.25", content=photo, headers=headers)
    assert body.content == form.content
    assert client.post("/v1/deblur", content=photo, headers=headers).content != body.content


def test_metadata_come_back(client):
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "Canon", 6
    photo = encoded(picture(), "JPEG", exif=exif, icc_profile=SRGB)
    sharp = opened(client.post("/v1/deblur", files={"image": photo}).content)
    assert sharp.getexif()[MAKE] == "Canon"
    assert sharp.info["icc_profile"] == SRGB
    assert sharp.size == (48, 64), "it is upright now"


def test_quality_tells_how_large_a_file_is(client, photo):
    def size(**fields):
        return len(client.post("/v1/deblur", files={"image": photo}, data=fields).content)

    for format_name in ("jpeg", "webp", "avif"):
        assert size(format=format_name, quality="30") < size(format=format_name)
    lossless = encoded(picture(), "WEBP", lossless=True)
    whole = client.post("/v1/deblur", files={"image": lossless}).content
    small = client.post("/v1/deblur?quality=50", files={"image": lossless}).content
    assert len(small) < len(whole) / 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("photo.jpg", "photo.deblurred.jpg"),
        ("IMG_1.JPEG", "IMG_1.deblurred.JPEG"),
        ("../../etc/passwd.jpg", "passwd.deblurred.jpg"),
        ("C:\\photos\\a.jpg", "a.deblurred.jpg"),
        ('Zoë "3"; x=1\r\nSet-Cookie: a.jpg', None),
        ("...", "photo.deblurred.jpg"),
    ],
)
def test_a_result_is_called_as_its_photograph_and_nothing_else(client, photo, given, expected):
    answer = client.post("/v1/deblur?strength=0", files={"image": (given, photo)})
    assert "set-cookie" not in answer.headers
    disposition = answer.headers["content-disposition"]
    if expected is None:
        assert disposition.count('"') == 2
        expected = "Zo%C3%AB%20"
    assert disposition.startswith("attachment; ")
    assert f"filename*=UTF-8''{expected}" in disposition


@pytest.mark.parametrize("name", ["a.jpg", "transparent.png"])
def test_a_defocus_map_is_a_picture_or_numbers(client, deblurrer, photo, tmp_path, name):
    if name == "transparent.png":
        photo = encoded(np.dstack([picture() // 128 * 255, picture()[..., 0] // 64 * 64]))
    coloured = client.post("/v1/defocus-map", files={"image": (name, photo)})
    assert opened(coloured.content).size == (64, 48)
    assert f"{name[:-4]}.defocus.png" in coloured.headers["content-disposition"]
    answer = client.post("/v1/defocus-map?format=tiff", files={"image": photo})
    (tmp_path / name).write_bytes(photo)
    deblurrer.defocus_map_file(tmp_path / name, tmp_path / "map.tif")
    (tmp_path / "answer.tif").write_bytes(answer.content)
    expected = tifffile.imread(tmp_path / "map.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "answer.tif"), expected)


def test_passes_are_heard(client):
    photo = encoded(picture(200, 160))
    once, twice, again = (
        client.post("/v1/deblur", files={"image": photo}, data={"passes": passes}).content
        for passes in ("1", "2", "1")
    )
    assert once != twice
    assert once == again, "nothing of one request is left for the next"
    assert client.post("/v1/deblur?passes=2", files={"image": photo}).content == twice
    refusal = client.post("/v1/deblur?passes=3", files={"image": photo})
    assert refusal.status_code == 422
    assert refusal.json()["detail"] == "passes: passes can be 1, 2, 4, 8, not 3"


def test_working_size_and_page_are_heard(client):
    photo = encoded(picture(200, 160))
    whole, small = (
        client.post("/v1/deblur", files={"image": photo}, data={"working_size": size}).content
        for size in ("full", "64")
    )
    assert opened(whole).size == opened(small).size == (200, 160)
    assert whole != small
    again = client.post("/v1/deblur", files={"image": photo}).content
    assert again == whole, "nothing of one request is left for the next"
    refusal = client.post("/v1/deblur?page=2", files={"image": photo})
    assert refusal.status_code == 422
    assert refusal.json()["detail"] == "image: has 1 page, not 2"


def test_dual_pixel_views_are_taken_and_refused_by_a_model_of_one_view(client, photo):
    files = {"image": photo, "left": photo, "right": photo}
    refusal = client.post("/v1/deblur", files=files)
    assert refusal.status_code == 422
    assert "takes one view" in refusal.json()["detail"]


def test_another_model_takes_the_place_of_the_one_before(guest, photo):
    default, other = (model["name"] for model in guest.get("/v1/models").json()["models"])
    answers = [
        guest.post("/v1/deblur", files={"image": photo}, data=fields).content
        for fields in ({"model": other}, {"model": default}, {})
    ]
    assert answers[0] == answers[1] == answers[2]
    assert opened(answers[0]).size == (64, 48)


def test_one_can_ask_what_there_is(client):
    offer = client.get("/v1/models").json()
    assert offer["models"] == [{"name": "ifan-s", "is_default": True}]
    assert (offer["engine"], offer["dual_pixel"]) == ("openvino", False)
    assert offer["max_pixels"] == 100_000_000
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_prometheus_is_told_of_work_and_its_stages(client, photo):
    client.post("/v1/deblur", files={"image": photo})
    told = client.get("/metrics").text
    assert 'ifan_requests_total{method="POST",route="/v1/deblur",status="200"}' in told
    assert 'ifan_orders_total{outcome="done",task="deblur"}' in told
    assert 'ifan_stage_seconds_count{stage="deblurring"}' in told
    assert "ifan_worker_resident_bytes" in told


def test_logs_tell_neither_names_nor_content(server, client):
    exif = Image.Exif()
    exif[MAKE] = "a secret camera"
    photo = encoded(picture(), "JPEG", exif=exif)
    client.post("/v1/deblur?strength=0.125", files={"image": ("secret-name.jpg", photo)})
    client.post("/v1/deblur", files={"image": ("secret-name.jpg", photo[:-200])})
    client.get("/secret-path")
    log = server.log()
    assert "POST /v1/deblur 200" in log
    assert "secret" not in log
    assert "0.125" not in log
