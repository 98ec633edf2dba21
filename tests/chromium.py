"""Pages opened in headless Chromium, which notices whatever they say on the console or ask of the network."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDE, PHONE = 1400, 400
"""Pixels."""


@contextmanager
def opened(file: Path, width: int = WIDE, dark: bool = False) -> Iterator[Any]:
    """A Playwright page with the file, and afterwards: nothing went wrong, and nothing was asked but the file.

    Skips where Chromium or Playwright is missing, and says so.
    """
    if PROGRAM is None:
        pytest.skip("there is no chromium here: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install '.[browser]'")
    problems: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as driver:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=PROGRAM, args=sandbox)
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.on("console", lambda said: problems.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_function("document.readyState === 'complete'")
        yield page
        browser.close()
    assert not problems
    assert asked == [file.as_uri()], "the page asks for more than itself"


def fits(page: Any) -> bool:
    """Whether the page is no wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
