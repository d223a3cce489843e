"""Training speed of our translation task against the Model Garden's, step by step in one run.

Both sides have the same network, dropout, loss and optimizer (Adam), and take turns on the same
cores. Measured are full batches of equal lengths, and Tatoeba's lengths, where each side makes its
own batches of at most 4,096 subwords and only real target subwords count.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf

from babelrank.components.training import optimizers
from babelrank.components.training import strategy as strategies
from babelrank.components.translation.model_config import TranslationOptimizerConfig
from babelrank.components.translation.records import INPUTS, SOURCE, TARGET, TARGETS
from babelrank.components.translation.task import (
    SubwordDataConfig,
    TranslationConfig,
    TranslationTask,
)
from tests.benchmarks import model_garden, tatoeba
from tests.benchmarks.network import NETWORK, PRECISIONS, matmul_rates
from tests.benchmarks.tatoeba import LONGEST, TOKENS

SENTENCES, LENGTH = 128, 32

Figures = dict[str, float]


def run(rounds: int = 4, equal_steps: int = 6, real_steps: int = 20) -> dict[str, Any]:
    """Takes turns: the peer in float32, ours in float32, ours in bfloat16.

    Args:
        rounds: Turns of each side.
        equal_steps: Steps of a turn on batches of equal lengths.
        real_steps: Steps of a turn on Tatoeba's lengths.

    Returns:
        For `equal` (128 x 32) and `real` (Tatoeba): `_peer`, `_float32` and `_bfloat16`: real
        target tokens/s of all turns; `_ratio_float32`, `_ratio_bfloat16`: ours to the peer's, of
        the best turns; `_cpu_ratio_…`: of the processor seconds per token, which other work on
        the machine disturbs less; `_share_…`: of the measured rate of matrix products;
        `_padding_…`: share of the target that is padding. `gflops_…`: that rate.
    """
    corpus = tatoeba.prepared()
    sides = {name: Ours(corpus, name) for name in PRECISIONS}
    ceilings = matmul_rates()
    figures: dict[str, Any] = {f"gflops_{n}": rate / 1e9 for n, rate in ceilings.items()}
    with tempfile.TemporaryDirectory() as name, model_garden.started(Path(name)) as peer:
        peer.build(vocabulary=str(corpus.vocabulary), network=NETWORK.fields())
        peer.feed_random(sentences=SENTENCES, length=LENGTH, vocab_size=NETWORK.vocab_size)
        for side in sides.values():
            side.feed_random()
        flops = NETWORK.training([LENGTH], [LENGTH]) / LENGTH
        turns = _turns(peer, sides, rounds, equal_steps)
        figures |= _figures("equal", turns, flops, ceilings)
        peer.feed_corpus(
            path=str(corpus.raw), languages=[SOURCE, TARGET], tokens=TOKENS, longest=LONGEST
        )
        for side in sides.values():
            side.feed_corpus()
        turns = _turns(peer, sides, rounds, real_steps)
    lengths = _lengths(corpus)
    flops = NETWORK.training(*lengths) / lengths[1].sum()
    return figures | _figures("real", turns, flops, ceilings)


def _turns(peer: Any, sides: dict[str, Ours], rounds: int, steps: int) -> dict[str, list[Figures]]:
    everyone = {"peer": peer} | sides
    for side in everyone.values():
        side.steps(count=2)  # traces, and fills the buffers
    turns: dict[str, list[Figures]] = {name: [] for name in everyone}
    for _ in range(rounds):
        for name, side in everyone.items():
            turns[name].append(side.steps(count=steps))
    return turns


def _figures(
    kind: str, turns: dict[str, list[Figures]], flops: float, ceilings: dict[str, float]
) -> dict[str, Any]:
    speeds = {n: [f["tokens"] / f["seconds"] for f in all_] for n, all_ in turns.items()}
    cpu = {n: min(f["cpu"] / f["tokens"] for f in all_) for n, all_ in turns.items()}
    figures: dict[str, Any] = {f"{kind}_{n}": list(map(round, all_)) for n, all_ in speeds.items()}
    for name in PRECISIONS:
        best = max(speeds[name])
        figures[f"{kind}_ratio_{name}"] = best / max(speeds["peer"])
        figures[f"{kind}_cpu_ratio_{name}"] = cpu["peer"] / cpu[name]
        figures[f"{kind}_share_{name}"] = best * flops / ceilings[name]
    figures[f"{kind}_share_peer"] = max(speeds["peer"]) * flops / ceilings["float32"]
    for name, all_ in turns.items():
        real, padded = (sum(f[key] for f in all_) for key in ("tokens", "padded"))
        figures[f"{kind}_padding_{name}"] = 1 - real / padded
    return figures


class Ours:
    """Our task as the training loop drives it; speaks like the peer.

    Args:
        corpus: What to train on.
        precision: float32 or bfloat16.
        total_steps: Length of a training with warm-up and cosine; None: a constant rate.
    """

    def __init__(
        self, corpus: tatoeba.Corpus, precision: str, total_steps: int | None = None
    ) -> None:
        self.corpus, self.precision = corpus, precision
        self.task = TranslationTask(
            TranslationConfig(
                model=NETWORK.config(),
                sentencepiece_model_path=str(corpus.vocabulary),
                precision=precision,
            )
        )
        tf.keras.utils.set_random_seed(1)
        self.strategy = strategies.create()
        with self.strategy.scope():
            self.model = self.task.build_model()
            self.optimizer = optimizers.create(_optimizer(total_steps), total_steps)
        self.batches: Iterator[Any] = iter(())

    def feed_random(self) -> None:
        """Batches of random ids, all of one length; as the peer's."""
        draw = np.random.default_rng(0)
        shape = (8, 2, SENTENCES, LENGTH)
        ids = draw.integers(3, NETWORK.vocab_size, shape, dtype=np.int32)
        batches = tf.data.Dataset.from_tensor_slices({INPUTS: ids[:, 0], TARGETS: ids[:, 1]})
        self._feed(batches.cache().repeat())

    def feed_corpus(self) -> None:
        """Batches of the pipeline: token counts by length from a column store."""
        batches = self.task.batches(
            SubwordDataConfig(
                path=str(_transformed(self.corpus)),
                store=str(tatoeba.CACHE / "store"),
                tokens_per_batch=TOKENS,
                max_length=LONGEST,
            )
        )
        self._feed(batches.dataset(epochs=None))

    def steps(self, count: int) -> Figures:
        """Takes training steps; see the peer's script."""
        tokens = padded = 0
        losses = []
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            batch = next(self.batches)
            losses.append(self._train(batch))
            tokens += tf.math.count_nonzero(batch[TARGETS])
            padded += tf.size(batch[TARGETS])
        loss = float(losses[-1])
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        figures = {"tokens": float(tokens), "padded": float(padded), "loss": loss}
        return figures | {"seconds": seconds, "cpu": cpu}

    def _feed(self, dataset: tf.data.Dataset) -> None:
        distributed = self.strategy.experimental_distribute_dataset(dataset)
        self.batches = iter(distributed)
        signature = [distributed.element_spec]
        self._train = tf.function(self._step, input_signature=signature, autograph=False)

    def _step(self, batch: Any) -> tf.Tensor:
        def replica_step(inputs: Any) -> Any:
            return self.task.train_step(inputs, self.model, self.optimizer)[self.task.loss]

        losses = self.strategy.run(replica_step, args=(batch,))
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, losses, axis=None)


def _optimizer(total_steps: int | None) -> TranslationOptimizerConfig:
    if total_steps is None:
        return TranslationOptimizerConfig(warmup_steps=0, decay="constant", clip_norm=None)
    return TranslationOptimizerConfig(learning_rate=0.002)


def _ids(corpus: tatoeba.Corpus) -> tuple[list[list[int]], list[list[int]]]:
    cut = corpus.tokenizer.encode
    return cut([pair[0] for pair in corpus.train]), cut([pair[1] for pair in corpus.train])


def _lengths(corpus: tatoeba.Corpus) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    sources, targets = (np.array([len(ids) for ids in side]) for side in _ids(corpus))
    kept = np.maximum(sources, targets) <= LONGEST
    return sources[kept], targets[kept]


def _transformed(corpus: tatoeba.Corpus) -> Path:
    """TFRecord of the training pairs as Transform writes them."""
    path = tatoeba.CACHE / "transformed.tfrecord.gz"
    if path.exists():
        return path
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for pair in zip(*_ids(corpus), strict=True):
            feature = {
                name: tf.train.Feature(int64_list={"value": ids})
                for name, ids in zip((INPUTS, TARGETS), pair, strict=True)
            }
            writer.write(tf.train.Example(features={"feature": feature}).SerializeToString())
    return path
