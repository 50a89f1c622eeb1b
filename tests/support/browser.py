"""Debian's Chromium, driven by Playwright: one browser for tests and for screenshots.

It is the system's own (``make chromium``), never a download; a missing one is an error, not a skip.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

__all__ = ["ORIGIN_KEY", "browser", "chromium_path", "sign_in_by"]

ORIGIN_KEY = "url"


def chromium_path() -> str:
    """Where Chromium is. Raises: AssertionError when it is not there."""
    found = shutil.which("chromium") or "/usr/bin/chromium"
    assert Path(found).exists(), "Chromium is needed for the tests: apt-get install chromium (make chromium)"
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser; every test opens a context of its own in it."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        yield launched
        launched.close()


def sign_in_by(page: Page, link: str) -> None:
    """Use a one-time link."""
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/settings/security?welcome=1")
