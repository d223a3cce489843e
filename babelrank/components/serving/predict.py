"""Asking an exported ranking model for scores: JSON lines in, scores out, in order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from babelrank.components.errors import InputError
from babelrank.components.serving import model_folder
from babelrank.components.serving.line_quarantine import LineQuarantine
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
        self.description = RowsDescription.load(self.path)
        import tensorflow as tf

        self._tf = tf
        self._model = model_folder.load(self.path)
        self.signatures = self._model.signatures

    def predict(
        self,
        lines: Iterable[str | bytes],
        batch: int = BATCH,
        quarantine: LineQuarantine | None = None,
    ) -> Iterator[dict[str, Any]]:
        """One prediction for each line that is not blank.

        Args:
            lines: JSON objects of raw columns; unknown keys are ignored.
            batch: Rows that go through the model together.
            quarantine: Takes bad lines, whose prediction is None; without one they are errors.

        Raises:
            InputError: A line is no JSON object or has a value of the wrong type.
        """
        rows = (
            _read(line, number, quarantine) for number, line in enumerate(lines, 1) if line.strip()
        )
        while chunk := list(itertools.islice(rows, batch)):
            scores = iter(self._scores(chunk, quarantine))
            for one in chunk:
                yield {self.description.output: None if one.row is None else next(scores)}

    def _scores(self, chunk: list[_Line], quarantine: LineQuarantine | None) -> list[float]:
        """Predictions for the good lines; a line whose values are bad becomes one without a row."""
        try:
            arrays = self._arrays(chunk)
        except InputError:
            if quarantine is None:
                raise
            for one in chunk:
                try:
                    self._arrays([one])
                except InputError as error:
                    quarantine.refuse(one.number, one.raw, "bad_value", error)
                    one.row = None
            arrays = self._arrays(chunk)
        found: list[float] = self.score(arrays).tolist()
        return found

    def _arrays(self, chunk: Sequence[_Line]) -> dict[str, npt.NDArray[Any]]:
        good = [(one.row, one.number) for one in chunk if one.row is not None]
        rows, numbers = [row for row, _ in good], [number for _, number in good]
        return self.description.arrays(rows, numbers)

    def score(self, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """[B] predictions for [B] arrays by column, as the description's columns make them."""
        tensors = {name: self._tf.constant(array) for name, array in arrays.items()}
        signature = self.signatures[self.description.signature]
        outputs: npt.NDArray[np.float32] = signature(**tensors)[self.description.output].numpy()
        return outputs


@dataclass
class _Line:
    """A line of input; without a row, it is bad."""

    raw: str | bytes
    number: int
    row: dict[str, Any] | None


def _read(line: str | bytes, number: int, quarantine: LineQuarantine | None) -> _Line:
    try:
        return _Line(line, number, _row(line, number))
    except InputError as error:
        if quarantine is None:
            raise
        quarantine.refuse(number, line, "bad_json", error)
        return _Line(line, number, None)


def _row(line: str | bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"line {number}: not valid JSON: {error}") from None
    if not isinstance(row, dict):
        shown = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        raise InputError(f"line {number}: got {shown.strip()[:60]}; takes a JSON object.")
    return row
