"""`babelrank doctor --strategy`: whether training here comes to what it comes to on one device.

A few steps of each task, on tiny data made here, under the strategy and on one device.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf

from babelrank.components.ranking.config import (
    EmbeddingOptimizerConfig,
    RankingTrainingConfig,
)
from babelrank.components.ranking.config import ModelConfig as RankingModelConfig
from babelrank.components.ranking.features import DENSE, LABEL, Features, SparseFeature
from babelrank.components.ranking.task import RankingInputConfig, RankingTask, RankingTaskConfig
from babelrank.components.training import server
from babelrank.components.training import strategy as strategies
from babelrank.components.training.async_steps import steps_of
from babelrank.components.training.config import OptimizerConfig, StrategyConfig, TrainingConfig
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.task import Task
from babelrank.components.training.workers import attended, wait_for_all
from babelrank.components.translation import subwords
from babelrank.components.translation.config import VocabularyConfig
from babelrank.components.translation.model_config import (
    EncDecoder,
    ModelConfig,
    TranslationOptimizerConfig,
    TranslationTrainingConfig,
)
from babelrank.components.translation.records import INPUTS, TARGETS
from babelrank.components.translation.task import (
    SubwordDataConfig,
    TranslationConfig,
    TranslationTask,
)

_STEPS = 3  # the losses of the second and third follow from gradients
_ROWS, _BATCH = 64, 16
_TOKENS, _LONGEST = 64, 16
_EXACT, _ROUGH = 1e-5, 1e-2  # processors; others round products to TF32 or bfloat16
_WORDS = {"red": "rot", "green": "grün", "blue": "blau", "old": "alt", "new": "neu"}
# Adam makes much of a gradient that is nothing but rounding.
_SGD: dict[str, Any] = {"name": "sgd", "learning_rate": 0.1}


@dataclass(frozen=True)
class _Trial:
    task: Task
    config: TrainingConfig
    batches: BatchSource


def examine(config: StrategyConfig) -> tuple[list[str], bool]:
    """Lines to print, and whether each task comes to the same as on one device.

    With several workers each of them has to call this.

    Raises:
        DeviceError: What is asked for is not there.
        WorkerLostError: Another worker is gone.
    """
    if server.is_server(config):
        healthy = server.serve(config) == 0
        return ["Served the chief, which says how it went."] if healthy else [], healthy
    placement = strategies.create(config)
    strategy = placement.strategy
    lines = [f"device      {device.name}" for device in tf.config.list_logical_devices()]
    replicas = strategy.num_replicas_in_sync
    lines.append(f"strategy    {placement.why}; replicas: {replicas}")
    healthy = True
    with tempfile.TemporaryDirectory() as folder, attended(strategy, config.worker_timeout):
        trials = {"ranking": _ranking(Path(folder)), "translation": _translation(Path(folder))}
        for name, trial in trials.items():
            line, equal = _compared(trial, strategy)
            lines.append(f"{name:<12}{line}")
            healthy = healthy and equal
    wait_for_all(strategy)
    server.dismiss()
    lines.append("All is well." if healthy else "Training here is not what it is on one device.")
    return lines, healthy


def _compared(trial: _Trial, strategy: tf.distribute.Strategy) -> tuple[str, bool]:
    found = _losses(trial, strategy)
    wanted = _losses(trial, tf.distribute.OneDeviceStrategy("/cpu:0"))
    difference = float(np.max(np.abs(found - wanted) / wanted))
    accelerated = any(d.device_type != "CPU" for d in tf.config.list_logical_devices())
    equal = difference <= (_ROUGH if accelerated else _EXACT)  # also False for NaN
    answer = "yes" if equal else "NO"
    shown = ", ".join(f"{loss:.6f}" for loss in found)
    return f"losses {shown}; equal to one device: {answer} (difference {difference:.0e})", equal


def _losses(trial: _Trial, strategy: tf.distribute.Strategy) -> np.ndarray[Any, Any]:
    """The losses of the first steps, [_STEPS]."""
    steps = steps_of(strategy)(trial.task, trial.config, strategy, _STEPS, trial.batches.varied)
    batches = iter(steps.batches("train", trial.batches, epochs=None))
    return np.concatenate([steps.train(batches, 1).numpy() for _ in range(_STEPS)])


def _ranking(folder: Path) -> _Trial:
    drawn = np.random.default_rng(0)
    users = drawn.integers(0, 4, _ROWS)
    rows: list[dict[str, list[Any]]] = [
        {"user": [int(user)], DENSE: [float(x), 1.0], LABEL: [float(user > 1)]}
        for user, x in zip(users, drawn.normal(size=_ROWS), strict=True)
    ]
    config = RankingTrainingConfig(
        optimizer=OptimizerConfig(**_SGD), embedding_optimizer=EmbeddingOptimizerConfig(**_SGD)
    )
    task = RankingTask(
        RankingTaskConfig(
            features=Features((SparseFeature("user", 4),), 2),
            model=RankingModelConfig(preset="tiny"),
            training=config,
        )
    )
    path, store = _written(folder / "ranking", rows), str(folder / "ranking-store")
    data = RankingInputConfig(path=path, store=store, batch_size=_BATCH)
    return _Trial(task, config, task.batches(data))


def _translation(folder: Path) -> _Trial:
    pairs = [(f"{a} {b}", f"{c} {d}") for a, c in _WORDS.items() for b, d in _WORDS.items()]
    model = folder / "subwords.model"
    words = {word: 3 for pair in _WORDS.items() for word in pair}
    model.write_bytes(subwords.train(words, VocabularyConfig(size=60, character_coverage=1.0)))
    stack = EncDecoder(1, 2, 32, "relu", 0.0, 0.0, 0.0)
    path = str(folder / "translation")
    data = SubwordDataConfig(
        path=path, store=f"{path}-store", tokens_per_batch=_TOKENS, max_length=_LONGEST
    )
    task = TranslationTask(
        TranslationConfig(
            model=ModelConfig(encoder=stack, decoder=stack, embedding_width=16, dropout_rate=0.0),
            train_data=data,
            sentencepiece_model_path=str(model),
            precision="float32",
        )
    )
    sides = [
        tokenizer.tokenize(tf.constant(texts)).to_list()
        for tokenizer, texts in zip(task.tokenizers, zip(*pairs, strict=True), strict=True)
    ]
    _written(Path(path), [{INPUTS: a, TARGETS: b} for a, b in zip(*sides, strict=True)])
    config = TranslationTrainingConfig(
        optimizer=TranslationOptimizerConfig(**_SGD), precision="float32"
    )
    return _Trial(task, config, task.batches(data))


def _written(path: Path, rows: Sequence[Mapping[str, list[Any]]]) -> str:
    """Writes examples into a file; its path."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            example = tf.train.Example()
            for name, values in row.items():
                feature = example.features.feature[name]
                if isinstance(values[0], float):
                    feature.float_list.value.extend(values)
                else:
                    feature.int64_list.value.extend(values)
            writer.write(example.SerializeToString())
    return str(path)
