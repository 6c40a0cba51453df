"""The page, in a real browser."""

from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from scipy import ndimage
from servers import KEYS, cutting, encoded, picture

from ifan import Deblurrer

DESKTOP = {"width": 1100, "height": 760}
PHONE = {"width": 390, "height": 844}
MAKE = 0x010F


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with photographs, one that browsers do not show, and a text."""
    folder = tmp_path_factory.mktemp("photos")
    exif = Image.Exif()
    exif[MAKE] = "Canon"
    (folder / "photo.jpg").write_bytes(encoded(picture(240, 160), "JPEG", exif=exif))
    (folder / "tall.jpg").write_bytes(encoded(picture(600, 900), "JPEG"))
    Image.fromarray(picture(64, 48)[..., 0].astype("uint16") * 257).save(folder / "deep.tif")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def visit(browser):
    """Opens the page; fails if it makes a fault, or asks another host for anything."""
    contexts, faults, hosts = [], [], set()

    def opened(server, address=None, **options):
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.goto(address or server.url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
    assert hosts <= {"127.0.0.1", None}


def finished(page, number=1):
    """Wait until so many photographs are sharp."""
    page.locator("#strip .mark", has_text="✓").nth(number - 1).wait_for()


def downloaded(page, folder):
    with page.expect_download() as download:
        page.click("#download")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def assert_accessible(page):
    found = Axe().run(page).response["violations"]
    bad = [(fault["id"], fault["nodes"]) for fault in found if fault["impact"] in SERIOUS]
    assert bad == []


SERIOUS = ("serious", "critical")


def test_photographs_become_sharp_and_are_downloaded_as_they_were(visit, server, folder, tmp_path):
    page = visit(server)
    assert_accessible(page)
    files = [folder / name for name in ("photo.jpg", "notes.txt", "deep.tif")]
    page.set_input_files("#files", files)
    finished(page, 2)
    assert_accessible(page)
    with Image.open(downloaded(page, tmp_path)) as sharp:
        assert sharp.filename.endswith("photo.deblurred.jpg")
        assert (sharp.size, sharp.getexif()[MAKE]) == ((240, 160), "Canon")
    page.click("#strip li:nth-child(2) button")
    notice = page.locator("#notice-text").inner_text()
    assert notice.startswith("notes.txt: is not a picture; send JPEG, PNG")
    assert page.is_disabled("#download")
    page.click("#strip li:nth-child(3) button")
    assert page.locator("#before img").evaluate("image => image.naturalWidth") == 64
    with Image.open(downloaded(page, tmp_path)) as sharp:
        assert (sharp.format, sharp.mode) == ("TIFF", "I;16")


def test_blur_of_any_width_is_looked_for(visit, server, tmp_path):
    wide = ndimage.uniform_filter(picture(512, 384, seed=5), (31, 31, 1))
    (tmp_path / "wide.png").write_bytes(encoded(wide))
    page = visit(server)
    page.set_input_files("#files", tmp_path / "wide.png")
    finished(page)
    sharp = np.asarray(Image.open(downloaded(page, tmp_path)))
    assert np.abs(sharp - Deblurrer(working_size="blur")(wide).astype(float)).max() <= 1
    assert np.abs(sharp - Deblurrer()(wide).astype(float)).max() > 1


def shown(page, selector):
    return page.locator(selector).bounding_box()


def test_before_and_after_are_compared_by_mouse_and_by_keys(visit, server, folder):
    page = visit(server)
    page.set_input_files("#files", folder / "photo.jpg")
    finished(page)
    stage = shown(page, "#stage")
    middle = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] / 4, middle[1])
    page.mouse.up()
    divider = page.locator("#divider")
    assert divider.get_attribute("aria-valuenow") == "25"
    divider.focus()
    page.keyboard.press("End")
    assert divider.get_attribute("aria-valuenow") == "100"
    page.keyboard.press("ArrowLeft")
    assert divider.get_attribute("aria-valuenow") == "98"


def test_zoom_to_full_size_is_a_pixel_for_a_pixel_and_can_be_moved(visit, server, folder):
    page = visit(server, device_scale_factor=1.5)
    page.set_input_files("#files", folder / "tall.jpg")
    finished(page)
    size = page.locator("#after img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert size == [600, 900]
    fitting = shown(page, "#after img")
    assert fitting["height"] == pytest.approx(shown(page, "#stage")["height"], abs=1)
    page.click("#full")
    assert page.locator("#zoom").inner_text() == "100\u202f%"
    full = shown(page, "#after img")
    assert (full["width"], full["height"]) == (400, 600)
    assert full == shown(page, "#before img")
    page.locator("#stage").focus()
    page.keyboard.press("ArrowDown")
    assert shown(page, "#after img")["y"] == full["y"] - 60
    page.mouse.move(400, 300)
    page.mouse.down()
    page.mouse.move(400, 340)
    page.mouse.up()
    assert shown(page, "#after img")["y"] == full["y"] - 20
    page.keyboard.press("+")
    assert page.locator("#zoom").inner_text() == "125\u202f%"
    page.keyboard.press("0")
    assert shown(page, "#after img") == fitting


def test_in_a_pinch_what_is_under_a_finger_that_is_still_stays_there(visit, server, folder):
    page = visit(server, has_touch=True)
    page.set_input_files("#files", folder / "tall.jpg")
    page.locator("#full:enabled").wait_for()
    page.locator("#stage").focus()
    for key in "1+++++":
        page.keyboard.press(key)
    stage = shown(page, "#stage")
    still = stage["x"] + 300, stage["y"] + 200
    touch = page.context.new_cdp_session(page)

    def place_under_it():
        box = shown(page, "#before img")
        return [(still[0] - box["x"]) / box["width"], (still[1] - box["y"]) / box["height"]]

    def fingers(kind, *places):
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before, width = place_under_it(), shown(page, "#before img")["width"]
    fingers("touchStart", still)
    for step in range(11):
        kind = "touchMove" if step else "touchStart"
        fingers(kind, still, (still[0] + 100 + 5 * step, still[1] + 100 + 5 * step))
    fingers("touchEnd")
    assert shown(page, "#before img")["width"] == pytest.approx(1.5 * width, rel=0.01)
    assert place_under_it() == pytest.approx(before, abs=0.003)


def test_strength_is_seen_at_once_and_is_that_of_the_download(visit, server, folder, tmp_path):
    page = visit(server)
    page.set_input_files("#files", folder / "photo.jpg")
    finished(page)
    whole = downloaded(page, tmp_path).read_bytes()
    page.locator("#strength").focus()
    for _ in range(50):
        page.keyboard.press("ArrowLeft")
    assert page.locator("#after").evaluate("layer => layer.style.opacity") == "0.5"
    half = downloaded(page, tmp_path).read_bytes()
    with server.client() as client, (folder / "photo.jpg").open("rb") as photo:
        expected = client.post("/v1/deblur?strength=0.5", files={"image": photo})
    assert half == expected.content != whole


def test_the_defocus_map_is_shown_and_hidden(visit, server, folder):
    page = visit(server)
    page.set_input_files("#files", folder / "photo.jpg")
    finished(page)
    after = page.locator("#after img").get_attribute("src")
    page.click("#map")
    page.locator("#legend").wait_for()
    assert page.locator("#after img").get_attribute("src") != after
    assert page.get_attribute("#map", "aria-pressed") == "true"
    assert_accessible(page)
    page.click("#map")
    assert page.locator("#after img").get_attribute("src") == after


def test_all_fits_on_a_phone_in_the_dark(visit, server):
    page = visit(server, viewport=PHONE, device_scale_factor=2, has_touch=True, color_scheme="dark")
    assert_accessible(page)
    page.locator("[data-example]").first.tap()
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert_accessible(page)
    for name in ("#fit", "#full", "#map", "#download", "#strength", "#remove"):
        box = shown(page, name)
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        assert box["height"] >= 40
    page.locator("#remove").tap()
    page.locator("#drop").wait_for()


def test_all_is_reached_by_keys(visit, server, folder):
    page = visit(server)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    page.set_input_files("#files", folder / "photo.jpg")
    finished(page)
    reached = set()
    page.locator("#stage").focus()
    for _ in range(14):
        reached.add(page.evaluate("document.activeElement.id"))
        page.keyboard.press("Tab")
    names = {"stage", "divider", "fit", "full", "out", "in", "strength", "map", "remove"}
    assert reached >= names | {"download"}


def test_pictures_can_be_pasted_and_dropped(visit, server):
    page = visit(server)
    data = list(encoded(picture()))
    for kind, carrier in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        page.evaluate(
            """([data, kind, carrier]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(data)], `${kind}.png`));
                const options = { [carrier]: transfer, bubbles: true };
                const type = kind === "drop" ? DragEvent : ClipboardEvent;
                document.body.dispatchEvent(new type(kind, options));
            }""",
            [data, kind, carrier],
        )
    finished(page, 2)


def test_the_page_asks_for_the_key(visit, strict, folder):
    page = visit(strict)
    page.set_input_files("#files", folder / "photo.jpg")
    page.fill("#key", KEYS[0])
    assert_accessible(page)
    page.keyboard.press("Enter")
    finished(page)


@pytest.mark.parametrize(("name", "kind"), [("deep.tif", "TIFF"), ("photo.jpg", "JPEG")])
def test_a_map_that_failed_is_in_the_way_of_nothing(visit, server, folder, tmp_path, name, kind):
    page = visit(server)
    page.set_input_files("#files", folder / name)
    finished(page)
    page.route("**/v1/defocus-map", lambda route: route.abort())
    page.click("#map")
    notice = page.locator("#notice-text", has_text=f"{name}: The server cannot be reached")
    notice.wait_for()
    with Image.open(downloaded(page, tmp_path)) as sharp:
        assert sharp.format == kind
    assert page.locator("#notice").is_hidden()


def test_a_connection_that_breaks_is_taken_up_again(visit, server, folder, tmp_path):
    cuts = [b"/events", b"/events", b"/result"]
    with cutting(server, cuts) as address:
        page = visit(server, address)
        page.set_input_files("#files", folder / "photo.jpg")
        finished(page)
        assert cuts == []
        with Image.open(downloaded(page, tmp_path)) as sharp:
            assert sharp.size == (240, 160)


def test_what_a_broken_connection_has_ended_can_be_tried_again(visit, server, folder):
    page = visit(server)
    page.route("**/events", lambda route: route.abort())
    page.set_input_files("#files", [folder / "photo.jpg", folder / "notes.txt"])
    said = "photo.jpg: The server cannot be reached; look whether it runs"
    page.locator("#notice-text", has_text=said).wait_for()
    assert_accessible(page)
    page.unroute("**/events")
    page.click("#again")
    finished(page)
    # What is no picture will be none the next time.
    page.click("#strip li:nth-child(2) button")
    page.locator("#notice-text", has_text="is not a picture").wait_for()
    assert page.locator("#again").is_hidden()


def test_what_is_cancelled_once_it_is_sharp_stays(visit, server, folder, tmp_path):
    page = visit(server)
    page.set_input_files("#files", folder / "photo.jpg")
    finished(page)
    page.route("**/v1/defocus-map", lambda _: None)  # is never answered
    page.click("#map")
    page.click("#cancel")
    finished(page)
    with Image.open(downloaded(page, tmp_path)) as sharp:
        assert sharp.size == (240, 160)


def test_a_photograph_that_browsers_do_not_show_waits_for_a_busy_server(visit, server, folder):
    page, refused = visit(server), []

    def refuse_once(route):
        if refused:
            route.continue_()
            return
        refused.append(route.request.url)
        problem = {"title": "busy", "detail": "all places are taken", "remedy": "wait"}
        route.fulfill(status=429, headers={"Retry-After": "1"}, json=problem)

    page.route("**/v1/deblur", refuse_once)
    page.set_input_files("#files", folder / "deep.tif")
    page.get_by_text("The server is busy; waiting").wait_for()
    finished(page)
    assert refused


def test_what_browsers_show_by_no_webp_is_shown_and_downloaded(visit, server, tmp_path):
    Image.fromarray(picture(17_000, 16)).save(tmp_path / "wide.tif")
    pages = [Image.fromarray(picture(seed=seed)) for seed in (1, 2)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    page = visit(server)
    page.set_input_files("#files", [tmp_path / "wide.tif", tmp_path / "pages.tif"])
    finished(page, 2)
    for number, size in ((1, (17_000, 16)), (2, (64, 48))):
        page.click(f"#strip li:nth-child({number}) button")
        with Image.open(downloaded(page, tmp_path)) as sharp:
            assert (sharp.format, sharp.size) == ("TIFF", size)


def test_a_button_keeps_the_focus_and_it_is_said_when_the_map_is_there(visit, server, folder):
    page = visit(server)
    page.set_input_files("#files", folder / "deep.tif")
    finished(page)
    page.focus("#map")
    page.keyboard.press("Enter")
    page.locator("#status", has_text="The defocus map of deep.tif is ready").wait_for(
        state="attached"
    )
    page.locator("#map:focus").wait_for()
    page.focus("#download")
    with page.expect_download():
        page.keyboard.press("Enter")
    page.locator("#download:focus").wait_for()


def test_of_what_is_removed_nothing_more_is_said(visit, server, folder):
    page = visit(server)
    # It is removed while its picture is decoded, the second time: the first time tells whether
    # the browser can do that.
    page.evaluate(
        """() => {
            const whole = HTMLImageElement.prototype.decode;
            let calls = 0;
            HTMLImageElement.prototype.decode = async function () {
                await whole.call(this);
                if (++calls < 2) return;
                document.querySelector("#remove").click();
                throw new DOMException("The source image cannot be decoded.", "EncodingError");
            };
        }"""
    )
    page.set_input_files("#files", folder / "photo.jpg")
    page.locator("#drop").wait_for()
    page.evaluate("new Promise((resolve) => setTimeout(resolve))")
    assert page.locator("#status").inner_text() == ""
