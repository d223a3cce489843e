"""A ranking model that is asked about the blocks of a file: Arrow columns in, scores out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import Block, Rows
from babelrank.components.ingest.jsonl_reader import LIST_SEPARATOR
from babelrank.components.ingest.tables import read_blocks
from babelrank.components.serving.batch.asking import Numbers, ask_apart
from babelrank.components.serving.batch.config import BatchConfig
from babelrank.components.serving.predict import BATCH, Predictor

Mask = npt.NDArray[np.bool_]
_REASONS = {"text": "several_values", "number": "not_a_number", "time": "bad_timestamp"}
"""Why a value of each kind of column is bad, in the words of ingest."""


class RowsOfTables:
    """Asks about tables of raw columns.

    Args:
        predictor: The model.
        config: How to read, and what to keep.
    """

    def __init__(self, predictor: Predictor, config: BatchConfig) -> None:
        self._predictor = predictor
        self._config = config
        self._about = predictor.description
        self._wanted = {column.name: column.wanted for column in self._about.columns}
        self._wanted |= {name: pa.string() for name in config.keep}

    def blocks(self, path: str) -> Iterator[Block]:
        """The blocks of a file.

        Raises:
            InputError: The file cannot be read, is empty, or lacks a column.
        """
        config = self._config
        return read_blocks(
            path,
            config.format_of(path, self._about.task),
            self._wanted,
            config.delimiter,
            config.column_names,
            self._about.missing_values,
        )

    def answer(self, block: Block) -> Rows:
        """The rows that are kept of a block's columns, and their scores."""
        batch, name = block.batch, self._about.output
        arrays, issues = self._encoded(batch)
        scores = np.full(batch.num_rows, np.nan, np.float32)
        fine = np.flatnonzero(issues.fine)
        size = self._config.batch_size or BATCH

        def ask(rows: Numbers) -> npt.NDArray[np.float32]:
            return self._predictor.score({key: array[rows] for key, array in arrays.items()})

        for begin in range(0, len(fine), size):
            for rows, answer in ask_apart(ask, fine[begin : begin + size]):
                if isinstance(answer, str):
                    issues.add(rows, "model_error", answer)
                else:
                    scores[rows] = answer
        unfit = np.flatnonzero(issues.fine & ~np.isfinite(scores))
        issues.add(unfit, "not_finite", f"the model's {name} is no finite number")
        good = np.flatnonzero(issues.fine)
        kept = [texts_of(batch.column(one)) for one in self._config.keep]
        table = pa.RecordBatch.from_arrays([*kept, pa.array(scores)], [*self._config.keep, name])
        return Rows(table.take(pa.array(good)), good, issues.bad)

    def _encoded(self, batch: pa.RecordBatch) -> tuple[dict[str, npt.NDArray[np.generic]], Issues]:
        """[B] arrays by column, and which rows have no value where one stands."""
        issues = Issues(batch.num_rows)
        arrays = {}
        for column in self._about.columns:
            found = batch.column(column.name)
            try:
                arrays[column.name], bad = column.encode(found, self._about.missing_values)
            except pa.ArrowException as error:
                raise InputError(
                    f"the column {column.name} is of type {found.type}; takes a {column.kind}: "
                    f"{error}"
                ) from None
            issues.mark(bad, _REASONS[column.kind], column.name, found)
            if column.kind == "text":
                long = too_long(found, self._config.max_characters)
                issues.mark(long, "too_long", column.name, found)
        return arrays, issues


class Issues:
    """What is wrong with which row of a block; the first reason found for a row is its reason.

    Args:
        rows: Number of the rows.
    """

    def __init__(self, rows: int) -> None:
        self.fine = np.ones(rows, bool)
        self.bad: list[tuple[int, str, str]] = []

    def mark(self, mask: Mask, reason: str, name: str, column: pa.Array) -> None:
        """Marks the rows of a mask as bad, each with its value in a column."""
        for i in np.flatnonzero(mask & self.fine):
            self.bad.append((int(i), reason, f"{name} holds {column[int(i)].as_py()!r:.100}"))
        self.fine &= ~mask

    def add(self, rows: Numbers, reason: str, detail: str) -> None:
        """Marks some rows as bad."""
        self.bad += [(int(i), reason, detail) for i in rows]
        self.fine[rows] = False


def too_long(array: pa.Array, limit: int) -> Mask:
    """[B] which texts have more characters than the limit; those of a list count as one."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return too_long(array.dictionary_decode(), limit)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _too_long_lists(array, limit)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        lengths = pc.fill_null(pc.binary_length(array), 0)
        return np.asarray(lengths.to_numpy(zero_copy_only=False) > limit, bool)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return np.zeros(len(array), bool)
    if (pc.max(pc.binary_length(array)).as_py() or 0) <= limit:  # no more bytes than that either
        return np.zeros(len(array), bool)
    lengths = pc.fill_null(pc.utf8_length(array), 0)
    return np.asarray(lengths.to_numpy() > limit, bool)


def _too_long_lists(array: pa.Array, limit: int) -> Mask:
    """[B] which lists have more characters than the limit."""
    texts = array.flatten()
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        return np.zeros(len(array), bool)
    lengths = pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False)
    rows = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
    return np.asarray(np.bincount(rows, lengths, len(array)) > limit, bool)


def texts_of(array: pa.Array) -> pa.Array:
    """[B] values as texts, null where there is none; a list as JSON."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string(array.type):
        if not pc.any(pc.starts_with(array, LIST_SEPARATOR)).as_py():
            return array
        return pa.array([_listed(text) for text in array.to_pylist()], pa.string())
    if pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
        return pa.array([_json(value) for value in array.to_pylist()], pa.string())
    return pc.cast(array, pa.string())


def _listed(text: str | None) -> str | None:
    if text is None or not text.startswith(LIST_SEPARATOR):
        return text
    return _json(text.split(LIST_SEPARATOR)[1:])


def _json(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list) and len(value) == 1:
        return _json(value[0]) if isinstance(value[0], str | bytes) else str(value[0])
    return json.dumps(value, default=_json, ensure_ascii=False)
