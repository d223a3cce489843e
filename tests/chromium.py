"""A headless Chromium for tests of pages."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright; without it tests are skipped, and fail in CI."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        why = "there is no chromium; scripts/test-tools installs it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield browser
        browser.close()
