"""Training speed of our loop against TFRS's Ranking fed by TFX's `tf_dataset_factory`.

Both sides read the same transformed TFRecords, with the same features, batch size, stacks and
optimizers. The peer is what a TFX user writes: a Keras embedding per feature, `compile`, `fit`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import babelrank  # noqa: F401  before TensorFlow

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

from babelrank.components.ranking.config import ModelConfig
from babelrank.components.ranking.features import DENSE, LABEL, Features, SparseFeature
from babelrank.components.ranking.task import RankingInputConfig, RankingTask, RankingTaskConfig
from babelrank.components.training import optimizers
from babelrank.components.training.config import TrainingConfig
from babelrank.components.training.loop import fit

TABLES, IDS, DENSE_WIDTH, DIM = 26, 100_000, 13, 16
STACKS = {
    "small": ((64, DIM), (128, 64)),
    "tfrs_default": ((256, 64, DIM), (512, 256)),
}
NAMES = [f"c{i:02d}" for i in range(TABLES)]


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
        `ratio`: of their medians. `conversion_seconds`: making the column store once.
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
        "examples": examples, "batch_size": batch_size, "stacks": stacks,
    }


def _figures(
    ours: list[tuple[float, float]], peer: list[tuple[float, float]], conversion: float
) -> dict[str, Any]:
    def median(pairs: list[tuple[float, float]], i: int) -> float:
        return statistics.median(pair[i] for pair in pairs)

    return {
        "ours": [round(speed) for speed, _ in ours],
        "peer": [round(speed) for speed, _ in peer],
        "ratio": median(ours, 0) / median(peer, 0),
        "conversion_seconds": conversion,
        "ours_epoch_seconds": median(ours, 1),
        "peer_epoch_seconds": median(peer, 1),
        "ratio_with_conversion": median(peer, 1) / (median(ours, 1) + conversion),
    }


def _ours(root: Path, batch_size: int, stacks: str, directory: Path) -> tuple[float, float]:
    task = _task(batch_size, stacks)
    began = time.perf_counter()
    batches = task.batches(_inputs(root, batch_size))
    result = fit(task, task.task_config.training, batches, None, directory)
    return result.examples_per_second, time.perf_counter() - began


def _task(batch_size: int, stacks: str) -> RankingTask:
    bottom, top = STACKS[stacks]
    return RankingTask(
        RankingTaskConfig(
            features=Features(tuple(SparseFeature(name, IDS) for name in NAMES), DENSE_WIDTH),
            model=ModelConfig(embedding_dim=DIM, bottom_stack=bottom, top_stack=top),
            training=TrainingConfig(batch_size=batch_size, epochs=1, tensorboard=False),
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
    """Time of the first and of the last finished batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.last = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.last = time.perf_counter()
        self.first = self.first or self.last


def _peer(root: Path, batch_size: int, stacks: str, examples: int) -> tuple[float, float]:
    began = time.perf_counter()
    bottom, top = STACKS[stacks]
    mlp = tfrs.layers.blocks.MLP
    model = tfrs.experimental.models.Ranking(
        _Tables(),
        bottom_stack=mlp(list(bottom), final_activation="relu"),
        top_stack=mlp([*top, 1], final_activation="sigmoid"),
    )
    config = TrainingConfig()
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
    return (examples - batch_size) / (clock.last - clock.first), seconds


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
