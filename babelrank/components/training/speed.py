"""How fast a training is, evaluations and checkpoints left out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Speed:
    """Examples or tokens a second in training steps.

    Attributes:
        value: The speed so far; 0 before the second step: the first one is traced and compiled.
    """

    def __init__(self) -> None:
        self._seconds, self._amount, self._began = 0.0, 0, False

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Counts the time of a step."""
        began = time.perf_counter()
        yield
        if self._began:
            self._seconds += time.perf_counter() - began

    def add(self, amount: int) -> None:
        """Counts what a step went through."""
        if self._began:
            self._amount += amount
        self._began = True

    @property
    def value(self) -> float:
        return self._amount / self._seconds if self._seconds else 0.0
