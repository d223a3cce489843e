"""Runs the benchmarks, writes `benchmarks.json` and prints a table.

python -m tests.benchmarks [NAME …]
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import (
    demo,
    engine,
    ingest,
    predictions,
    serving,
    training,
    translation_decoding,
    translation_training,
)

BENCHMARKS: dict[str, Callable[[], dict[str, Any]]] = {
    "ingest": ingest.run,
    "training": training.run,  # our default network
    "training_tfrs_default": partial(training.run, stacks="tfrs_default"),
    "engine": engine.run,
    "translation_training": translation_training.run,
    "translation_decoding": translation_decoding.run,
    "serving": serving.run,
    "predictions": predictions.run,
    "demo": demo.run,
}
FILE = Path("benchmarks.json")


def main(names: list[str]) -> None:
    """Runs the named benchmarks, or all, and merges their figures into the file."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"benchmarks: no {unknown[0]}; takes {', '.join(BENCHMARKS)}")
    results: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    results["machine"] = {"python": platform.python_version(), "system": platform.platform()}
    for name in names or BENCHMARKS:
        sys.stdout.write(f"{name} …\n")
        sys.stdout.flush()
        results[name] = BENCHMARKS[name]()
        FILE.write_text(json.dumps(results, indent=1) + "\n")
        for key, value in results[name].items():
            if not isinstance(value, dict):
                text = f"{value:,.2f}" if isinstance(value, float) else str(value)
                sys.stdout.write(f"  {key:<28} {text}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
