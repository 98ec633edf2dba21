"""The pictures of a report for docs/images, taken in headless Chromium (pip install '.[browser]')."""

import io
import os
import shutil
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import sync_playwright

from beamtrain.base.script_parser import ScriptParser

Colours = Literal["light", "dark"]
PICTURES: dict[str, tuple[str, int, int, Colours]] = {  # name: tab, width and height in pixels, colours
    "report_sentences": ("sentences", 1400, 900, "light"),
    "report_phone": ("sentences", 400, 900, "dark"),
    "report_errors": ("errors", 1400, 1180, "light"),
    "report_beam": ("beam", 1400, 860, "dark"),
}
COLOURS = 64


def main() -> None:
    parser = ScriptParser(__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    with sync_playwright() as driver:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=sandbox)
        for name, (tab, width, height, colours) in PICTURES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=colours)
            page.goto(f"{options.page.resolve().as_uri()}#{tab}")
            page.wait_for_selector("#list .sentence", state="attached")
            if tab == "sentences":
                page.locator("#list summary").first.click()
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(options.out / f"{name}.png", optimize=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
