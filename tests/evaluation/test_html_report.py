"""The report in a real browser."""

import shutil

import pytest
from sets import save, save_dpdd, scene

from ifan.datasets.testing import open_test_set
from ifan.evaluation.methods import FolderMethod
from ifan.evaluation.output import write_results
from ifan.evaluation.protocol import Protocol
from ifan.evaluation.running import Evaluation


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report that compares two folders over DPDD, in which a picture of the first failed."""
    root = save_dpdd(tmp_path_factory.mktemp("report"), count=8)
    better = root / "better"
    shutil.copytree(root / "DPDD/test_c/source", root / "source")
    (root / "source/1P0A0924.png").write_bytes(b"")
    for number in range(8):
        blurred, sharp = scene(number)
        mixed = (0.1 * (number + 1) * sharp + (1 - 0.1 * (number + 1)) * blurred).astype("uint8")
        save(mixed, better / f"{number}.png")
    evaluations = []
    for folder in (root / "source", better):
        method = FolderMethod(folder, Protocol())
        test_set = open_test_set("DPDD", root, views=False)
        evaluations.append(Evaluation(method, test_set, Protocol(), root / "logs"))
        list(evaluations[-1].run())
    return write_results(evaluations, root / "logs", "ifan evaluate --compare source better")


@pytest.fixture
def opened(browser, report):
    """Opens the report; at the end, nothing went wrong in it and nothing came from elsewhere."""
    pages, faults, addresses = [], [], []

    def open_page(**options):
        page = browser.new_page(**options)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: addresses.append(request.url))
        page.goto(report.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert faults == []
    assert {address.split(":")[0] for address in addresses} <= {"file", "data"}


def column(page, table, number):
    return page.locator(f"#{table} tbody tr > :nth-child({number})").all_inner_texts()


def test_a_click_on_a_head_sorts_by_number_and_another_turns_it(opened):
    page = opened()
    assert column(page, "pictures", 1) == [str(number) for number in range(1, 9)]
    heads = page.locator("#pictures thead th")
    titles = [title.split()[0] for title in heads.all_inner_texts()]
    place = titles.index("PSNR") + 1
    heads.nth(place - 1).get_by_role("button").click()
    assert heads.nth(place - 1).get_attribute("aria-sort") == "ascending"
    shown = column(page, "pictures", place)
    # The picture that failed stays last.
    assert shown[-1] == "failed"
    assert sorted(map(float, shown[:-1])) == list(map(float, shown[:-1]))
    heads.nth(place - 1).get_by_role("button").press("Enter")
    assert heads.nth(place - 1).get_attribute("aria-sort") == "descending"
    assert column(page, "pictures", place) == [*reversed(shown[:-1]), "failed"]


def test_published_numbers_are_beside_ours_with_their_source(opened):
    page = opened()
    rows = page.locator("#published tbody tr").all_inner_texts()
    (paper,) = (row for row in rows if row.startswith("IFAN\t") and "ContextualDeblur" in row)
    assert "25.366\t0.7890" in paper
    assert "✓ verified" in paper
    assert sum("? from memory" in row for row in rows) == 2
    assert sum("measured" in row for row in rows) == 3
    assert "76 test pictures, here are 8" in page.locator(".notice").first.inner_text()


def test_the_slider_moves_the_border_between_the_pictures(opened):
    page = opened()
    viewer = page.locator(".viewer").first
    left, right = viewer.locator("img.left"), viewer.locator("img.right")
    assert (left.get_attribute("alt"), right.get_attribute("alt")) == ("source", "better")
    stage = viewer.locator(".stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()

    def border():
        handle = viewer.locator(".handle").bounding_box()
        return (handle["x"] + handle["width"] / 2 - box["x"]) / box["width"]

    assert border() == pytest.approx(0.5, abs=0.01)
    viewer.get_by_role("slider").fill("20")
    assert border() == pytest.approx(0.2, abs=0.01)
    clip = left.evaluate("image => getComputedStyle(image).clipPath")
    assert clip.startswith("inset(0px 80%")
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    assert border() == pytest.approx(0.9, abs=0.05)
    before = border()
    viewer.get_by_role("slider").press("ArrowLeft")
    assert border() < before


def test_any_two_pictures_of_a_scene_are_put_beside_each_other(opened):
    page = opened()
    viewer = page.locator(".viewer").first
    viewer.locator("select.left").select_option("input")
    viewer.locator("select.right").select_option("target")
    assert viewer.locator("img.left").get_attribute("alt") == "input"
    assert viewer.locator("img.right").get_attribute("alt") == "target"
    # Each is a picture that the browser can show, of the size that was scored.
    for picture in viewer.locator("img").all():
        size = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
        assert size == [56, 40]
    assert viewer.locator(".map").count() == 2


def test_it_fits_a_phone_and_knows_the_dark(opened):
    light = opened(viewport={"width": 390, "height": 800})
    dark = opened(color_scheme="dark")
    assert light.evaluate("document.documentElement.scrollWidth") == 390
    colours = [
        page.evaluate("getComputedStyle(document.body).backgroundColor") for page in (light, dark)
    ]
    assert colours == ["rgb(251, 250, 248)", "rgb(21, 20, 19)"]


def test_who_does_not_see_is_told(opened):
    page = opened()
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("img", name="PSNR in dB, higher is better. Input: mean").count() == 1
    assert page.get_by_role("region", name="Scores of each picture").count() == 1
    assert not page.locator("img:not([alt])").count()
    assert page.locator("h1").count() == 1


def test_the_command_and_versions_are_there(opened):
    said = opened().locator("dl").inner_text()
    assert "ifan evaluate --compare source better" in said
    assert "scikit-image" in said
