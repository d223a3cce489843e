"""Rows per second of `predict`: whole files, and standard input, on the same click log.

The model is a small DLRM with its preprocessing inside: 26 categories hashed into embeddings of 16,
13 numbers, dot products and a top of two layers.

    python -m tests.benchmarks.predictions FOLDER files|lines
"""

from __future__ import annotations

import csv
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.ingest import CATEGORIES, NUMBERS, write_csv

BUCKETS, WIDTH = 100_000, 16
LINES = 50_000


def run(rows: int = 400_000) -> dict[str, Any]:
    """Measures both ways, each in a process of its own that has loaded TensorFlow.

    A second of the processors, of which TensorFlow may use several, counts what a busy machine
    does not delay.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_csv(folder / "log.csv", rows)
        _write_lines(folder)
        found = {way: _in_process(folder, way) for way in ("files", "lines")}
    speeds = {f"{way}_rows_per_second": one["speed"] for way, one in found.items()}
    ratio = {"ratio": found["files"]["speed"] / found["lines"]["speed"]}
    return {"rows": rows, **speeds, **ratio, "runs": found}


def _in_process(folder: Path, way: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.predictions", str(folder), way]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    measured: dict[str, float] = json.loads(output.splitlines()[-1])
    return measured


def _write_lines(folder: Path) -> None:
    """The first rows of the log as JSON lines."""
    with (folder / "log.csv").open() as log, (folder / "log.jsonl").open("w") as lines:
        for row in itertools.islice(csv.DictReader(log), LINES):
            lines.write(json.dumps(row) + "\n")


def _export(path: Path) -> None:
    from babelrank.components.serving.model_rows import RowColumn, RowsDescription

    import tensorflow as tf  # isort: skip  after babelrank

    class Dlrm(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            shapes = {
                "table": (CATEGORIES * BUCKETS, WIDTH),
                "bottom": (NUMBERS, WIDTH),
                "first": ((CATEGORIES + 1) ** 2 + WIDTH, 256),
                "second": (256, 1),
            }
            make = tf.random_normal_initializer(stddev=0.05, seed=1)
            self.weights = {name: tf.Variable(make(shape)) for name, shape in shapes.items()}

        def rows(self, **columns: tf.Tensor) -> dict[str, tf.Tensor]:
            weights = self.weights
            numbers = tf.stack([columns[f"i{i}"] for i in range(NUMBERS)], axis=1)
            numbers = tf.where(tf.math.is_finite(numbers), numbers, 0.0)
            dense = tf.nn.relu(numbers @ weights["bottom"])
            texts = tf.stack([columns[f"c{i}"] for i in range(CATEGORIES)], axis=1)
            ids = tf.strings.to_hash_bucket_fast(texts, BUCKETS) + tf.range(
                0, CATEGORIES * BUCKETS, BUCKETS, tf.int64
            )
            all_ = tf.concat([dense[:, None], tf.gather(weights["table"], ids)], axis=1)
            dots = tf.matmul(all_, all_, transpose_b=True)
            flat = tf.reshape(dots, [-1, (CATEGORIES + 1) ** 2])
            top = tf.nn.relu(tf.concat([dense, flat], axis=1) @ weights["first"])
            return {"score": tf.sigmoid(top @ weights["second"])[:, 0]}

    spec = {f"i{i}": tf.TensorSpec([None], tf.float32, f"i{i}") for i in range(NUMBERS)}
    spec |= {f"c{i}": tf.TensorSpec([None], tf.string, f"c{i}") for i in range(CATEGORIES)}
    module = Dlrm()
    function = tf.function(module.rows, autograph=False).get_concrete_function(**spec)
    module.signature = function
    tf.saved_model.save(module, str(path), signatures={"predict_rows": function})
    columns = [RowColumn(name=f"i{i}", kind="number") for i in range(NUMBERS)]
    columns += [RowColumn(name=f"c{i}", kind="text") for i in range(CATEGORIES)]
    RowsDescription(
        task="ranking", signature="predict_rows", output="score", columns=tuple(columns)
    ).save(str(path))


def _files(folder: Path) -> int:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from babelrank.components.serving.batch import job as batch_job
    from babelrank.components.serving.batch import model as batch_model
    from babelrank.components.serving.batch.config import BatchConfig
    from babelrank.components.serving.batch.shards import Shards
    from babelrank.pipelines.beam import BeamConfig, arguments

    config = BatchConfig(keep=("c0",))
    model = folder / "model"
    shards = Shards(str(folder / "out"), str(folder / "bad"), config.output)
    job = batch_job.Job(str(model), batch_model.check(model, config), config, shards)
    files = batch_job.find(str(folder / "log.csv"))
    pipeline = beam.Pipeline(options=PipelineOptions(arguments(BeamConfig())))
    batch_job.work(batch_job.to_do(files, job), job, pipeline)
    return batch_job.outcome(files, job).read


def _lines(folder: Path) -> int:
    from babelrank.components.serving.predict import Predictor

    with (folder / "log.jsonl").open() as file:
        return sum(1 for _ in Predictor(folder / "model").predict(file))


def _measure(folder: Path, way: str) -> dict[str, float]:
    if not (folder / "model").exists():
        _export(folder / "model")
    import tensorflow  # noqa: F401

    begun, cpu = time.perf_counter(), time.process_time()
    rows = {"files": _files, "lines": _lines}[way](folder)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {
        "speed": rows / seconds,
        "rows_per_cpu_second": rows / cpu,
        "seconds": seconds,
        "peak_memory_mb": peak,
    }


if __name__ == "__main__":
    import babelrank  # noqa: F401

    sys.stdout.write(json.dumps(_measure(Path(sys.argv[1]), sys.argv[2])) + "\n")
