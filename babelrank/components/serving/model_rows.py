"""The raw rows that an exported model takes: described beside it, and made into arrays.

A SavedModel's signature knows names and types; it does not know that a column is a time, or
by what a multivalent column is separated. That stands in `assets.extra/babelrank_rows.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from babelrank.components.errors import InputError
from babelrank.components.ingest.columns import Mask, to_floats, to_lists, to_seconds, to_texts
from babelrank.components.ingest.jsonl_reader import LIST_SEPARATOR
from babelrank.components.serving import model_folder
from babelrank.components.serving.shown import shown

FILE = model_folder.ROWS

NO_TIME = int(np.iinfo(np.int64).min)
"""Stands for a missing time; texts are '' and numbers NaN when missing."""


@dataclass(frozen=True, kw_only=True)
class RowColumn:
    """One raw column.

    Attributes:
        name: Its name.
        kind: `text`, `number` or `time`.
        separator: Between the categories of a multivalent column.
        time_format: strptime format of a time that is neither ISO 8601 nor a number.
        feature: Name of its feature in examples; None: the same.
    """

    name: str
    kind: str
    separator: str | None = None
    time_format: str | None = None
    feature: str | None = None

    def array(self, values: Sequence[Any], lines: Sequence[int]) -> npt.NDArray[Any]:
        """[B] what the signature takes, for JSON values; None is a missing value.

        Raises:
            InputError: A value has the wrong type; names its line, of the [B] `lines`.
        """
        numbered = zip(values, lines, strict=True)
        if self.kind == "text":
            return np.array([self._text(v, line) for v, line in numbered], dtype=object)
        if self.kind == "number":
            return np.array([self._number(v, line) for v, line in numbered], np.float32)
        told = [None if v is None else self._moment(v, line) for v, line in numbered]
        texts = pa.array(told, pa.string())
        seconds, missing, bad = to_seconds(texts, time_format=self.time_format)
        for i in np.flatnonzero(bad):
            raise self._error(lines[int(i)], values[int(i)], "a time")
        return np.where(missing, NO_TIME, seconds)

    @property
    def wanted(self) -> pa.DataType:
        """The Arrow type that the column of a file is hoped to parse to."""
        return pa.float64() if self.kind == "number" else pa.string()

    def encode(
        self, array: pa.Array, missing: Sequence[str] = ("",)
    ) -> tuple[npt.NDArray[Any], Mask]:
        """[B] what the signature takes, for the column of a file, by the rules of ingest.

        So a value that ingest would have kept from the training, such as an infinite number, is
        no value here either.

        Args:
            array: [B] what a reader found.
            missing: Texts that mean 'no value' in numbers and times.

        Returns:
            [B] the values, and [B] True where there is none because the file's is no such value.
        """
        if self.kind == "number":
            numbers, bad = to_floats(array, missing)
            return numbers.astype(np.float32), bad
        if self.kind == "time":
            seconds, absent, bad = to_seconds(array, missing, self.time_format)
            return np.where(absent | bad, NO_TIME, seconds), bad
        if self.separator is None:
            texts, bad = to_texts(array)
        else:
            texts, bad = joined(array, self.separator), np.zeros(len(array), bool)
        return pc.fill_null(texts.cast(pa.binary()), b"").to_numpy(zero_copy_only=False), bad

    def _text(self, value: Any, line: int) -> str:
        if value is None:
            return ""
        if self._takes(value):
            return (self.separator or "").join(self._text(item, line) for item in value)
        if isinstance(value, list | dict):
            wanted = "a text" if self.separator is None else "a text, a list of texts"
            raise self._error(line, value, wanted)
        if isinstance(value, bool):
            return "true" if value else "false"
        return self._unicode(value, line)

    def _takes(self, value: Any) -> bool:
        """Whether a value is a list that the column takes: of a text, or of several categories."""
        if not isinstance(value, list) or any(isinstance(item, list) for item in value):
            return False
        return self.separator is not None or len(value) <= 1

    def _moment(self, value: Any, line: int) -> str:
        if isinstance(value, list | dict):
            raise self._error(line, value, "a time")
        return self._unicode(value, line)

    def _unicode(self, value: Any, line: int) -> str:
        text = str(value)
        if not is_unicode(text):
            raise self._error(line, value, "Unicode text, without halves of surrogate pairs,")
        return text

    def _number(self, value: Any, line: int) -> float:
        if value is None or value == "":
            return float("nan")
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise self._error(line, value, "a number") from None

    def _error(self, line: int, value: Any, wanted: str) -> InputError:
        return InputError(f"line {line}: {self.name}: got {shown(value)}; takes {wanted} or null.")


@dataclass(frozen=True, kw_only=True)
class RowsDescription:
    """How a model takes raw rows.

    Attributes:
        task: `ranking`.
        signature: Name of the signature that takes them.
        output: Name of its output.
        columns: The raw columns.
        missing_values: Texts that mean 'no value' in the numbers and times of files.
    """

    task: str
    signature: str
    output: str
    columns: tuple[RowColumn, ...]
    missing_values: tuple[str, ...] = ("",)

    def save(self, model: str) -> None:
        """Writes the description beside a SavedModel."""
        model_folder.write(Path(model), FILE, asdict(self))

    @classmethod
    def load(cls, model: Path) -> RowsDescription:
        """Reads the description beside a SavedModel.

        Raises:
            ModelError: There is none.
        """
        data = model_folder.read(model, FILE)
        with model_folder.described(model, FILE):
            columns = tuple(RowColumn(**column) for column in data.pop("columns"))
            missing = tuple(data.pop("missing_values", ("",)))  # older exports lack it
            return cls(columns=columns, missing_values=missing, **data)

    def arrays(
        self, rows: Sequence[Mapping[str, Any]], lines: Sequence[int]
    ) -> dict[str, npt.NDArray[Any]]:
        """[B] arrays by column, of rows and their line numbers; a key that a row lacks is a
        missing value.

        Raises:
            InputError: A value has the wrong type.
        """
        return {
            column.name: column.array([row.get(column.name) for row in rows], lines)
            for column in self.columns
        }


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8; half a surrogate pair, as in JSON's "\\ud800", can
    not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def joined(array: pa.Array, separator: str) -> pa.Array:
    """[B] texts of several categories each; lists become texts with the separator between."""
    if pa.types.is_string(array.type) and not pc.any(pc.starts_with(array, LIST_SEPARATOR)).as_py():
        return to_texts(array)[0]
    lists = to_lists(array, separator)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    items = pc.fill_null(lists.flatten().cast(pa.string()), "")
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), items), separator)
