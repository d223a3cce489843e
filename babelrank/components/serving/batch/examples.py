"""A model that is asked about TFRecord files of serialized `tf.Example`s, whatever its task.

They go through the signature `serving_default` as they are, the one that the Evaluator judged.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google.protobuf.message import DecodeError

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import RAW_LIMIT, Block, Location, Rows
from babelrank.components.serving.batch.asking import Numbers, ask_apart
from babelrank.components.serving.batch.config import BatchConfig
from babelrank.components.serving.batch.lines import table
from babelrank.components.serving.batch.rows import Issues, texts_of
from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.model_rows import RowsDescription
from babelrank.components.serving.predict import BATCH as ROWS
from babelrank.components.serving.predict import Predictor
from babelrank.components.serving.translate import BATCH as LINES
from babelrank.components.serving.translate import Translator, batches, translated

SIGNATURE, EXAMPLES = "serving_default", "examples"
_BLOCK_BATCHES = 16


class Examples:
    """Asks about serialized examples.

    Args:
        model: The model.
        config: What to keep.
    """

    def __init__(self, model: Predictor | Translator, config: BatchConfig) -> None:
        self._model = model
        self._config = config
        self._signature = model.signatures[SIGNATURE]
        self._batch = config.batch_size or (ROWS if isinstance(model, Predictor) else LINES)

    def blocks(self, path: str) -> Iterator[Block]:
        """The blocks of a file, gz or plain.

        Raises:
            InputError: The file is truncated, corrupt or empty.
        """
        import tensorflow as tf

        options = tf.io.TFRecordOptions("GZIP" if path.endswith(".gz") else "")
        row, records = 0, None
        while True:
            try:
                records = records or tf.compat.v1.io.tf_record_iterator(path, options)
                found = list(itertools.islice(records, self._batch * _BLOCK_BATCHES))
            except (tf.errors.OpError, OSError) as error:
                raise InputError(f"{path}: cannot read the TFRecord file: {error}") from error
            if not found:
                break
            batch = pa.RecordBatch.from_arrays([pa.array(found, pa.large_binary())], [EXAMPLES])
            yield Block(batch, partial(_locate, found, row), row)
            row += len(found)
        if not row:
            raise InputError(f"{path}: the file is empty; expected examples.")

    def answer(self, block: Block) -> Rows:
        """The features that are kept of a block's examples, and the answers."""
        import tensorflow as tf

        examples = block.batch.column(0).to_numpy(zero_copy_only=False)
        issues = Issues(len(examples))
        parts: list[pa.RecordBatch] = []
        asked = [np.array([], np.int64)]

        def ask(rows: Numbers) -> pa.RecordBatch:
            outputs = self._signature(examples=tf.constant(examples[rows]))
            return self._table({name: tensor.numpy() for name, tensor in outputs.items()})

        for rows in self._batches(examples, issues):
            for part, answer in ask_apart(ask, rows):
                if isinstance(answer, str):
                    issues.add(part, "bad_example", answer)
                else:
                    parts.append(answer)
                    asked.append(part)
        good = np.flatnonzero(issues.fine)
        answers = pa.Table.from_batches(parts or [self._empty()]).combine_chunks()
        answers = answers.take(pa.array(np.argsort(np.concatenate(asked))))
        arrays = [*self._kept(examples[good]), *(c.combine_chunks() for c in answers.columns)]
        names = [*self._config.keep, *answers.schema.names]
        return self._finite(pa.RecordBatch.from_arrays(arrays, names), good, issues)

    def _batches(self, examples: npt.NDArray[Any], issues: Issues) -> Iterator[Numbers]:
        """The rows in batches, sentences by length; those with texts that are too long are bad."""
        about, limit = self._model.description, self._config.max_characters
        rows = isinstance(about, RowsDescription)
        names = _text_features(about)
        lines = [""] * len(examples)
        for n, serialized in enumerate(examples):
            if rows and len(serialized) <= limit:
                continue  # nor is any text in it longer
            number = np.array([n])
            try:
                texts = _texts(serialized, names)
            except DecodeError:
                issues.add(number, "bad_example", "it is no serialized tf.Example")
                continue
            longest = max(names, key=lambda name: len(texts[name]), default="")
            if longest and len(texts[longest]) > limit:
                detail = (
                    f"{longest}: {len(texts[longest]):,} characters; at most {limit:,} are taken"
                )
                issues.add(number, "too_long", detail)
            elif not rows:
                lines[n] = texts[longest] if texts[longest].strip() else "."  # asked all the same
        if rows:
            fine = np.flatnonzero(issues.fine)
            yield from (fine[n : n + self._batch] for n in range(0, len(fine), self._batch))
        else:
            yield from (np.array(rows, np.int64) for rows in batches(lines, self._batch))

    def _finite(self, batch: pa.RecordBatch, good: Numbers, issues: Issues) -> Rows:
        """Takes out the rows whose score is no finite number."""
        about = self._model.description
        if not isinstance(about, RowsDescription):
            return Rows(batch, good, sorted(issues.bad))
        scores = batch.column(batch.num_columns - 1).to_numpy()
        fine = np.isfinite(scores)
        detail = f"the model's {about.output} is no finite number"
        issues.add(good[~fine], "not_finite", detail)
        return Rows(batch.filter(pa.array(fine)), good[fine], sorted(issues.bad))

    def _table(self, outputs: dict[str, npt.NDArray[Any]]) -> pa.RecordBatch:
        about = self._model.description
        if isinstance(about, RowsDescription):
            scores = pa.array(outputs[about.output].astype(np.float32))
            return pa.RecordBatch.from_arrays([scores], [about.output])
        size = self._config.nbest or 1
        texts, scores = (outputs[name][:, :size].tolist() for name in (about.nbest, about.scores))
        found = [translated("", *row) for row in zip(texts, scores, strict=True)]
        return table(about, found, self._config.nbest is not None)

    def _empty(self) -> pa.RecordBatch:
        about = self._model.description
        if isinstance(about, RowsDescription):
            return pa.RecordBatch.from_arrays([pa.array([], pa.float32())], [about.output])
        return table(about, [], self._config.nbest is not None)

    def _kept(self, examples: npt.NDArray[Any]) -> list[pa.Array]:
        """[B] the features that are kept, as texts."""
        if not self._config.keep:
            return []
        import tensorflow as tf
        from tfx_bsl.cc.tfx_bsl_extension.coders import ExamplesToRecordBatchDecoder

        try:
            batch = ExamplesToRecordBatchDecoder(None).DecodeBatch(examples.tolist())
        except RuntimeError:  # a feature is of one kind here and of another there
            parsed = [tf.train.Example.FromString(one).features.feature for one in examples]
            return [_as_texts(parsed, name) for name in self._config.keep]
        there, nothing = batch.schema.names, pa.nulls(len(examples), pa.string())
        return [
            texts_of(batch.column(name)) if name in there else nothing for name in self._config.keep
        ]


def _text_features(about: RowsDescription | LinesDescription) -> list[str]:
    """Names of the features whose texts the model reads."""
    if isinstance(about, RowsDescription):
        return [one.feature or one.name for one in about.columns if one.kind == "text"]
    return [about.source]


def _texts(serialized: bytes, names: Sequence[str]) -> dict[str, str]:
    """The texts of an example by feature; several of one feature as one.

    Raises:
        DecodeError: It is no example.
    """
    import tensorflow as tf

    features = tf.train.Example.FromString(serialized).features.feature
    raw = {n: b"".join(features[n].bytes_list.value) if n in features else b"" for n in names}
    return {name: text.decode("utf-8", "replace") for name, text in raw.items()}


def _as_texts(parsed: Sequence[Any], name: str) -> pa.Array:
    """[B] a feature of examples as texts, null where there is none, whatever kinds it has."""
    texts: list[str | None] = []
    for features in parsed:
        kind = features[name].WhichOneof("kind") if name in features else None
        values = None if kind is None else [list(getattr(features[name], kind).value)]
        texts.append(None if values is None else texts_of(pa.array(values))[0].as_py())
    return pa.array(texts, pa.string())


def _locate(examples: Sequence[bytes], first: int, indices: Sequence[int]) -> list[Location]:
    return [Location(f"record {first + i}", _shown(examples[i])) for i in indices]


def _shown(example: bytes) -> str:
    import tensorflow as tf

    try:
        return str(tf.train.Example.FromString(example))[:RAW_LIMIT]
    except DecodeError:
        return repr(example)[:RAW_LIMIT]
