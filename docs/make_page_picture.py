"""Makes the picture of the page in docs/serving.md: python docs/make_page_picture.py."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_name("pictures") / "page.jpg"


def main() -> None:
    command = [sys.executable, "-m", "ifan", "serve", "--port", "0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        said = server.stdout.readline() if server.stdout else ""
        address = next(word for word in said.split() if word.startswith("http"))
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.goto(address)
        page.locator("[data-example]").first.click()
        page.locator("#strip .mark", has_text="✓").wait_for(timeout=60_000)
        page.click("#full")
        page.screenshot(path=PICTURE, type="jpeg", quality=85)
        browser.close()
        server.terminate()


if __name__ == "__main__":
    main()
