"""Message catalogues: fuzzy and untranslated messages left out, placeholders kept."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polib
import pytest

# Minutes: `make test` has it on the newer stack, which has not the ten days.
pytestmark = [pytest.mark.e2e, *([pytest.mark.slow] if sys.version_info < (3, 12) else [])]

PATTERN = "django/contrib/*/locale/fr/LC_MESSAGES/*.po"


def test_catalogues_to_a_pushed_model(
    data_folder: Callable[[str], Path], command_line: Any, tmp_path: Path
) -> None:
    with tarfile.open(data_folder("django_po") / "django-po.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    entries = [e for path in tmp_path.glob(PATTERN) for e in polib.pofile(str(path))]
    plain = [e for e in entries if e.translated() and not e.msgid_plural]
    outcome = command_line(
        "django_po.yaml", tmp_path / PATTERN, tmp_path / "out", tmp_path, (), "translation"
    ).run()
    assert outcome.code == 0, outcome
    rows = outcome.run["rows"]
    assert rows["used"] == sum(outcome.run["splits"].values())
    assert rows["used"] > 0.5 * len(plain)
    assert outcome.run["status"] == "pushed"
