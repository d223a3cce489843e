"""The translation task, driven the way the Model Garden's trainer drives a task."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
import tensorflow as tf

from babelrank.components.errors import ConfigError, InputError
from babelrank.components.training.config import OptimizerConfig
from babelrank.components.training.runtime_config import DifferentialPrivacyConfig
from babelrank.components.translation import subwords
from babelrank.components.translation.config import VocabularyConfig
from babelrank.components.translation.task import (
    SubwordDataConfig,
    TranslationConfig,
    TranslationTask,
    WMTDataConfig,
)
from tests.components.translation.conftest import small_config

PAIRS = [
    ("a red house", "ein rotes Haus"),
    ("a green house", "ein grünes Haus"),
    ("a red car", "ein rotes Auto"),
    ("a green car and a red house", "ein grünes Auto und ein rotes Haus"),
    ("the house", "das Haus"),
]


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    counts = {word: 3 for pair in PAIRS for side in pair for word in side.split()}
    path = tmp_path_factory.mktemp("subwords") / "joint.model"
    path.write_bytes(subwords.train(counts, VocabularyConfig(size=64, character_coverage=1.0)))
    return str(path)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("raw") / "pairs.tfrecord")
    write(path, [{"en": a.encode(), "de": b.encode()} for a, b in PAIRS])
    return path


def write(path: str, rows: Sequence[dict[str, Any]]) -> None:
    with tf.io.TFRecordWriter(path) as writer:
        for row in rows:
            example = tf.train.Example()
            for name, value in row.items():
                feature = example.features.feature[name]
                if isinstance(value, bytes):
                    feature.bytes_list.value.append(value)
                else:
                    feature.int64_list.value.extend(value)
            writer.write(example.SerializeToString())


def data(records: str, **changes: Any) -> WMTDataConfig:
    fields = {"input_path": records, "global_batch_size": 200, "src_lang": "en", "tgt_lang": "de"}
    return WMTDataConfig(**{**fields, "max_seq_length": 40, **changes})


@pytest.fixture
def task(model_path: str, records: str, tmp_path: Path) -> TranslationTask:
    config = TranslationConfig(
        model=small_config(decode_max_length=20, beam_size=2),
        train_data=data(records, is_training=True, seed=3),
        validation_data=data(records),
        sentencepiece_model_path=model_path,
    )
    return TranslationTask(config, logging_dir=str(tmp_path))


def test_driven_like_by_the_model_gardens_trainer(task: TranslationTask) -> None:
    config = task.task_config
    model = task.build_model()
    optimizer = task.create_optimizer(OptimizerConfig(learning_rate=0.03))
    dataset = task.build_inputs(config.train_data)
    train = iter(dataset)
    step = tf.function(
        lambda batch: task.train_step(batch, model, optimizer, metrics=[]),
        input_signature=[dataset.element_spec],
    )
    losses = [float(step(next(train))["loss"]) for _ in range(60)]
    assert losses[-1] < losses[0] / 2

    state = None
    for batch in task.build_inputs(config.validation_data):
        logs = task.validation_step(dict(batch), model, metrics=task.build_metrics(training=False))
        assert logs["loss"].shape == ()
        per_replica = {name: (value,) for name, value in logs.items()}
        state = task.aggregate_logs(state, per_replica)
    assert sorted(state) == [0, 1, 2, 3, 4]
    scores = task.reduce_aggregated_logs(state, global_step=60)
    references = [target for _, target in PAIRS]
    translations = task.tokenizers[1].texts([state[i][1] for i in range(5)])
    expected = sacrebleu.corpus_bleu(translations, [references]).score
    assert scores["sacrebleu_score"] == pytest.approx(expected)
    assert scores["bleu"] == scores["sacrebleu_score"]
    assert scores["bleu_score"] >= scores["sacrebleu_score"]
    assert 20 < scores["chrf"] <= 100


def test_a_sentence_counts_once_however_many_workers_saw_it(task: TranslationTask) -> None:
    ids = np.array([[5, 1], [6, 1]])
    logs = {"inputs": (ids, ids), "outputs": (ids, ids), "unique_ids": (np.array([0, 1]),) * 2}
    state = task.aggregate_logs(None, logs)
    assert task.aggregate_logs(state, logs) is state
    assert sorted(state) == [0, 1]


def test_ids_beyond_the_references_are_filling(task: TranslationTask) -> None:
    row = np.array([5, 1])
    state = {0: (row, row), 99: (row, row)}
    alone = task.reduce_aggregated_logs({0: (row, row)})
    assert task.reduce_aggregated_logs(state) == alone
    assert task.reduce_aggregated_logs({99: (row, row)}) == {}


def test_every_worker_validates_on_all_sentences(task: TranslationTask) -> None:
    context = tf.distribute.InputContext(2, 1, 2)
    seen = [
        int(i)
        for batch in task.build_inputs(task.task_config.validation_data, context)
        for i in batch["unique_id"]
    ]
    assert sorted(seen) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("size", "filling"), [(5, 0), (4, 3), (10, 5)])
def test_a_static_set_is_filled_up_and_never_by_a_whole_batch(
    model_path: str, records: str, tmp_path: Path, size: int, filling: int
) -> None:
    config = TranslationConfig(
        model=small_config(),
        validation_data=data(records, static_batch=True, global_batch_size=size),
        sentencepiece_model_path=model_path,
    )
    task = TranslationTask(config, logging_dir=str(tmp_path))
    batches = list(task.build_inputs(config.validation_data))
    assert {batch["inputs"].shape for batch in batches} == {(size, 40)}
    ids = np.concatenate([batch["unique_id"] for batch in batches])
    assert sorted(ids) == list(range(5 + filling))


def test_a_cut_sentence_ends_with_the_tokenizers_own_end(
    records: str, tmp_path: Path, own_end: Callable[[int], str]
) -> None:
    config = TranslationConfig(
        model=small_config(),
        validation_data=data(records, max_seq_length=4),
        sentencepiece_model_path=own_end(5),
    )
    task = TranslationTask(config, logging_dir=str(tmp_path))
    for batch in task.build_inputs(config.validation_data):
        lengths = (batch["inputs"] != 0).numpy().sum(axis=1)
        assert lengths.max() <= 4
        for row, length in zip(batch["inputs"].numpy(), lengths, strict=True):
            assert row[length - 1] == 5


def test_training_leaves_long_pairs_out_and_respects_the_token_budget(
    task: TranslationTask, records: str
) -> None:
    short = data(records, is_training=True, max_seq_length=16, global_batch_size=50, seed=1)
    batches = list(task.build_inputs(short).take(12))
    for batch in batches:
        assert max(batch["inputs"].shape[1], batch["targets"].shape[1]) <= 16
        assert batch["inputs"].shape[0] * batch["inputs"].shape[1] <= 50


def test_single_examples_with_raw_text(task: TranslationTask, records: str) -> None:
    raw = task.build_inputs(data(records, is_training=True, transform_and_batch=False, seed=1))
    texts = {example["en"].numpy().decode() for example in raw.take(40)}
    assert texts == {source for source, _ in PAIRS}


def test_transformed_ids(task: TranslationTask, tmp_path: Path) -> None:
    path = str(tmp_path / "ids.tfrecord")
    rows = [[5, 6, 1], [7, 1], [8, 9, 10, 1]]
    write(path, [{"inputs": row, "targets": row} for row in rows])
    params = SubwordDataConfig(path=path, store=str(tmp_path / "store"), is_training=False)
    (batch,) = task.build_inputs(params)
    assert {
        int(i): row[row != 0].tolist()
        for i, row in zip(batch["unique_id"], batch["inputs"].numpy(), strict=True)
    } == dict(enumerate(rows))
    model = task.build_model()
    logs = task.validation_step(batch, model)
    scores = task.reduce_aggregated_logs(task.aggregate_logs(None, logs))
    assert set(scores) >= {"bleu", "chrf"}
    train = task.build_inputs(dataclasses.replace(params, is_training=True))
    assert next(iter(train))["targets"].dtype == tf.int32


def test_loss_is_the_mean_over_real_subwords(task: TranslationTask) -> None:
    labels = tf.constant([[3, 1, 0], [1, 0, 0]])
    logits = tf.random.stateless_normal([2, 3, 64], [1, 2])
    loss = task.build_losses(labels, logits, aux_losses=[tf.constant(100.0)])
    single = task.build_losses(labels[:1], logits[:1]), task.build_losses(labels[1:], logits[1:])
    assert float(loss) == pytest.approx((2 * float(single[0]) + float(single[1])) / 3, rel=1e-5)
    assert float(task.build_losses(tf.zeros([1, 2], tf.int32), logits[:1, :2])) == 0.0


def test_loss_does_not_depend_on_the_number_of_replicas() -> None:
    script = Path(__file__).parent / "two_replicas.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    losses = json.loads(done.stdout.splitlines()[-1])
    assert losses["replicas"] == pytest.approx(losses["whole"], rel=1e-5)


def test_what_the_model_garden_refuses(tmp_path: Path, own_end: Callable[[int], str]) -> None:
    with pytest.raises(ValueError, match="Setencepiece model path not provided"):
        TranslationTask(TranslationConfig())
    with pytest.raises(ValueError, match="EOS token not in tokenizer vocab"):
        TranslationTask(TranslationConfig(sentencepiece_model_path=own_end(-1)))


def test_bad_data_configurations(task: TranslationTask, records: str) -> None:
    with pytest.raises(ConfigError, match="tfds_name: got 'wmt'"):
        task.build_inputs(WMTDataConfig(tfds_name="wmt", is_training=True))
    with pytest.raises(InputError, match="no such files"):
        task.build_inputs(data("/nowhere/*", is_training=True))
    with pytest.raises(ConfigError, match="global_batch_size: got 8"):
        task.build_inputs(data(records, is_training=True, global_batch_size=8))
    with pytest.raises(ConfigError, match="src_lang, tgt_lang"):
        task.build_inputs(data(records, is_training=True, src_lang=""))


def test_gradients_of_batches_are_not_private(task: TranslationTask, records: str) -> None:
    privacy = DifferentialPrivacyConfig(clipping_norm=1.0, noise_multiplier=1.0)
    optimizer = task.create_optimizer(OptimizerConfig(), dp_config=privacy)
    batch = next(iter(task.build_inputs(task.task_config.train_data)))
    with pytest.raises(ConfigError, match="dp_config: these gradients are of whole batches"):
        task.train_step(batch, task.build_model(), optimizer)


def test_loss_scaling(task: TranslationTask, records: str) -> None:
    runtime = type("Runtime", (), {"mixed_precision_dtype": "float16"})()
    optimizer = task.create_optimizer(OptimizerConfig(learning_rate=0.01), runtime)
    assert isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    model = task.build_model()
    batch = next(iter(task.build_inputs(task.task_config.train_data)))
    first = float(task.train_step(batch, model, optimizer)["loss"])
    for _ in range(5):
        last = float(task.train_step(batch, model, optimizer)["loss"])
    assert last < first


@pytest.fixture
def own_end(tmp_path: Path) -> Callable[[int], str]:
    """A SentencePiece model with its end at another id, or without an end."""

    def make(end: int) -> str:
        import sentencepiece

        text = tmp_path / "text.txt"
        text.write_text("\n".join(side for pair in PAIRS for side in pair))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text),
            model_prefix=str(tmp_path / "own"),
            vocab_size=24,
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=end,
            minloglevel=2,
        )
        return str(tmp_path / "own.model")

    return make
