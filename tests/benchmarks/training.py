"""Training speed of our loop against TFRS's Ranking fed by TFX's `tf_dataset_factory`.

Both sides read the same transformed TFRecords, with the same features, batch size, stacks and
optimizers. The peer is what a TFX user writes: a Keras embedding per feature, `compile`, `fit`.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_recommenders as tfrs
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.util import tfxio_utils
from tfx.types import standard_artifacts
from tfx_bsl.coders import example_coder
from tfx_bsl.public import tfxio

from babelrank.components.ranking.config import ModelConfig, RankingTrainingConfig
from babelrank.components.ranking.features import DENSE, LABEL, Features, SparseFeature
from babelrank.components.ranking.task import RankingInputConfig, RankingTask, RankingTaskConfig
from babelrank.components.training import optimizers
from babelrank.components.training.loop import fit
from babelrank.components.training.progress import Lines

TABLES, IDS, DENSE_WIDTH, DIM = 26, 100_000, 13, 16
STACKS = {
    "small": ((64, DIM), (128, 64)),
    "tfrs_default": ((256, 64, DIM), (512, 256)),
}
NAMES = [f"c{i:02d}" for i in range(TABLES)]


class _Epoch(NamedTuple):
    """One epoch of one side: after the first step, examples/s and processor seconds an example."""

    speed: float
    cpu: float
    seconds: float


def run(
    examples: int = 400_000, batch_size: int = 4096, rounds: int = 2, stacks: str = "small"
) -> dict[str, Any]:
    """Trains both sides in turn, one epoch each, and returns the figures.

    Args:
        examples: Size of the data set.
        batch_size: Examples in a batch.
        rounds: How often both sides are measured.
        stacks: Layer widths, a key of `STACKS`.

    Returns:
        `ours`, `peer`: examples/s of all rounds from the second step on, input included;
        `ratio`: of their medians; `cpu_ratio`: of the processor seconds per example, which other
        work on the machine disturbs less. `conversion_seconds`: making the column store once.
        `ours_epoch_seconds`, `peer_epoch_seconds`: one epoch from nothing, with building and
        tracing, for ours with the final checkpoint too; `ratio_with_conversion`: of these, the
        conversion added to ours.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _write(root / "examples" / "Split-train", examples)
        began = time.perf_counter()
        _task(batch_size, stacks).batches(_inputs(root, batch_size))
        conversion = time.perf_counter() - began
        ours, peer = [], []
        for i in range(rounds):
            ours.append(_ours(root, batch_size, stacks, root / f"run{i}"))
            peer.append(_peer(root, batch_size, stacks, examples))
    return _figures(ours, peer, conversion) | {
        "examples": examples,
        "batch_size": batch_size,
        "stacks": stacks,
    }


def _figures(ours: list[_Epoch], peer: list[_Epoch], conversion: float) -> dict[str, Any]:
    def median(epochs: list[_Epoch], name: str) -> float:
        return statistics.median(getattr(epoch, name) for epoch in epochs)

    return {
        "ours": [round(epoch.speed) for epoch in ours],
        "peer": [round(epoch.speed) for epoch in peer],
        "ratio": median(ours, "speed") / median(peer, "speed"),
        "cpu_ratio": median(peer, "cpu") / median(ours, "cpu"),
        "conversion_seconds": conversion,
        "ours_epoch_seconds": median(ours, "seconds"),
        "peer_epoch_seconds": median(peer, "seconds"),
        "ratio_with_conversion": median(peer, "seconds") / (median(ours, "seconds") + conversion),
    }


def _ours(root: Path, batch_size: int, stacks: str, directory: Path) -> _Epoch:
    task, meter = _task(batch_size, stacks), _Meter()
    began = time.perf_counter()
    batches = task.batches(_inputs(root, batch_size))
    result = fit(task, task.task_config.training, batches, None, directory, progress=meter)
    seconds = time.perf_counter() - began
    (first, cpu_first), (last, cpu_last) = meter.seen[0], meter.seen[-1]
    cpu = (cpu_last - cpu_first) / ((last - first) * batch_size)
    return _Epoch(result.speed, cpu, seconds)


class _Meter(Lines):
    """Steps and processor seconds at each report of the loop."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.seen: list[tuple[int, float]] = []

    def update(self, step: int, total: int, loss: float, speed: float) -> None:
        self.seen.append((step, time.process_time()))


def _task(batch_size: int, stacks: str) -> RankingTask:
    bottom, top = STACKS[stacks]
    return RankingTask(
        RankingTaskConfig(
            features=Features(tuple(SparseFeature(name, IDS) for name in NAMES), DENSE_WIDTH),
            model=ModelConfig(embedding_dim=DIM, bottom_stack=bottom, top_stack=top),
            training=RankingTrainingConfig(batch_size=batch_size, epochs=1, tensorboard=False),
        )
    )


def _inputs(root: Path, batch_size: int) -> RankingInputConfig:
    return RankingInputConfig(
        path=str(root / "examples" / "Split-train" / "*.gz"),
        store=str(root / "store"),
        batch_size=batch_size,
    )


class _Tables(tf.keras.layers.Layer):
    """An embedding layer as TFRS's documentation shows it."""

    def __init__(self) -> None:
        super().__init__()
        self._tables = {name: tf.keras.layers.Embedding(IDS, DIM) for name in NAMES}

    def call(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name: table(inputs[name]) for name, table in self._tables.items()}


class _Clock(tf.keras.callbacks.Callback):
    """Time and processor time of the first and of the last finished batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.last = self.cpu_first = self.cpu_last = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.last, self.cpu_last = time.perf_counter(), time.process_time()
        if not self.first:
            self.first, self.cpu_first = self.last, self.cpu_last


def _peer(root: Path, batch_size: int, stacks: str, examples: int) -> _Epoch:
    began = time.perf_counter()
    bottom, top = STACKS[stacks]
    mlp = tfrs.layers.blocks.MLP
    model = tfrs.experimental.models.Ranking(
        _Tables(),
        bottom_stack=mlp(list(bottom), final_activation="relu"),
        top_stack=mlp([*top, 1], final_activation="sigmoid"),
    )
    config = RankingTrainingConfig()
    model.compile(
        tfrs.experimental.optimizers.CompositeOptimizer(
            [
                (
                    optimizers.create(config.embedding_optimizer),
                    lambda: model.embedding_trainable_variables,
                ),
                (optimizers.create(config.optimizer), lambda: model.dense_trainable_variables),
            ]
        )
    )
    clock, steps = _Clock(), -(-examples // batch_size)
    dataset = _peer_dataset(root, batch_size)
    model.fit(dataset, steps_per_epoch=steps, epochs=1, callbacks=[clock], verbose=0)
    seconds = time.perf_counter() - began
    speed = (examples - batch_size) / (clock.last - clock.first)
    cpu = (clock.cpu_last - clock.cpu_first) / (examples - batch_size)
    return _Epoch(speed, cpu, seconds)


def _peer_dataset(root: Path, batch_size: int) -> tf.data.Dataset:
    artifact = standard_artifacts.Examples()
    artifact.uri, artifact.split_names = str(root / "examples"), '["train"]'
    artifact.type_name  # noqa: B018
    factory = tfxio_utils.get_tf_dataset_factory_from_artifact([artifact], [])
    options = tfxio.TensorFlowDatasetOptions(batch_size=batch_size, label_key=LABEL)
    dataset = factory([str(root / "examples" / "Split-train" / "*")], options, _schema())

    def structure(features: dict[str, tf.Tensor], label: tf.Tensor) -> Any:
        sparse = {name: features[name] for name in NAMES}
        return {"dense_features": features[DENSE], "sparse_features": sparse}, label

    return dataset.map(structure)


def _schema() -> schema_pb2.Schema:
    shapes = [(name, "INT", 1) for name in NAMES]
    shapes += [(DENSE, "FLOAT", DENSE_WIDTH), (LABEL, "FLOAT", 1)]
    text = "".join(
        f'feature {{ name: "{name}" type: {kind} presence {{ min_fraction: 1 min_count: 1 }} '
        f"shape {{ dim {{ size: {size} }} }} }}\n"
        for name, kind, size in shapes
    )
    return text_format.Parse(text, schema_pb2.Schema())


def _write(directory: Path, examples: int, shards: int = 2) -> None:
    """Random examples as Transform writes them: Zipf-distributed ids, gzip."""
    directory.mkdir(parents=True)
    drawn = np.random.default_rng(0)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    encoder = example_coder.RecordBatchToExamplesEncoder()
    for shard in range(shards):
        path = str(directory / f"transformed_examples-{shard:05d}-of-{shards:05d}.gz")
        left = examples // shards + (shard < examples % shards)
        with tf.io.TFRecordWriter(path, options) as writer:
            while left:
                rows = min(left, 20_000)
                left -= rows
                for record in encoder.encode(_record_batch(drawn, rows)):
                    writer.write(record)


def _record_batch(drawn: np.random.Generator, rows: int) -> pa.RecordBatch:
    columns = {name: (drawn.zipf(1.2, rows) % IDS).reshape(rows, 1) for name in NAMES}
    columns[DENSE] = drawn.normal(size=(rows, DENSE_WIDTH)).astype(np.float32)
    columns[LABEL] = drawn.integers(0, 2, (rows, 1)).astype(np.float32)
    lists = [
        pa.LargeListArray.from_arrays(
            np.arange(0, values.size + 1, values.shape[1]), pa.array(values.reshape(-1))
        )
        for values in columns.values()
    ]
    return pa.RecordBatch.from_arrays(lists, list(columns))
