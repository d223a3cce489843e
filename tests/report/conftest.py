"""A headless Chromium for tests of pages, and the pages that are tested."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.evaluation.index_page import index_html
from babelrank.components.evaluation.report import write_html
from tests.report import runs


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium; playwright only drives it."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("there is no chromium; scripts/test-tools installs it")
        pytest.skip("there is no chromium; scripts/test-tools installs it")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages, as files, by name."""
    folder = tmp_path_factory.mktemp("pages")
    files = {name: folder / f"{name}.html" for name in (*runs.CASES, "index", "empty")}
    for name, (summary, charts) in runs.CASES.items():
        write_html(summary, charts, files[name])
    files["index"].write_text(index_html("clicks", runs.INDEX, removed=2), encoding="utf-8")
    files["empty"].write_text(index_html("clicks", (), removed=0), encoding="utf-8")
    return files
