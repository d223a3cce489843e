"""Files and configurations made to break a reader are refused in time, in memory and in words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import attacks

ROOT = Path(__file__).parents[2]
EXPECTED = {name: said for name, (_, _, said) in attacks.FILES.items()} | {
    f"YAML: {name}": said for name, (_, said) in attacks.YAMLS.items()
}


@pytest.fixture(scope="module")
def outcomes() -> tuple[dict[str, dict[str, Any]], str]:
    """What came of each attack, and what the process said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.attacks"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=900,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    said = f"the process ended with {done.returncode}:\n{done.stderr[-4000:]}"
    return {line["name"]: line for line in lines}, said


@pytest.mark.parametrize("name", EXPECTED)
def test_refused(outcomes: tuple[dict[str, dict[str, Any]], str], name: str):
    found, said = outcomes
    assert name in found, said
    assert re.search(EXPECTED[name], found[name]["said"]), found[name]
