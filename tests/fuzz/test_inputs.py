"""Whatever a file or a configuration holds: see `targets` for what must hold.

The inputs are the same in every run. `make fuzz` feeds other ones, and more of them.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.fuzz import process, seeds

BINARY = ("parquet", "tfrecord", "compressed")
NAMES = (*seeds.SEEDS, *BINARY)
EXAMPLES = os.environ.get("BABELRANK_FUZZ_EXAMPLES", "80")


@pytest.fixture(scope="module")
def outcomes() -> tuple[dict[str, dict[str, Any]], str]:
    """What came out of each target, and what the process said."""
    lines, said = process.run("child", [EXAMPLES, *NAMES], 3 * int(EXAMPLES))
    return {line["target"]: line for line in lines}, said


@pytest.mark.parametrize("name", NAMES)
def test_no_input_breaks_a_promise(outcomes: tuple[dict[str, dict[str, Any]], str], name: str):
    found, said = outcomes
    assert name in found, said
    assert not found[name]["problem"], found[name]["problem"]
    assert found[name]["inputs"] >= int(EXAMPLES) // 2
