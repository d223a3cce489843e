"""Batches of raw sentence pairs: parse, tokenize, bucket by length (the Model Garden's way in).

The pipelines of this project train on Transform's output instead; this is for whoever drives the
task with a `WMTDataConfig`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ConfigError, InputError
from babelrank.components.translation.preprocessing import Tokenizer
from babelrank.components.translation.records import INPUTS, TARGETS

UNIQUE_ID = "unique_id"
_FIRST_BOUNDARY, _GROWTH = 8, 1.1


def load(
    params: Any,
    tokenizers: tuple[Tokenizer, Tokenizer],
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """A dataset of batches.

    Args:
        params: Anything with the fields of `WMTDataConfig`.
        tokenizers: Of the source and of the target.
        input_context: Which of several input pipelines this is. Only training data are divided
            among them: every worker validates on all sentences, so that BLEU is right on each.

    Returns:
        Dicts of `inputs` and `targets`, [B, T] int32, and `unique_id` [B] int32 where there is
        one; with `transform_and_batch=False` single examples with the raw text.

    Raises:
        ConfigError: `tfds_name` is given, or `global_batch_size` is too small for one sentence.
        InputError: No file matches.
    """
    examples = _examples(params, input_context)
    if not params.transform_and_batch:
        return examples
    source, target = tokenizers

    def tokenize(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        pair = {
            INPUTS: source.tokenize(example[params.src_lang][None])[0],
            TARGETS: target.tokenize(example[params.tgt_lang][None])[0],
        }
        if params.has_unique_id:
            pair[UNIQUE_ID] = tf.cast(example[UNIQUE_ID], tf.int32)
        return pair

    pairs = examples.map(tokenize, num_parallel_calls=tf.data.AUTOTUNE)
    longest = params.max_seq_length
    if params.is_training:
        pairs = pairs.filter(
            lambda pair: (tf.size(pair[INPUTS]) <= longest) & (tf.size(pair[TARGETS]) <= longest)
        )
    else:
        ends = {INPUTS: source.eos_id, TARGETS: target.eos_id}
        pairs = pairs.map(lambda pair: _cut(pair, longest, ends))
    return _batches(pairs, params, input_context).prefetch(tf.data.AUTOTUNE)


def write_references(params: Any, directory: str) -> tuple[list[str], str]:
    """Writes the validation examples with ids to `eval.tf_record`; see `load` for errors.

    With a static batch, empty examples fill the last one: as many as it lacks, and none when the
    set divides evenly.

    Returns:
        The references by id, and the path of the file.
    """
    references: list[str] = []
    path = os.path.join(directory, "eval.tf_record")
    scratch = f"{path}.{os.getpid()}.tmp"  # workers may share the directory
    tf.io.gfile.makedirs(directory)
    with tf.io.TFRecordWriter(scratch) as writer:
        for example in _examples(params, None).as_numpy_iterator():
            source, target = example[params.src_lang], example[params.tgt_lang]
            writer.write(_example(params, len(references), source, target))
            references.append(target.decode())
        lacking = -len(references) % params.global_batch_size if params.static_batch else 0
        for i in range(lacking):
            writer.write(_example(params, len(references) + i, b"", b""))
    tf.io.gfile.rename(scratch, path, overwrite=True)
    return references, path


def _example(params: Any, number: int, source: bytes, target: bytes) -> bytes:
    def text(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {params.src_lang: text(source), params.tgt_lang: text(target)}
    features[UNIQUE_ID] = tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    serialized: bytes = example.SerializeToString()
    return serialized


def _examples(params: Any, context: tf.distribute.InputContext | None) -> tf.data.Dataset:
    """Parsed examples of all files; in training shuffled and repeated."""
    if params.tfds_name:
        raise ConfigError(
            f"tfds_name: got {params.tfds_name!r}; takes TFRecord files: set input_path."
        )
    paths = _paths(params.input_path)
    files = tf.data.Dataset.from_tensor_slices(paths)
    pipelines, here = 1, 0
    if context is not None and params.is_training and params.sharding:
        pipelines, here = context.num_input_pipelines, context.input_pipeline_id
    by_file = len(paths) >= pipelines
    if by_file:
        files = files.shard(pipelines, here)
    if params.is_training:
        files = files.shuffle(len(paths), seed=params.seed).repeat()
    order = params.deterministic
    records = files.interleave(
        tf.data.TFRecordDataset,
        cycle_length=params.cycle_length or len(paths),
        block_length=params.block_length,
        deterministic=params.seed is not None if order is None else order,
    )
    if not by_file:
        records = records.shard(pipelines, here)
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in _languages(params)}
    if params.has_unique_id:
        features[UNIQUE_ID] = tf.io.FixedLenFeature([], tf.int64)
    examples = records.map(lambda record: tf.io.parse_single_example(record, features))
    if params.cache and not params.is_training:
        examples = examples.cache()
    if params.is_training:
        examples = examples.shuffle(params.shuffle_buffer_size, seed=params.seed)
    return examples


def _languages(params: Any) -> tuple[str, str]:
    if not params.src_lang or not params.tgt_lang:
        raise ConfigError(
            f"src_lang, tgt_lang: got {params.src_lang!r} and {params.tgt_lang!r}; take the names "
            "of the features with the two texts."
        )
    return params.src_lang, params.tgt_lang


def _paths(given: str | Sequence[str]) -> list[str]:
    patterns = [given] if isinstance(given, str) else list(given)
    patterns = [part.strip() for pattern in patterns for part in pattern.split(",")]
    paths = sorted({path for pattern in patterns if pattern for path in tf.io.gfile.glob(pattern)})
    if not paths:
        raise InputError(f"input_path: {given!r}: no such files; takes TFRecord files.")
    return paths


def _cut(pair: dict[str, tf.Tensor], longest: int, ends: dict[str, int]) -> dict[str, tf.Tensor]:
    """Cuts over-long sides; the last id is then the tokenizer's own end id."""
    cut = dict(pair)
    for name, end in ends.items():
        ids = pair[name]
        shortened = tf.concat([ids[: longest - 1], [tf.cast(end, ids.dtype)]], axis=0)
        cut[name] = tf.cond(tf.size(ids) > longest, lambda s=shortened: s, lambda i=ids: i)
    return cut


def _batches(
    pairs: tf.data.Dataset, params: Any, context: tf.distribute.InputContext | None
) -> tf.data.Dataset:
    size = params.global_batch_size
    if context is not None:
        size = context.get_per_replica_batch_size(size)
    longest = params.max_seq_length
    if params.static_batch:
        rows = size // longest if params.is_training else size
        if rows < 1:
            raise ConfigError(_too_small(size, longest))
        shapes = {name: [longest] if spec.shape.rank else [] for name, spec in _spec(pairs)}
        return pairs.padded_batch(rows, shapes, drop_remainder=True)
    bounds = []
    bound = _FIRST_BOUNDARY
    while bound < longest:
        bounds.append(bound)
        bound = max(bound + 1, int(bound * _GROWTH))
    rows_of = [size // bound for bound in (*bounds, longest + 1)]
    if min(rows_of) < 1:
        raise ConfigError(_too_small(size, longest + 1))
    return pairs.bucket_by_sequence_length(
        lambda pair: tf.maximum(tf.size(pair[INPUTS]), tf.size(pair[TARGETS])),
        bucket_boundaries=bounds,
        bucket_batch_sizes=rows_of,
        padded_shapes={name: [None] * spec.shape.rank for name, spec in _spec(pairs)},
    )


def _spec(pairs: tf.data.Dataset) -> list[tuple[str, Any]]:
    return list(pairs.element_spec.items())


def _too_small(size: int, longest: int) -> str:
    return (
        f"global_batch_size: got {size} subwords a replica; takes at least {longest}, one "
        "sentence of max_seq_length."
    )
