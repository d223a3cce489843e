"""Two small trainings with numbers that follow from nothing but the code: ranking, translation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf

from babelrank.components.ranking.config import ModelConfig as NetworkConfig
from babelrank.components.ranking.config import RankingTrainingConfig
from babelrank.components.ranking.features import Features, SparseFeature
from babelrank.components.ranking.task import RankingInputConfig, RankingTask, RankingTaskConfig
from babelrank.components.training.config import OptimizerConfig, TrainingConfig
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.task import Task
from babelrank.components.translation import subwords
from babelrank.components.translation.config import VocabularyConfig
from babelrank.components.translation.model_config import (
    EncDecoder,
    ModelConfig,
    TranslationTrainingConfig,
)
from babelrank.components.translation.task import (
    SubwordDataConfig,
    TranslationConfig,
    TranslationTask,
)

TASKS = ("ranking", "translation")
_ROWS = 301  # the last batch of 32 has 13, the last of an evaluation by 50 one
_COLOURS = {"red": "rotes", "green": "grünes", "blue": "blaues", "old": "altes", "new": "neues"}
_THINGS = {"house": "Haus", "car": "Auto", "book": "Buch", "boat": "Boot", "picture": "Bild"}


@dataclass(frozen=True)
class Training:
    """What `fit` takes, but for the folder."""

    task: Task
    config: TrainingConfig
    train: BatchSource
    evaluation: BatchSource


def make(name: str, directory: Path, dropout: float = 0.0, **changes: Any) -> Training:
    """A training, with its data in a folder, which several processes may share.

    Args:
        name: One of `TASKS`.
        directory: Where its data are, or will be.
        dropout: Dropout everywhere.
        changes: Other values in the configuration of the training.
    """
    makers = {"ranking": _ranking, "translation": _translation}
    return makers[name](directory, dropout, changes)


def _ranking(directory: Path, dropout: float, changes: dict[str, Any]) -> Training:
    features = Features((SparseFeature("user", 6), SparseFeature("tags", 4, True)), 2)
    network = NetworkConfig(preset="tiny", dropout=dropout, embedding_l2=0.001)
    config = RankingTrainingConfig(
        **{"batch_size": 32, "epochs": 3, "evaluate_every": 7, "tensorboard": False, **changes}
    )
    task = RankingTask(
        RankingTaskConfig(features=features, model=network, training=config, weighted=True)
    )
    records = directory / "records"
    if not (directory / "store").exists():
        _write(records, _clicks())

    def batches(size: int, is_training: bool, poisson: bool = False) -> BatchSource:
        store = str(directory / "store")
        return task.batches(
            RankingInputConfig(
                path=str(records),
                store=store,
                batch_size=size,
                is_training=is_training,
                poisson=poisson,
            )
        )

    train = batches(config.privacy.batch_size, True, True) if config.privacy else batches(32, True)
    return Training(task, config, train, batches(50, False))


def _clicks() -> list[dict[str, Any]]:
    """Labels that depend on the user, and a little on the first dense value."""
    drawn = np.random.default_rng(0)
    users, dense = drawn.integers(0, 6, _ROWS), drawn.normal(size=(_ROWS, 2))
    labels = drawn.random(_ROWS) < 1 / (1 + np.exp(-2.0 * (users - 2.5) - dense[:, 0]))
    return [
        {
            "user": [users[i]],
            "tags": drawn.integers(0, 4, i % 3),
            "dense_features": dense[i],
            "label": [float(labels[i])],
            "weight": [1.0 + i % 2],
        }
        for i in range(_ROWS)
    ]


def _translation(directory: Path, dropout: float, changes: dict[str, Any]) -> Training:
    stack = EncDecoder(1, 2, 32, "relu", dropout, dropout, dropout)
    network = ModelConfig(
        encoder=stack,
        decoder=stack,
        embedding_width=16,
        dropout_rate=dropout,
        decode_max_length=12,
        beam_size=1,
    )
    optimizer = OptimizerConfig(learning_rate=0.02)
    config = TranslationTrainingConfig(
        **{
            "tokens_per_batch": 120,
            "max_length": 40,
            "epochs": 4,
            "evaluate_every": 9,
            "optimizer": optimizer,
            "precision": "float32",
            "tensorboard": False,
            **changes,
        }
    )
    model = directory / "joint.model"
    pairs = _pairs()
    if not model.exists():
        counts = {word: 3 for pair in pairs for side in pair for word in side.split()}
        text = VocabularyConfig(size=90, character_coverage=1.0)
        directory.mkdir(parents=True, exist_ok=True)
        model.write_bytes(subwords.train(counts, text))
    data = SubwordDataConfig(
        path=str(directory / "records"),
        store=str(directory / "store"),
        tokens_per_batch=120,
        max_length=40,
        poisson_batch_size=config.privacy.batch_size if config.privacy else None,
    )
    evaluation = SubwordDataConfig(
        path=str(directory / "records"), store=str(directory / "store"), tokens_per_batch=97,
        is_training=False, tgt_lang="de",
    )  # fmt: skip
    task = TranslationTask(
        TranslationConfig(
            model=network,
            train_data=data,
            validation_data=evaluation,
            sentencepiece_model_path=str(model),
            validation_beam_size=1,
        )
    )
    if not (directory / "store").exists():
        source, target = task.tokenizers
        columns = zip(*pairs, strict=True)
        ids = [
            tokenizer.tokenize(tf.constant(side)).to_list()
            for tokenizer, side in zip((source, target), columns, strict=True)
        ]
        _write(
            directory / "records",
            [{"inputs": a, "targets": b} for a, b in zip(*ids, strict=True)],
        )
    batches = task.batches(evaluation)
    task.use_references(batches)
    return Training(task, config, task.batches(data), batches)


def _pairs() -> list[tuple[str, str]]:
    pairs = [
        (f"the {a} {b}", f"das {c} {d}") for a, c in _COLOURS.items() for b, d in _THINGS.items()
    ]
    return [*pairs, *((f"{a} and a {b}", f"{c} und ein {d}") for (a, c), (b, d) in zip(
        pairs, _THINGS.items(), strict=False))]  # fmt: skip


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            example = tf.train.Example()
            for name, values in row.items():
                feature = example.features.feature[name]
                if len(values) and isinstance(values[0], float):
                    feature.float_list.value.extend(values)
                else:
                    feature.int64_list.value.extend(int(value) for value in values)
            writer.write(example.SerializeToString())
