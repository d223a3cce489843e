"""`babelrank serve` under load: throughput, latency, memory, and ten switches of the version.

The ranking model is a tiny one, so that what is measured is the server: HTTP, decoding, the queue,
one call of TensorFlow. Client and server share the machine. `python -m tests.benchmarks.serving DIR
…` measures pushed models of your own instead: rows are empty, lines are short sentences.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from babelrank.components.serving import model_folder
from babelrank.components.serving.versions import push, versions
from tests.components.serving.server.load import Load
from tests.components.serving.server.process import Server

CLIENTS, SECONDS, SWITCHES = 8, 10.0, 10
SENTENCES = ("The red car is new.", "Where is the station?", "I do not know.", "Good morning!")


def run(seconds: float = SECONDS, switches: int = SWITCHES) -> dict[str, Any]:
    """The tiny model, with one row and with 64 rows in a request, then under switches.

    Returns:
        For `one_row_` and `rows_64_`: `requests` and `items` a second, `p50_ms`, `p99_ms`; for
        `switching_`: these, `failures`, `versions` that answered, and `mib_before` and `_after`.
    """
    from tests.components.serving.server.models import pushed, save_scorer

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = work / "serving"
        pushed(save_scorer(work / "model", 0.0), folder)
        models = [save_scorer(work / f"model{n}", float(n)) for n in range(1, switches + 1)]
        server = Server(work, "--model", f"ranking={folder}").ready()
        try:
            row = {"user": "ann", "price": 3.5, "tags": "a|b", "ts": 5}
            found = _prefixed("one_row", _measured(server, "ranking", [row], seconds))
            found |= _prefixed("rows_64", _measured(server, "ranking", [row] * 64, seconds))
            found |= _prefixed("switching", _switched(server, folder, models, row))
        finally:
            server.stop()
    return {"load_average": os.getloadavg()[0], **found}


def measure(folders: Sequence[Path], seconds: float = SECONDS) -> dict[str, Any]:
    """Pushed models of any kind, one after the other, in one server."""
    found: dict[str, Any] = {"load_average": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        server = Server(Path(name), *map(str, folders)).ready()
        found["ready_seconds"] = time.monotonic() - began
        try:
            for folder in folders:
                task = model_folder.task_of(model_folder.newest(folder))
                content = [{}] if task == "ranking" else [SENTENCES[0]]
                found |= _prefixed(f"{task}_1", _measured(server, task, content, seconds))
                content = [{}] * 64 if task == "ranking" else list(SENTENCES) * 4
                found |= _prefixed(
                    f"{task}_{len(content)}", _measured(server, task, content, seconds)
                )
            found["mib"] = server.metric("babelrank_resident_bytes") / 2**20
        finally:
            server.stop()
    return found


def _measured(
    server: Server, model: str, instances: Sequence[Any], seconds: float
) -> dict[str, float]:
    content = {"instances": list(instances)}
    with Load(server.url, f"/v1/models/{model}:predict", content, CLIENTS) as load:
        time.sleep(seconds)
    return _figures(load, len(instances))


def _switched(
    server: Server, folder: Path, models: Sequence[Path], row: dict[str, Any]
) -> dict[str, float]:
    before = server.metric("babelrank_resident_bytes")
    with Load(server.url, "/v1/models/ranking:predict", {"instances": [row]}, CLIENTS) as load:
        for model in models:
            name = push(model, folder)[0].name
            while not load.answered(name):
                time.sleep(0.05)
            time.sleep(1)
    after = server.metric("babelrank_resident_bytes")
    return {
        **_figures(load, 1),
        "failures": len(load.failures),
        "versions": len({one.version for one in load.answers}),
        "pushed": len(versions(folder)),
        "mib_before": before / 2**20,
        "mib_after": after / 2**20,
    }


def _figures(load: Load, items: int) -> dict[str, float]:
    times = sorted(one.seconds * 1000 for one in load.answers)
    rate = len(times) / load.seconds
    return {
        "requests": rate,
        "items": rate * items,
        "p50_ms": statistics.median(times),
        "p99_ms": times[int(len(times) * 0.99)],
    }


def _prefixed(name: str, figures: dict[str, float]) -> dict[str, float]:
    return {f"{name}_{key}": value for key, value in figures.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure([Path(one) for one in sys.argv[1:]]), indent=1) + "\n")
