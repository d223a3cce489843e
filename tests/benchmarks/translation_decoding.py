"""Beam search of our model against the Model Garden's, from the same weights, in one run.

The weights come from a short training of ours on Tatoeba, which is done once and kept, and are
carried over to the peer; both sides translate 1,000 held-out sentences in the same batches.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import numpy as np
import sacrebleu
import tensorflow as tf

from babelrank.components.translation.model import Transformer, build_transformer
from babelrank.components.translation.model_garden import Weights, carried_back, carry_over
from babelrank.components.translation.records import EOS_ID, INPUTS, PAD_ID, TARGETS
from tests.benchmarks import model_garden, tatoeba
from tests.benchmarks.network import NETWORK, PRECISIONS, matmul_rates
from tests.benchmarks.translation_training import Ours

WEIGHTS = tatoeba.CACHE / "weights.npz"
BEAM, LIMIT, STEPS = 4, 64, 40

Ids = np.ndarray[Any, Any]


def run(
    sentences: int = 1000, batch_size: int = 32, rounds: int = 2, steps: int = 2000
) -> dict[str, Any]:
    """Takes turns: the peer in float32, ours in float32, ours in bfloat16.

    Args:
        sentences: Number of held-out sentences, batched in the order of their lengths.
        batch_size: Sentences in a batch.
        rounds: Turns of each side.
        steps: Length of the training, when no weights are kept.

    Returns:
        For `beam` (real sentences, at most 64 subwords each) and `forced` (random sentences and
        weights: 40 steps for everyone): `_peer`, `_float32`, `_bfloat16`: sentences/s of all
        turns; `_ratio_…`: ours to the peer's, of the best turns; `_cpu_ratio_…`: of the processor
        seconds; `_share_…`: of the measured rate of matrix products, all hypotheses being as long
        as the best one. `bleu_…` of each side, cased, 13a; `same_…`: share of sentences with the
        peer's very translation; `logits_difference`: the largest, in float32.
    """
    corpus = tatoeba.prepared()
    weights = _learned(corpus, steps)
    with tempfile.TemporaryDirectory() as name, model_garden.started(Path(name)) as process:
        peer = _Peer(process, Path(name), corpus)
        peer.build(LIMIT)
        process.load(path=str(WEIGHTS))
        return _on_sentences(peer, weights, corpus, sentences, batch_size, rounds) | _on_forced(
            peer, batch_size, rounds
        )


def _on_sentences(
    peer: _Peer,
    weights: Weights,
    corpus: tatoeba.Corpus,
    sentences: int,
    batch_size: int,
    rounds: int,
) -> dict[str, Any]:
    ceilings = matmul_rates()
    models = {n: _carried(weights, n, LIMIT) for n in PRECISIONS}
    figures: dict[str, Any] = {f"gflops_{n}": rate / 1e9 for n, rate in ceilings.items()}
    figures["logits_difference"] = _logits_difference(peer, models["float32"], corpus)
    held_out = corpus.held_out[:sentences]
    turns, found = _turns(peer, models, _batches(corpus, held_out, batch_size), rounds)
    figures |= _speeds("beam", turns, len(held_out))
    figures |= _shares("beam", turns, _lengths(corpus, held_out, found), ceilings)
    return figures | _quality(corpus, held_out, found)


def _on_forced(peer: _Peer, batch_size: int, rounds: int) -> dict[str, Any]:
    """Random sentences and weights: hardly anything ends before the last step."""
    peer.build(STEPS)
    weights, batches = peer.weights(), 4
    models = {n: _carried(weights, n, STEPS) for n in PRECISIONS}
    draw = np.random.default_rng(0)
    ids = draw.integers(3, NETWORK.vocab_size, (batches, batch_size, 20), dtype=np.int32)
    turns, found = _turns(peer, models, list(ids), rounds)
    figures = _speeds("forced", turns, batches * batch_size)
    return figures | {"forced_steps": [all_[0].shape[1] for all_ in found.values()]}


class _Peer:
    """The peer's process, with arrays in place of files."""

    def __init__(self, process: Any, directory: Path, corpus: tatoeba.Corpus) -> None:
        self._process, self._vocabulary = process, str(corpus.vocabulary)
        self._here, self._there = directory / "commands.npz", directory / "results.npz"

    def build(self, limit: int) -> None:
        """A new model with random weights, whose translations have at most `limit` subwords."""
        network = NETWORK.fields(beam_size=BEAM, decode_max_length=limit)
        self._process.build(vocabulary=self._vocabulary, network=network)

    def weights(self) -> Weights:
        """The weights of the model."""
        self._process.save(path=str(self._there))
        with np.load(self._there) as file:
            return dict(file)

    def decode(self, batches: Sequence[Ids]) -> tuple[list[Ids], dict[str, float]]:
        """Translations [B, L] of each batch, and `seconds` and `cpu`."""
        np.savez(self._here, **{str(i): batch for i, batch in enumerate(batches)})
        took = self._process.decode(path=str(self._here), result=str(self._there))
        with np.load(self._there) as file:
            return [file[str(i)] for i in range(len(batches))], took

    def logits(self, pairs: dict[str, Ids]) -> Ids:
        """[B, T, V]."""
        np.savez(self._here, **pairs)
        self._process.logits(path=str(self._here), result=str(self._there))
        with np.load(self._there) as file:
            logits: Ids = file["logits"]
            return logits


class _Searcher:
    """Our model in a function as it is exported."""

    def __init__(self, model: Transformer) -> None:
        shape = tf.TensorSpec([None, None], tf.int32)
        self._search = tf.function(
            lambda ids: model({INPUTS: ids})["outputs"], input_signature=[shape], autograph=False
        )

    def decode(self, batches: Sequence[Ids]) -> tuple[list[Ids], dict[str, float]]:
        """See `_Peer`."""
        began, cpu = time.perf_counter(), time.process_time()
        found = [self._search(tf.constant(batch)).numpy() for batch in batches]
        return found, {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
        }


def _learned(corpus: tatoeba.Corpus, steps: int) -> Weights:
    """The kept weights, or those of a short training of ours, which are then kept."""
    if not WEIGHTS.exists():
        sys.stdout.write(f"  training {steps} steps on Tatoeba, once (about 15 minutes) …\n")
        sys.stdout.flush()
        side = Ours(corpus, "bfloat16", steps)
        side.feed_corpus()
        for done in range(0, steps, 100):
            loss = side.steps(min(100, steps - done))["loss"]
            sys.stdout.write(f"    step {done + 100}: loss {loss:.3f}\n")
            sys.stdout.flush()
        np.savez(WEIGHTS, **carried_back(side.model))
    with np.load(WEIGHTS) as file:
        return dict(file)


def _carried(weights: Weights, precision: str, limit: int) -> Transformer:
    config = NETWORK.config(beam_size=BEAM, decode_max_length=limit)
    size = NETWORK.vocab_size
    model = build_transformer(config, size, size, eos_id=EOS_ID, precision=precision)
    carry_over(weights, model)
    return model


def _logits_difference(peer: _Peer, model: Transformer, corpus: tatoeba.Corpus) -> float:
    """The largest difference over 64 held-out pairs, padding included."""
    pairs = corpus.held_out[-64:]
    cut = corpus.tokenizer.encode
    batch = {
        name: _padded(cut([pair[side] for pair in pairs]))
        for side, name in enumerate((INPUTS, TARGETS))
    }
    ours = model({name: tf.constant(ids) for name, ids in batch.items()}, training=False)
    return float(np.max(np.abs(ours.numpy() - peer.logits(batch))))


def _turns(
    peer: _Peer, models: dict[str, Transformer], batches: Sequence[Ids], rounds: int
) -> tuple[dict[str, list[dict[str, float]]], dict[str, list[Ids]]]:
    sides: dict[str, Any] = {"peer": peer} | {n: _Searcher(model) for n, model in models.items()}
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    found = {}
    for side in sides.values():
        side.decode(batches[:1])  # traces
    for _ in range(rounds):
        for name, side in sides.items():
            found[name], took = side.decode(batches)
            turns[name].append(took)
    return turns, found


def _speeds(kind: str, turns: dict[str, list[dict[str, float]]], sentences: int) -> dict[str, Any]:
    best = {
        name: {key: min(took[key] for took in all_) for key in ("seconds", "cpu")}
        for name, all_ in turns.items()
    }
    figures: dict[str, Any] = {
        f"{kind}_{name}": [round(sentences / took["seconds"], 1) for took in all_]
        for name, all_ in turns.items()
    }
    for name in PRECISIONS:
        figures[f"{kind}_ratio_{name}"] = best["peer"]["seconds"] / best[name]["seconds"]
        figures[f"{kind}_cpu_ratio_{name}"] = best["peer"]["cpu"] / best[name]["cpu"]
    return figures


def _shares(
    kind: str,
    turns: dict[str, list[dict[str, float]]],
    lengths: dict[str, tuple[list[int], list[int]]],
    ceilings: dict[str, float],
) -> dict[str, float]:
    figures = {}
    for name, all_ in turns.items():
        flops = NETWORK.decoding(*lengths[name], beam_size=BEAM)
        seconds = min(took["seconds"] for took in all_)
        figures[f"{kind}_share_{name}"] = flops / seconds / ceilings.get(name, ceilings["float32"])
    return figures


def _order(corpus: tatoeba.Corpus, pairs: Sequence[tuple[str, str]]) -> list[int]:
    lengths = [len(ids) for ids in corpus.tokenizer.encode([pair[0] for pair in pairs])]
    return sorted(range(len(pairs)), key=lengths.__getitem__)


def _batches(
    corpus: tatoeba.Corpus, pairs: Sequence[tuple[str, str]], batch_size: int
) -> list[Ids]:
    order = _order(corpus, pairs)
    ids = corpus.tokenizer.encode([pairs[i][0] for i in order])
    return [_padded(ids[first : first + batch_size]) for first in range(0, len(ids), batch_size)]


def _padded(rows: Sequence[Sequence[int]]) -> Ids:
    matrix = np.full((len(rows), max(map(len, rows))), PAD_ID, np.int32)
    for i, row in enumerate(rows):
        matrix[i, : len(row)] = row
    return matrix


def _cut(row: Ids) -> list[int]:
    """The ids before the end id or the padding."""
    ends = np.flatnonzero((row == EOS_ID) | (row == PAD_ID))
    return [int(i) for i in row[: ends[0] if ends.size else None]]


def _lengths(
    corpus: tatoeba.Corpus, pairs: Sequence[tuple[str, str]], found: dict[str, list[Ids]]
) -> dict[str, tuple[list[int], list[int]]]:
    """Of each side: lengths of the sources and of its translations, end ids included."""
    sources = sorted(len(ids) for ids in corpus.tokenizer.encode([pair[0] for pair in pairs]))
    return {
        name: (sources, [len(_cut(row)) + 1 for batch in batches for row in batch])
        for name, batches in found.items()
    }


def _quality(
    corpus: tatoeba.Corpus,
    pairs: Sequence[tuple[str, str]],
    found: dict[str, list[Ids]],
) -> dict[str, float]:
    references = [pairs[i][1] for i in _order(corpus, pairs)]
    texts = {
        name: corpus.tokenizer.decode([_cut(row) for batch in batches for row in batch])
        for name, batches in found.items()
    }
    figures = {
        f"bleu_{name}": sacrebleu.corpus_bleu(lines, [references]).score
        for name, lines in texts.items()
    }
    for name in PRECISIONS:
        same = [a == b for a, b in zip(texts[name], texts["peer"], strict=True)]
        figures[f"same_{name}"] = sum(same) / len(same)
    return figures
