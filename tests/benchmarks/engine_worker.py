"""One process of the scaling benchmark: trains, and prints its speed.

    python -m tests.benchmarks.engine_worker TASK DATA WORK

TF_CONFIG makes it one of several workers. The batches are the same however many there are.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf

from babelrank.components.training import strategy as strategies
from babelrank.components.training.config import OptimizerConfig, StrategyConfig, TrainingConfig
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.loop import fit
from babelrank.components.training.progress import Lines
from babelrank.components.training.task import Task
from babelrank.components.training.workers import wait_for_all
from babelrank.components.translation import subwords
from babelrank.components.translation.config import VocabularyConfig
from babelrank.components.translation.model_config import NetworkConfig, TranslationTrainingConfig
from babelrank.components.translation.task import (
    SubwordDataConfig,
    TranslationConfig,
    TranslationTask,
)
from tests.benchmarks import training

EXAMPLES, BATCH = 200_000, 4096
PAIRS, TOKENS = 4000, 2048
STEPS = {"ranking": 40, "translation": 12}


def parts(task: str, data: Path) -> tuple[Task, TrainingConfig, BatchSource]:
    """What is trained: DLRM with 26 tables of 100,000, or the Transformer `small`."""
    if task == "ranking":
        ours = training._task(BATCH, "small")
        config = ours.task_config.training
        return ours, config, ours.batches(training._inputs(data, BATCH))
    return _translation(data)


def make_data(task: str, data: Path) -> None:
    """Makes the data of a task once."""
    data.mkdir(parents=True, exist_ok=True)
    if task == "ranking":
        training._write(data / "examples" / "Split-train", EXAMPLES)
    else:
        drawn = np.random.default_rng(0)
        words = {"".join(drawn.choice(list("abcdefghij"), 5)): 3 for _ in range(3000)}
        model = subwords.train(words, VocabularyConfig(size=1000, character_coverage=1.0))
        (data / "joint.model").write_bytes(model)
        with tf.io.TFRecordWriter(str(data / "records")) as writer:
            for _ in range(PAIRS):
                example = tf.train.Example()
                for name in ("inputs", "targets"):
                    ids = drawn.integers(3, 900, drawn.integers(8, 40))
                    example.features.feature[name].int64_list.value.extend(ids)
                writer.write(example.SerializeToString())
    parts(task, data)


def _translation(data: Path) -> tuple[Task, TrainingConfig, BatchSource]:
    batches = SubwordDataConfig(
        path=str(data / "records"), store=str(data / "store"), tokens_per_batch=TOKENS
    )
    config = TranslationConfig(
        model=NetworkConfig().resolved(),
        train_data=batches,
        sentencepiece_model_path=str(data / "joint.model"),
    )
    task = TranslationTask(config)
    settings = TranslationTrainingConfig(
        tokens_per_batch=TOKENS, optimizer=OptimizerConfig(), precision="float32"
    )
    return task, settings, task.batches(batches)


def main() -> None:
    """Prints JSON with the speed, in the batches' unit a second over all workers."""
    name, data, work = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    placement = strategies.create(StrategyConfig())
    task, config, train = parts(name, data)
    changes = {"steps": STEPS[name], "tensorboard": False, "checkpoint_interval": 10**6}
    config = type(config)(**{**vars(config), **changes})
    result = fit(task, config, train, None, work, placement.strategy, Lines())
    sys.stdout.write(json.dumps({"speed": result.speed, "unit": result.unit}) + "\n")
    sys.stdout.flush()
    wait_for_all(placement.strategy)
    os._exit(0)


if __name__ == "__main__":
    main()
