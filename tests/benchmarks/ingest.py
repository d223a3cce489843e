"""Rows per second and peak memory of ingest, ours and TFX's CsvExampleGen, on the same CSV.

Each measurement is a process of its own that runs one executor on Beam's in-memory Direct
runner with one worker and prints one JSON line:

    python -m tests.benchmarks.ingest ours|peer CSV
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BEAM = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
NUMBERS, CATEGORIES = 13, 26
CHUNK = 100_000


def write_csv(path: Path, rows: int) -> None:
    """A click log of 40 columns: a label, 13 numbers and 26 categories, about 335 bytes a row."""
    generator = np.random.default_rng(0)
    with path.open("w") as file:
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            columns: dict[str, Any] = {"label": generator.integers(0, 2, count)}
            for i in range(NUMBERS):
                columns[f"i{i}"] = np.round(generator.normal(size=count) * 100, 3)
            for i in range(CATEGORIES):
                columns[f"c{i}"] = np.char.mod("%08x", generator.zipf(1.3, count) % 100_000)
            pd.DataFrame(columns).to_csv(file, index=False, header=start == 0)


def run(rows: int = 400_000, large: int = 5_000_000, repeats: int = 2) -> dict[str, Any]:
    """Measures both sides in turn, then the peak memory of ours on a large file."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "small.csv"
        write_csv(path, rows)
        sides: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
        for _ in range(repeats):
            for side, found in sides.items():
                found.append(_in_process(side, path))
        best = {side: min(run["seconds"] for run in found) for side, found in sides.items()}
        path.unlink()
        path = Path(name) / "large.csv"
        write_csv(path, large)
        memory = _in_process("ours", path)
    return {
        "rows": rows,
        "ours_rows_per_second": rows / best["ours"],
        "peer_rows_per_second": rows / best["peer"],
        "ratio": best["peer"] / best["ours"],
        "runs": sides,
        "large_rows": large,
        "large_rows_per_second": large / memory["seconds"],
        "large_peak_memory_mb": memory["peak_memory_mb"],
    }


def _in_process(side: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.ingest", side, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    measured: dict[str, float] = json.loads(output.splitlines()[-1])
    return measured


def _measure(side: str, path: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        do = {"ours": _ours, "peer": _peer}[side](path, Path(name))
        start = time.perf_counter()
        do()
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"seconds": seconds, "peak_memory_mb": peak}


def _ours(path: Path, out: Path) -> Any:
    import babelrank  # noqa: F401
    from babelrank.components.artifacts import Quarantine
    from babelrank.components.ingest.driver import resolve_properties
    from babelrank.components.ranking import example_gen
    from babelrank.components.ranking.config import DataConfig, LabelConfig

    data = DataConfig(
        path=str(path),
        label=LabelConfig(column="label"),
        categorical=tuple(f"c{i}" for i in range(CATEGORIES)),
        dense=tuple(f"i{i}" for i in range(NUMBERS)),
    )
    config = example_gen.ClickLogExampleGen(data).spec.exec_properties["config"]
    properties = {"config": config, **resolve_properties(json.loads(config))}
    quarantine = Quarantine()
    quarantine.uri = str(out / "quarantine")
    outputs = {"examples": [_examples(out)], "quarantine": [quarantine]}
    executor = example_gen.Executor(_context(out))
    return lambda: executor.Do({}, outputs, properties)


def _peer(path: Path, out: Path) -> Any:
    from tfx.components.example_gen.csv_example_gen import executor as csv_executor
    from tfx.proto import example_gen_pb2
    from tfx.utils import proto_utils

    splits = example_gen_pb2.SplitConfig(
        splits=[
            example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=buckets)
            for name, buckets in (("train", 8), ("eval", 1), ("test", 1))
        ]
    )
    pattern = example_gen_pb2.Input.Split(name="single_split", pattern=path.name)
    properties = {
        "input_base": str(path.parent),
        "input_config": proto_utils.proto_to_json(example_gen_pb2.Input(splits=[pattern])),
        "output_config": proto_utils.proto_to_json(example_gen_pb2.Output(split_config=splits)),
        "output_data_format": example_gen_pb2.FORMAT_TF_EXAMPLE,
        "output_file_format": example_gen_pb2.FORMAT_TFRECORDS_GZIP,
    }
    executor = csv_executor.Executor(_context(out))
    return lambda: executor.Do({}, {"examples": [_examples(out)]}, properties)


def _examples(out: Path) -> Any:
    from tfx.types import standard_artifacts

    artifact = standard_artifacts.Examples()
    artifact.uri = str(out / "examples")
    return artifact


def _context(out: Path) -> Any:
    from tfx.dsl.components.base import base_beam_executor

    return base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BEAM, tmp_dir=str(out / "tmp"), unique_id="1"
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1], Path(sys.argv[2]))) + "\n")
