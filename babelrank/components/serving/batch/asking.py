"""Asking a model about many rows at a time, without one bad row spoiling the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Answer = TypeVar("Answer")

_WHERE = ("Graph execution error", "Detected at node", "<stack traces", "[[", "File ", "Traceback")


def ask_apart(
    ask: Callable[[Numbers], Answer], rows: Numbers
) -> Iterator[tuple[Numbers, Answer | str]]:
    """The rows in parts, each with the model's answer; a row that it cannot take stands alone.

    Halves what the model refuses until the row is found that it refuses.

    Args:
        ask: Asks the model about some rows.
        rows: [B] numbers of rows, one at least.

    Yields:
        Parts of the rows in their order, and the answer, or why there is none.
    """
    import tensorflow as tf

    refusals = (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError)
    # The last is what TensorFlow makes of its own error when that quotes bytes of a row.
    try:
        yield rows, ask(rows)
    except (*refusals, UnicodeDecodeError) as error:
        if len(rows) == 1:
            yield rows, sentence(_message(error))
            return
        half = len(rows) // 2
        yield from ask_apart(ask, rows[:half])
        yield from ask_apart(ask, rows[half:])


def _message(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode("utf-8", "backslashreplace")
    return str(getattr(error, "message", error))


def sentence(message: str) -> str:
    """What one of TensorFlow's messages says, without where in the graph."""
    lines = [line.strip() for line in message.splitlines()]
    said = [line for line in lines if line and not line.startswith(_WHERE)]
    return (said or lines or [""])[0][:200]
