"""Pictures of a report of drawn boards, in a real Chromium: for the README, and to look at."""

import argparse
import shutil
import sys
from pathlib import Path

from PIL import Image

from spark_jobs.report.page import render_report
from tests.spark_jobs.report.example import make_example

# Name, width, height, colours; the README shows the first.
SHOTS = (
    ("report", 1080, 1180, "light"),
    ("dark", 1080, 1180, "dark"),
    ("phone", 360, 740, "light"),
)


def main() -> int:
    """Write the page and one PNG each, of at most 128 colours: a few dozen kilobytes."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    page_file = folder / "report.html"
    page_file.write_text(render_report(*make_example()))
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("no chromium: apt-get install chromium")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, width, height, scheme in SHOTS:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page.goto(page_file.absolute().as_uri())
            path = folder / f"{name}.png"
            page.screenshot(path=path)
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
            print(f'{{"picture": "{path}", "bytes": {path.stat().st_size}}}')
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
