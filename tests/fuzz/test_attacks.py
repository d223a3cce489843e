"""Files and configurations made to break a reader are refused in time, in memory and in words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.fuzz import attacks, process

EXPECTED = {name: said for name, (_, _, said) in attacks.FILES.items()} | {
    f"YAML: {name}": said for name, (_, said) in attacks.YAMLS.items()
}


@pytest.fixture(scope="module")
def outcomes() -> tuple[dict[str, dict[str, Any]], str]:
    """What came of each attack, and what the process said."""
    lines, said = process.run("attacks")
    return {line["name"]: line for line in lines}, said


@pytest.mark.parametrize("name", EXPECTED)
def test_refused(outcomes: tuple[dict[str, dict[str, Any]], str], name: str):
    found, said = outcomes
    assert name in found, said
    assert not found[name]["said"].startswith("raised "), found[name]  # whatever words it has
    assert re.search(EXPECTED[name], found[name]["said"]), found[name]
