"""Seconds of the demo's ranking half, and of the same command again with nothing changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run() -> dict[str, Any]:
    """Runs the demo twice in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        first, summary = _demo(folder)
        second, again = _demo(folder)
    return {
        "seconds": first,
        "seconds_again": second,
        "auc": summary["metrics"]["auc"],
        "best_possible_auc": summary["optimum"]["auc"],
        "cached_again": [step["name"] for step in again["steps"] if step["state"] == "cached"],
        "pushed_twice": summary["pushed_model"] != again["pushed_model"],
    }


def _demo(folder: str) -> tuple[float, dict[str, Any]]:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "babelrank.pipelines.demo"],
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    seconds = time.perf_counter() - start
    return seconds, json.loads((Path(folder) / "out/demo/ranking/run.json").read_text())
