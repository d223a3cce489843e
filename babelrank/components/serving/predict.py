"""Asking an exported ranking model for scores: JSON lines in, scores out, in order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from babelrank.components.errors import InputError
from babelrank.components.serving import model_folder
from babelrank.components.serving.model_rows import RowsDescription

BATCH = 1024


class Predictor:
    """A loaded ranking model.

    Args:
        path: Folder of a SavedModel, or of numbered versions, of which the newest is taken.

    Raises:
        ModelError: There is no model that BabelRank exported.
    """

    def __init__(self, path: Path) -> None:
        self.path = model_folder.newest(path)
        self._description = RowsDescription.load(self.path)
        import tensorflow as tf

        self._tf = tf
        self._model = model_folder.load(self.path)
        self._signature = self._model.signatures[self._description.signature]

    def predict(self, lines: Iterable[str], batch: int = BATCH) -> Iterator[dict[str, Any]]:
        """One prediction for each line that is not blank.

        Args:
            lines: JSON objects of raw columns; unknown keys are ignored.
            batch: Rows that go through the model together.

        Raises:
            InputError: A line is no JSON object or has a value of the wrong type.
        """
        rows = (_row(line, number) for number, line in enumerate(lines, 1) if line.strip())
        while chunk := list(itertools.islice(rows, batch)):
            arrays = self._description.arrays(*zip(*chunk, strict=True))
            tensors = {name: self._tf.constant(array) for name, array in arrays.items()}
            outputs = self._signature(**tensors)[self._description.output].numpy()
            for value in outputs.tolist():
                yield {self._description.output: value}


def _row(line: str, number: int) -> tuple[dict[str, Any], int]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"line {number}: not valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise InputError(f"line {number}: got {line.strip()[:60]}; takes a JSON object.")
    return row, number
