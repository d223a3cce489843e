"""The Transformer that translates: encoder, decoder, and what decoding asks of them.

Shapes: B sentences, S source positions, T target positions, K hypotheses of a sentence, D width,
V subwords of the target.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training.dropout import Dropout
from babelrank.components.translation import decoding
from babelrank.components.translation.blocks import DecoderLayer, EncoderLayer
from babelrank.components.translation.layers import (
    KeysValues,
    Norm,
    causal_bias,
    padding_bias,
    position_encoding,
)
from babelrank.components.translation.records import EOS_ID, INPUTS, PAD_ID, TARGETS

_LONGEST = 512
"""Most subwords of a translation when the configuration does not say."""

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


class Transformer(tf.keras.Model):  # type: ignore[misc]
    """Translates sequences of subword ids.

    The output projection is the target's embedding; with one vocabulary for both languages it is
    the source's embedding too. Decoding starts from the padding id.

    Args:
        config: Anything with the fields of the Model Garden's `ModelConfig`.
        source_vocab_size: Number of subwords of the source.
        target_vocab_size: V.
        shared: One embedding for both sides.
        eos_id: Id that ends a sentence.
        dtype: Keras's policy, such as "mixed_bfloat16"; None: the global one.

    Raises:
        ConfigError: One embedding for vocabularies of two sizes, an odd width, or a stack whose
            heads do not divide the width.
    """

    def __init__(
        self,
        config: Any,
        source_vocab_size: int,
        target_vocab_size: int,
        shared: bool = True,
        eos_id: int = EOS_ID,
        dtype: Any = None,
    ) -> None:
        _check(config, source_vocab_size, target_vocab_size, shared)
        # The model's own variables are the embeddings, which are looked up in float32.
        super().__init__(name="transformer", dtype="float32")
        policy = _policy(dtype)
        self.config, self.products_dtype = config, policy.compute_dtype
        self.vocab_size, self.eos_id = target_vocab_size, eos_id
        self.beam_size, self.alpha = config.beam_size, config.alpha
        self._width = config.embedding_width
        initializer = tf.keras.initializers.RandomNormal(stddev=self._width**-0.5)
        self.target_embedding = self.add_weight(
            name="embedding" if shared else "target_embedding",
            shape=[target_vocab_size, self._width],
            initializer=initializer,
        )
        self.source_embedding = (
            self.target_embedding
            if shared
            else self.add_weight(
                name="source_embedding",
                shape=[source_vocab_size, self._width],
                initializer=copy.deepcopy(initializer),
            )
        )
        self.encoder_layers = [
            EncoderLayer(config.encoder, self._width, name=f"encoder_{i}", dtype=policy)
            for i in range(config.encoder.num_layers)
        ]
        self.decoder_layers = [
            DecoderLayer(config.decoder, self._width, name=f"decoder_{i}", dtype=policy)
            for i in range(config.decoder.num_layers)
        ]
        self.encoder_norm = Norm(config.encoder.norm_epsilon, name="encoder_norm")
        self.decoder_norm = Norm(1e-6, name="decoder_norm")  # as the Model Garden has it
        self.encoder_dropout = Dropout(config.dropout_rate, dtype="float32")
        self.decoder_dropout = Dropout(config.dropout_rate, dtype="float32")

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool | None = None) -> Any:
        """Logits of given targets, or translations.

        Args:
            inputs: `inputs` [B, S] int and, for logits, `targets` [B, T] int; padding is 0.
            training: Whether dropout is on.

        Returns:
            Logits [B, T, V] float32 of each next subword; without targets a dict of `outputs`
            [B, L] int32 (padded after the end id) and `scores` [B] float32.
        """
        encoded, bias = self.encode(inputs[INPUTS], training)
        targets = inputs.get(TARGETS)
        if targets is None:
            found = self.search(encoded, bias, inputs[INPUTS], complete=False)
            return {"outputs": found.ids[:, 0], "scores": found.scores[:, 0]}
        return self.logits(self.decode(targets, encoded, bias, training))

    def encode(self, ids: tf.Tensor, training: bool | None = False) -> tuple[tf.Tensor, tf.Tensor]:
        """[B, S] ids -> encoder output [B, S, D] in the compute dtype, and its bias."""
        mask = tf.not_equal(ids, PAD_ID)
        bias = padding_bias(mask)
        stream = self._embed(self.source_embedding, ids) * tf.cast(mask, tf.float32)[..., None]
        stream += position_encoding(tf.range(tf.shape(ids)[1]), self._width)
        stream = self.encoder_dropout(stream, training=training)
        for layer in self.encoder_layers:
            stream = layer(stream, bias, training=training)
        return tf.cast(self.encoder_norm(stream), self.products_dtype), bias

    def decode(
        self,
        targets: tf.Tensor,
        encoded: tf.Tensor,
        source_bias: tf.Tensor,
        training: bool | None = False,
    ) -> tf.Tensor:
        """States [B, T, D] before each target id [B, T], all at once."""
        shifted = tf.pad(targets, [[0, 0], [1, 0]], constant_values=PAD_ID)[:, :-1]
        length = tf.shape(targets)[1]
        stream = self._embed(self.target_embedding, shifted)
        stream += position_encoding(tf.range(length), self._width)
        stream = self.decoder_dropout(stream, training=training)
        bias = causal_bias(length)
        for layer in self.decoder_layers:
            stream = layer(stream, encoded, bias, source_bias, training=training)
        return self.decoder_norm(stream)

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """[..., D] -> [..., V] float32."""
        embedding = tf.cast(self.target_embedding, self.products_dtype)
        flat = tf.reshape(tf.cast(states, self.products_dtype), [-1, self._width])
        product = tf.cast(tf.matmul(flat, embedding, transpose_b=True), tf.float32)
        shape = tf.concat([tf.shape(states)[:-1], [self.vocab_size]], axis=0)
        logits = tf.reshape(product, shape)
        logits.set_shape([*states.shape[:-1], self.vocab_size])
        return logits

    def translate(
        self, ids: tf.Tensor, beam_size: int | None = None, complete: bool = True
    ) -> decoding.Found:
        """Searches for the best translations of [B, S] ids; see `decoding`."""
        encoded, bias = self.encode(ids)
        return self.search(encoded, bias, ids, beam_size, complete)

    def search(
        self,
        encoded: tf.Tensor,
        source_bias: tf.Tensor,
        ids: tf.Tensor,
        beam_size: int | None = None,
        complete: bool = True,
    ) -> decoding.Found:
        """The same from the encoder's output."""
        lengths = tf.reduce_sum(tf.cast(tf.not_equal(ids, PAD_ID), tf.int32), axis=1)
        limit = self.config.decode_max_length
        if limit is None:
            limits = tf.minimum(2 * lengths + 20, _LONGEST)
        else:
            limits = tf.fill(tf.shape(lengths), limit)
        settings = decoding.Settings(
            beam_size=beam_size or self.beam_size,
            alpha=self.alpha,
            eos_id=self.eos_id,
            static_length=limit if self.config.padded_decode else None,
            complete=complete,
        )
        memories = [layer.cross_attention.memory(encoded) for layer in self.decoder_layers]
        return decoding.search(_Stepper(self, memories, source_bias), limits, settings)

    def _embed(self, embedding: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
        return tf.gather(embedding, ids) * self._width**0.5


class _Stepper:
    """One decoding step of a model over the source's keys and values."""

    def __init__(
        self, model: Transformer, memories: list[KeysValues], source_bias: tf.Tensor
    ) -> None:
        self._model, self._memories, self._source_bias = model, memories, source_bias

    def empty(self, rows: tf.Tensor, length: int) -> list[KeysValues]:
        """Keys and values [rows, H, length, C] of every layer, all zero."""
        config = self._model.config
        heads = config.decoder.num_attention_heads
        shape = [rows, heads, length, config.embedding_width // heads]
        zeros = tf.zeros(shape, self._model.products_dtype)
        return [KeysValues(zeros, zeros) for _ in self._model.decoder_layers]

    def __call__(
        self,
        ids: tf.Tensor,
        position: tf.Tensor,
        past: list[KeysValues],
        static: bool,
    ) -> tuple[tf.Tensor, list[KeysValues]]:
        """The next subword.

        Args:
            ids: [B * K] the last subword of each hypothesis.
            position: [] its position.
            past: Keys and values of every layer, [B * K, H, position, C], or of a fixed length.
            static: Whether that length is fixed.

        Returns:
            Logits [B * K, V], and `past` with this position in it.
        """
        model = self._model
        width = model.config.embedding_width
        stream = model._embed(model.target_embedding, ids[:, None])
        stream += position_encoding(position[None], width)
        bias = None
        if static:
            length = past[0].keys.shape[2]
            bias = tf.where(tf.range(length) <= position, 0.0, -1e9)[None, None, None, :]
        kept = []
        for layer, old, memory in zip(model.decoder_layers, past, self._memories, strict=True):
            query, new = layer.query(stream)
            joined = KeysValues(
                *(_put(o, n, position, static) for o, n in zip(old, new, strict=True))
            )
            kept.append(joined)
            stream = layer.step(stream, query, joined, bias, memory, self._source_bias)
        return model.logits(model.decoder_norm(stream)[:, 0]), kept


def _put(old: tf.Tensor, new: tf.Tensor, position: tf.Tensor, static: bool) -> tf.Tensor:
    """Puts one position [N, H, 1, C] into what was kept."""
    if not static:
        return tf.concat([old, new], axis=2)
    here = tf.one_hot(position, old.shape[2], dtype=old.dtype)[None, None, :, None]
    return old * (1 - here) + new * here


def build_transformer(
    config: Any,
    source_vocab_size: int,
    target_vocab_size: int,
    shared: bool = True,
    eos_id: int = EOS_ID,
    precision: str | None = None,
) -> Transformer:
    """Makes the model with its variables.

    Args:
        config: See `Transformer`, as all other arguments but:
        precision: "float32", "bfloat16" or "float16"; None: Keras's global policy.
    """
    dtype = None if precision is None else PRECISIONS[precision]
    model = Transformer(config, source_vocab_size, target_vocab_size, shared, eos_id, dtype)
    ids = tf.ones([1, 1], tf.int32)
    model({INPUTS: ids, TARGETS: ids}, training=False)
    return model


def _policy(dtype: Any) -> Any:
    mixed = tf.keras.mixed_precision
    return mixed.global_policy() if dtype is None else mixed.Policy(dtype)


def _check(config: Any, source_vocab_size: int, target_vocab_size: int, shared: bool) -> None:
    if shared and source_vocab_size != target_vocab_size:
        raise ConfigError(
            f"shared: the vocabularies have {source_vocab_size} and {target_vocab_size} subwords; "
            "one embedding takes one vocabulary."
        )
    width = config.embedding_width
    if width % 2:
        raise ConfigError(f"embedding_width: got {width}; takes an even number.")
    for name in ("encoder", "decoder"):
        heads = getattr(config, name).num_attention_heads
        if width % heads:
            raise ConfigError(
                f"{name}.num_attention_heads: got {heads}; takes a divisor of the width, {width}."
            )
    if config.padded_decode and not config.decode_max_length:
        raise ConfigError("padded_decode: needs decode_max_length.")
