"""Whatever a file or a configuration holds: see `targets` for what must hold.

The inputs are the same in every run. `make fuzz` feeds other ones, and more of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import seeds

BINARY = ("parquet", "tfrecord", "compressed")
NAMES = (*seeds.SEEDS, *BINARY)
EXAMPLES = os.environ.get("BABELRANK_FUZZ_EXAMPLES", "80")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcomes() -> tuple[dict[str, dict[str, Any]], str]:
    """What came out of each target, and what the process said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.child", EXAMPLES, *NAMES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=max(900, 3 * int(EXAMPLES)),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    said = f"the process ended with {done.returncode}:\n{done.stderr[-4000:]}"
    return {line["target"]: line for line in lines}, said


@pytest.mark.parametrize("name", NAMES)
def test_no_input_breaks_a_promise(outcomes: tuple[dict[str, dict[str, Any]], str], name: str):
    found, said = outcomes
    assert name in found, said
    assert not found[name]["problem"], found[name]["problem"]
    assert found[name]["inputs"] >= int(EXAMPLES) // 2
