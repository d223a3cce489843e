"""The signatures of a loaded model as doors that all take the same raw `tf.Example`s.

A door that takes named columns or lines, as the description beside the model says, is handed the
features of the examples; one that takes serialized examples gets them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from babelrank.components.serving import model_folder
from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.model_rows import NO_TIME, RowColumn, RowsDescription

Arrays = dict[str, npt.NDArray[Any]]
SERVING = "serving_default"


@dataclass(frozen=True)
class Door:
    """A signature.

    Attributes:
        name: Its name.
        function: The signature.
        columns: What it takes, if these are columns.
        examples: Name of its input, if it takes serialized examples.
    """

    name: str
    function: Any
    columns: tuple[RowColumn, ...] = ()
    examples: str = ""

    @property
    def main(self) -> bool:
        """Whether this is one that servers are asked through."""
        return self.name == SERVING or bool(self.columns)

    @property
    def outputs(self) -> dict[str, Any]:
        """The `tf.TensorSpec` of each output."""
        return dict(self.function.structured_outputs)

    def arrays(self, examples: Sequence[bytes]) -> Arrays:
        """[B] what the signature takes, by input."""
        if not self.columns:
            return {self.examples: _objects(examples)}
        parsed = [tf.train.Example.FromString(one).features.feature for one in examples]
        return {column.name: _column(column, parsed) for column in self.columns}

    def tensors(self, examples: Sequence[bytes]) -> dict[str, tf.Tensor]:
        """The same as tensors of the right types, an empty batch included."""
        specs = self.function.structured_input_signature[1]
        return {n: tf.constant(v, specs[n].dtype) for n, v in self.arrays(examples).items()}

    def ask(self, examples: Sequence[bytes]) -> Arrays:
        """The answers, by output."""
        return self.answer(self.tensors(examples))

    def answer(self, tensors: Mapping[str, tf.Tensor]) -> Arrays:
        """The answers to what `tensors` makes of some examples, by output."""
        return {n: v.numpy() for n, v in self.function(**tensors).items()}


def doors(loaded: Any, model: Path) -> tuple[list[Door], list[str]]:
    """The doors of a model, the main ones first, and the signatures that take something else.

    Args:
        loaded: The loaded model.
        model: Its folder, with the description of its rows or lines, if there is one.

    Raises:
        ModelError: The description cannot be read.
    """
    described, columns = description(model)
    found, strange = [], []
    for name, function in sorted(loaded.signatures.items()):
        inputs = function.structured_input_signature[1]
        if name == described and set(inputs) == {column.name for column in columns}:
            found.append(Door(name, function, columns))
        elif [spec.dtype for spec in inputs.values()] == [tf.string]:
            found.append(Door(name, function, examples=next(iter(inputs))))
        else:
            strange.append(name)
    return sorted(found, key=lambda door: not door.main), strange


def description(model: Path) -> tuple[str, tuple[RowColumn, ...]]:
    """The signature that takes columns, and these; nothing for a model of another make.

    Raises:
        ModelError: The description cannot be read.
    """
    if (model / model_folder.LINES).exists():
        lines = LinesDescription.load(model)
        return lines.signature, (RowColumn(name=lines.source, kind="text"),)
    if (model / model_folder.ROWS).exists():
        rows = RowsDescription.load(model)
        return rows.signature, rows.columns
    return "", ()


def example(columns: Iterable[RowColumn], row: dict[str, Any]) -> bytes:
    """A serialized example of what the columns hold: one row of what `Door.arrays` gives."""
    made = tf.train.Example()
    for column in columns:
        name, value = column.feature or column.name, row[column.name]
        if column.kind == "time" and value != NO_TIME:
            made.features.feature[name].int64_list.value.append(int(value))
        elif column.kind == "number" and np.isfinite(value):
            made.features.feature[name].float_list.value.append(float(value))
        elif column.kind == "text":
            raw = value if isinstance(value, bytes) else str(value).encode()
            if parts := pieces(column, raw):
                made.features.feature[name].bytes_list.value.extend(parts)
    serialized: bytes = made.SerializeToString(deterministic=True)
    return serialized


def pieces(column: RowColumn, raw: bytes) -> list[bytes]:
    """The categories that a text stands for."""
    parts = [raw] if column.separator is None else raw.split(column.separator.encode())
    return [part for part in parts if part]


def _column(column: RowColumn, parsed: Sequence[Any]) -> npt.NDArray[Any]:
    features = [one.get(column.feature or column.name, tf.train.Feature()) for one in parsed]
    if column.kind == "time":
        times = [list(one.int64_list.value)[:1] or [NO_TIME] for one in features]
        return np.array([value for (value,) in times], np.int64)
    if column.kind == "number":
        numbers = [list(one.float_list.value)[:1] or [np.nan] for one in features]
        return np.array([value for (value,) in numbers], np.float32)
    texts = [list(one.bytes_list.value) for one in features]
    if column.separator is None:
        return _objects([b"".join(values[:1]) for values in texts])
    return _objects([column.separator.encode().join(values) for values in texts])


def _objects(values: Sequence[bytes]) -> npt.NDArray[Any]:
    """[B] bytes; NumPy's own type for them drops NUL at their ends."""
    array = np.empty(len(values), object)
    array[:] = values
    return array
