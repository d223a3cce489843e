"""Searching for translations: greedy and beam search inside the graph.

Nothing here knows the model: a `Stepper` gives the logits of the next subword. Shapes: B
sentences, K hypotheses of each, N = B * K, L subwords so far, V subwords in the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from babelrank.components.translation.records import PAD_ID

_NEVER = -1e9
_CHUNK = 64


class Stepper(Protocol):
    """What decoding asks of a model. `past` is a nest of tensors [N, ...]."""

    def empty(self, rows: tf.Tensor, length: int) -> Any:
        """The past of `rows` hypotheses before their first subword, with room for `length`."""

    def __call__(
        self, ids: tf.Tensor, position: tf.Tensor, past: Any, static: bool
    ) -> tuple[tf.Tensor, Any]:
        """Logits [N, V] float32 after the last ids [N] at `position`, and the past with them."""


@dataclass(frozen=True)
class Settings:
    """How to search.

    Attributes:
        beam_size: K; 1 is greedy search.
        alpha: Exponent of the length penalty.
        eos_id: Id that ends a translation.
        static_length: Length of all tensors, for TPUs; None: they grow.
        complete: Go on until K translations have ended; otherwise until none that is still going
            can become the best one, which is then the same, but lower ranks may be cut off.
    """

    beam_size: int
    alpha: float
    eos_id: int
    static_length: int | None = None
    complete: bool = True


class Found(NamedTuple):
    """Translations, the best first.

    Attributes:
        ids: [B, K, L] int32, the end id included, then padding.
        scores: [B, K] float32: log-probability / length penalty, falling.
    """

    ids: tf.Tensor
    scores: tf.Tensor


def length_penalty(length: Any, alpha: float) -> tf.Tensor:
    """((5 + length) / 6) ^ alpha (https://arxiv.org/abs/1609.08144, equation 14)."""
    return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** alpha


def search(stepper: Stepper, limits: tf.Tensor, settings: Settings) -> Found:
    """Searches for the best translations.

    Args:
        stepper: The model over the encoded sentences.
        limits: [B] int32, the most subwords of each translation, the end included.
        settings: How.

    Returns:
        K translations of each sentence; what a sentence gets does not depend on the others.
    """
    if settings.beam_size == 1:
        return _greedy(stepper, limits, settings)
    return _beam(stepper, limits, settings)


def _greedy(stepper: Stepper, limits: tf.Tensor, settings: Settings) -> Found:
    """The likeliest subword at each step, until the end id."""
    rows, static = tf.shape(limits)[0], settings.static_length

    def going(position: tf.Tensor, ids: tf.Tensor, done: tf.Tensor, *_: Any) -> tf.Tensor:
        return (position < tf.reduce_max(limits)) & ~tf.reduce_all(done)

    def step(
        position: tf.Tensor, ids: tf.Tensor, done: tf.Tensor, total: tf.Tensor, past: Any
    ) -> Any:
        logits, past = stepper(_last(ids, position, static), position, past, static is not None)
        best = tf.argmax(logits, axis=-1, output_type=tf.int32)
        probability = tf.reduce_max(logits, axis=-1) - tf.reduce_logsumexp(logits, axis=-1)
        best = tf.where(done, PAD_ID, best)
        total += tf.where(done, 0.0, probability)
        done |= tf.equal(best, settings.eos_id) | (position + 1 >= limits)
        return position + 1, _append(ids, best, position, static), done, total, past

    start = tf.fill([rows, 1 + (static or 0)], PAD_ID)
    state = (
        tf.constant(0),
        start,
        tf.zeros([rows], tf.bool),
        tf.zeros([rows]),
        stepper.empty(rows, static or 0),
    )
    _, ids, _, total, _ = tf.while_loop(going, step, state, _shapes(state, static))
    ids = ids[:, 1:]
    lengths = tf.reduce_sum(tf.cast(tf.not_equal(ids, PAD_ID), tf.int32), axis=1)
    return Found(ids[:, None], (total / length_penalty(lengths, settings.alpha))[:, None])


class _Beam(NamedTuple):
    """State of the beam search; `done` sentences do not change any more."""

    position: tf.Tensor  # []
    ids: tf.Tensor  # [B, K, 1 + L], the live hypotheses, the start id first
    total: tf.Tensor  # [B, K] their log-probabilities
    ended: tf.Tensor  # [B, K, 1 + L], the best that have ended
    scores: tf.Tensor  # [B, K] their normalised scores, _NEVER where there is none
    done: tf.Tensor  # [B]
    past: Any


def _beam(stepper: Stepper, limits: tf.Tensor, settings: Settings) -> Found:
    static = settings.static_length

    def going(*state: Any) -> tf.Tensor:
        beam = _Beam(*state)
        return (beam.position < tf.reduce_max(limits)) & ~tf.reduce_all(beam.done)

    def step(*state: Any) -> Any:
        return tuple(_beam_step(_Beam(*state), stepper, limits, settings))

    rows, size = tf.shape(limits)[0], settings.beam_size
    start = tf.fill([rows, size, 1 + (static or 0)], PAD_ID)
    first = _Beam(
        position=tf.constant(0),
        ids=start,
        # All hypotheses are equal at first: only one of them may go on.
        total=tf.tile([[0.0] + [_NEVER] * (size - 1)], [rows, 1]),
        ended=start,
        scores=tf.fill([rows, size], _NEVER),
        done=tf.zeros([rows], tf.bool),
        past=stepper.empty(rows * size, static or 0),
    )
    last = _Beam(*tf.while_loop(going, step, tuple(first), _shapes(tuple(first), static)))
    return _ranked(last, settings)


def _beam_step(beam: _Beam, stepper: Stepper, limits: tf.Tensor, settings: Settings) -> _Beam:
    size, static = settings.beam_size, settings.static_length
    rows, position = tf.shape(limits)[0], beam.position
    newest = _last(tf.reshape(beam.ids, [rows * size, -1]), position, static)
    logits, past = stepper(newest, position, beam.past, static is not None)
    total, parents, tokens = _candidates(logits, beam.total, size)
    # 2 K candidates: at most K of them end, so K live ones remain.
    sequences = _append(_pick(beam.ids, parents), tokens, position, static)
    ends = tf.equal(tokens, settings.eos_id)
    live_total, live = tf.math.top_k(tf.where(ends, _NEVER, total), size)
    penalty = length_penalty(position + 1, settings.alpha)
    old = beam.ended if static else tf.pad(beam.ended, [[0, 0], [0, 0], [0, 1]])
    scores, best = tf.math.top_k(
        tf.concat([beam.scores, tf.where(ends, total / penalty, _NEVER)], axis=1), size
    )
    ended = _pick(tf.concat([old, sequences], axis=1), best)
    ids = _pick(sequences, live)
    kept_parents = tf.gather(parents, live, batch_dims=1)
    rows_of = tf.reshape(tf.range(rows)[:, None] * size + kept_parents, [-1])
    # No live hypothesis can end better than at its largest possible penalty.
    bound = live_total[:, 0] / length_penalty(limits, settings.alpha)
    needed = scores[:, -1] if settings.complete else scores[:, 0]
    was = beam.done
    padded = beam.ids if static else tf.pad(beam.ids, [[0, 0], [0, 0], [0, 1]])
    return _Beam(
        position=position + 1,
        ids=tf.where(was[:, None, None], padded, ids),
        total=tf.where(was[:, None], beam.total, live_total),
        ended=tf.where(was[:, None, None], old, ended),
        scores=tf.where(was[:, None], beam.scores, scores),
        done=was | (needed >= bound) | (position + 1 >= limits),
        past=tf.nest.map_structure(lambda kept: tf.gather(kept, rows_of), past),
    )


def _candidates(
    logits: tf.Tensor, total: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The best 2 K continuations of each sentence.

    Args:
        logits: [N, V].
        total: [B, K] log-probabilities so far.
        size: K.

    Returns:
        Log-probabilities, parents in 0..K-1 and subwords, [B, 2 K] each, the best first.
    """
    wide = min(2 * size, logits.shape[-1])
    # The best of a sentence are among the best of each hypothesis.
    best, tokens = top_k(logits, wide)
    largest = best[:, :1]
    total_weight = tf.reduce_sum(tf.exp(logits - largest), axis=-1, keepdims=True)
    best -= largest + tf.math.log(total_weight)
    best = tf.reshape(best, [-1, size, wide]) + total[:, :, None]
    best, chosen = tf.math.top_k(tf.reshape(best, [-1, size * wide]), 2 * size)
    tokens = tf.gather(tf.reshape(tokens, [-1, size * wide]), chosen, batch_dims=1)
    return best, chosen // wide, tokens


def top_k(logits: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` of [N, V], by way of chunks: several times as fast on a CPU for large V.

    The k largest are in the k chunks with the largest maxima.
    """
    size = logits.shape[-1]
    if size < 4 * k * _CHUNK:
        return tf.math.top_k(logits, k)
    lowest = logits.dtype.min
    padded = tf.pad(logits, [[0, 0], [0, -size % _CHUNK]], constant_values=lowest)
    chunks = tf.reshape(padded, [-1, padded.shape[-1] // _CHUNK, _CHUNK])
    _, chosen = tf.math.top_k(tf.reduce_max(chunks, axis=-1), k)
    few = tf.reshape(tf.gather(chunks, chosen, batch_dims=1), [-1, k * _CHUNK])
    values, places = tf.math.top_k(few, k)
    within = tf.gather(chosen, places // _CHUNK, batch_dims=1) * _CHUNK
    return values, within + places % _CHUNK


def _ranked(beam: _Beam, settings: Settings) -> Found:
    """Ended hypotheses by their scores; where there are fewer than K, live ones follow."""
    lengths = tf.reduce_sum(tf.cast(tf.not_equal(beam.ids, PAD_ID), tf.int32), axis=2)
    live = beam.total / length_penalty(lengths, settings.alpha)
    scores = tf.concat([beam.scores, live], axis=1)
    # Both are sorted: the ended ones, then as many of the live ones as are needed.
    ended = tf.reduce_sum(tf.cast(beam.scores > _NEVER / 2, tf.int32), axis=1, keepdims=True)
    rank = tf.range(settings.beam_size)[None]
    order = tf.where(rank < ended, rank, settings.beam_size + rank - ended)
    ids = _pick(tf.concat([beam.ended, beam.ids], axis=1), order)
    return Found(ids[:, :, 1:], tf.gather(scores, order, batch_dims=1))


def _pick(sequences: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """[B, M, L] and indices [B, K] into M -> [B, K, L]."""
    return tf.gather(sequences, chosen, batch_dims=1)


def _last(ids: tf.Tensor, position: tf.Tensor, static: int | None) -> tf.Tensor:
    """[N, 1 + L] -> [N] the id at `position`."""
    return ids[:, -1] if static is None else tf.gather(ids, position, axis=1)


def _append(
    ids: tf.Tensor, newest: tf.Tensor, position: tf.Tensor, static: int | None
) -> tf.Tensor:
    """Puts `newest` [...] after `position` of ids [..., 1 + L]."""
    if static is None:
        return tf.concat([ids, newest[..., None]], axis=-1)
    here = tf.equal(tf.range(1 + static), position + 1)
    return tf.where(here, newest[..., None], ids)


def _shapes(state: Any, static: int | None) -> Any:
    """Shape invariants: everything after the first axes may grow, unless it is static."""
    if static is not None:
        return tf.nest.map_structure(lambda tensor: tensor.shape, state)

    def invariant(tensor: tf.Tensor) -> tf.TensorShape:
        shape = tensor.shape.as_list()
        if tensor.shape.rank == 4:  # keys and values [N, H, L, C]
            return tf.TensorShape([shape[0], shape[1], None, shape[3]])
        if tensor.shape.rank and tensor.dtype == tf.int32:  # ids, the last axis grows
            return tf.TensorShape([*shape[:-1], None])
        return tensor.shape

    return tf.nest.map_structure(invariant, state)
