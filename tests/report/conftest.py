"""The pages that are tested, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.evaluation.index_page import index_html
from babelrank.components.evaluation.report import write_html
from tests.chromium import chromium
from tests.report import runs


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


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
