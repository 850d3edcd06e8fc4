"""A real browser, and pages opened in it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, once a module: its event loop must not outlive the tests that use it.

    Where there is none the tests are skipped, and fail where ``GLITBUILD_ASSETS`` promises everything.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("GLITBUILD_ASSETS"):
            pytest.fail("GLITBUILD_ASSETS is set, but there is no chromium")
        pytest.skip("no chromium; install Debian's package of this name")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Return what opens a file and sees, in the end, that nothing was said or fetched."""
    heard: list[str] = []
    contexts = []

    def opened(path: Path, fragment: str = "", width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url) if _foreign(request.url, path) else None)
        page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert heard == []


def _foreign(url: str, path: Path) -> bool:
    return not url.startswith(("data:", path.as_uri()))


@pytest.fixture
def browser_page(browser: Browser) -> Iterator[Page]:
    """An empty page, for what may be refused."""
    context = browser.new_context()
    yield context.new_page()
    context.close()
