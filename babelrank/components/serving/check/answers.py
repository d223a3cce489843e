"""What a model may answer, and when two answers are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
Row = dict[str, list[Any]]
"""The answer for one example: by output, its values."""
_PAD = -1  # ends rows of ids


@dataclass(frozen=True)
class Difference:
    """Where two answers for one example differ.

    Attributes:
        output: Name of the output.
        got: What came.
        expected: What should have come.
    """

    output: str
    got: Any
    expected: Any

    def __str__(self) -> str:
        if isinstance(self.got, (int, float)) and isinstance(self.expected, (int, float)):
            apart = f"{abs(self.got - self.expected):.3g} apart"
            return f"{self.output}: got {self.got:.6g}, expected {self.expected:.6g} ({apart})"
        return f"{self.output}: got {self.got!r:.200}, expected {self.expected!r:.200}"


def fault(outputs: Arrays, specs: Mapping[str, Any], batch: int) -> str:
    """What is wrong with the answers to a batch; empty: nothing.

    Args:
        outputs: What came, by output.
        specs: The `tf.TensorSpec`s that the signature promises.
        batch: Examples that were asked, B.
    """
    for name, spec in specs.items():
        values = outputs[name]
        rows = values.shape[0] if values.ndim else None
        if rows != batch:
            return f"{name} has the shape {list(values.shape)}; expected [{batch}, ...]"
        if values.ndim != spec.shape.rank and spec.shape.rank is not None:
            return f"{name} has the shape {list(values.shape)}; the signature says {spec.shape}"
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).reshape(batch, -1).all(axis=1))[0])
            return f"{name} is {_shown(values[row])} in row {row}; expected finite numbers"
        if values.dtype == object:
            text = _not_utf8(values)
            if text is not None:
                return f"{name} is {text!r:.100}; expected UTF-8, which JSON answers need"
    return ""


def rows(outputs: Arrays) -> list[Row]:
    """The answers by example.

    Where there are texts, such as the n-best, only the first value of each output counts: behind
    it, what scores alike may stand in any order.
    """
    texts = any(values.dtype == object for values in outputs.values())
    lists = {name: [_values(v, texts) for v in values] for name, values in outputs.items()}
    return [
        {n: found[i] for n, found in lists.items()}
        for i in range(len(next(iter(lists.values()), ())))
    ]


def compare(
    got: Row, expected: Row, tolerance: float, names: Sequence[str] | None = None
) -> tuple[list[Difference], float]:
    """Where two answers for one example differ, and by how much their numbers do at the most.

    A text may be another one where there are scores and all are the same: then two were equally
    good, and rounding has decided. A number that is not finite is the same as none, itself
    included: such a score says nothing, whoever gave it.

    Args:
        got: What came.
        expected: What should have come.
        tolerance: By how much numbers may differ, absolute or relative; whole ones may not.
        names: Outputs to compare; None: those that both have.

    Returns:
        The differences, and the largest one of two finite numbers.
    """
    numbers, texts, largest = [], [], 0.0
    scored = False
    for name in names or [n for n in expected if n in got]:
        if len(got[name]) != len(expected[name]):
            numbers.append(Difference(name, got[name], expected[name]))
        for one, other in zip(got[name], expected[name], strict=False):
            if isinstance(one, str) or isinstance(other, str):
                texts += [Difference(name, one, other)] if one != other else []
                continue
            apart, scored = abs(one - other), scored or isinstance(one, float)
            exact = isinstance(one, int) and isinstance(other, int)
            bound = 0 if exact else tolerance * max(1.0, abs(other))
            if not math.isfinite(apart):
                numbers.append(Difference(name, one, other))
                continue
            largest = max(largest, apart)
            if apart > bound:
                numbers.append(Difference(name, one, other))
    return numbers + (texts if numbers or not scored else []), largest


def _values(row: Any, first: bool) -> list[Any]:
    if isinstance(row, bytes):
        return [_text(row)]
    values = np.ravel(row)
    if values.dtype == object:
        return [_text(value) for value in values[: 1 if first else None]]
    if values.dtype.kind in "iu" and len(values) > 1:
        real = np.flatnonzero(values != _PAD)
        values = values[: int(real[-1]) + 1 if len(real) else 0]
    elif values.dtype.kind in "iu" and len(values) == 1 and values[0] == _PAD:
        values = values[:0]
    return list(values[: 1 if first else None].tolist())


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _shown(values: Any) -> str:
    return np.array2string(np.ravel(values)[:8], separator=", ")


def _not_utf8(values: npt.NDArray[Any]) -> bytes | None:
    for value in values.ravel():
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            return bytes(value)
    return None
