"""A module of this folder as a process of its own, which may crash without ending the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(module: str, arguments: Sequence[str] = (), seconds: int = 900) -> tuple[list[Any], str]:
    """What came of `python -m tests.fuzz.MODULE`.

    Returns:
        The objects that it wrote, one a line; and how it ended, with the end of its messages.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"tests.fuzz.{module}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=max(900, seconds),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return lines, f"the process ended with {done.returncode}:\n{done.stderr[-4000:]}"
