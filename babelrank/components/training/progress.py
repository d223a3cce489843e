"""How training tells people where it is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO

from tqdm import tqdm


class Progress(Protocol):
    """What the loop reports to.

    `update` is called about once a second and after the last step. An exception from it (such as
    KeyboardInterrupt) stops the training at that step, after a checkpoint.
    """

    def start(self, step: int, total: int, unit: str = "examples") -> None:
        """Training begins at `step` of `total`; speed is counted in `unit`."""

    def update(self, step: int, total: int, loss: float, speed: float) -> None:
        """`step` steps are done; `loss` is the mean since the last call, `speed` units a second."""

    def note(self, text: str) -> None:
        """One line about an event, such as an evaluation."""

    def close(self) -> None:
        """Training has ended, well or not."""


class Bar:
    """A bar with step, loss, speed and remaining time, for a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._unit = "examples"

    def start(self, step: int, total: int, unit: str = "examples") -> None:
        """See `Progress`."""
        self._unit = unit
        self._bar = tqdm(
            total=total, initial=step, file=self._stream, unit="step", dynamic_ncols=True
        )

    def update(self, step: int, total: int, loss: float, speed: float) -> None:
        """See `Progress`."""
        self._bar.set_postfix_str(f"loss {loss:.4f}, {speed:,.0f} {self._unit}/s", refresh=False)
        self._bar.update(step - self._bar.n)

    def note(self, text: str) -> None:
        """See `Progress`."""
        tqdm.write(text, file=self._stream)

    def close(self) -> None:
        """See `Progress`."""
        if self._bar is not None:
            self._bar.close()


class Lines:
    """One plain line every `interval` seconds, for a log."""

    def __init__(self, stream: TextIO | None = None, interval: float = 10.0) -> None:
        self._stream, self._interval = stream or sys.stderr, interval
        self._last = self._began = 0.0
        self._first, self._unit = 0, "examples"

    def start(self, step: int, total: int, unit: str = "examples") -> None:
        """See `Progress`."""
        self._began = self._last = time.monotonic()
        self._first, self._unit = step, unit
        self.note(f"training: step {step} of {total}")

    def update(self, step: int, total: int, loss: float, speed: float) -> None:
        """See `Progress`."""
        now = time.monotonic()
        if now - self._last < self._interval and step < total:
            return
        self._last = now
        done = max(1, step - self._first)
        left = tqdm.format_interval((now - self._began) / done * (total - step))
        self.note(
            f"training: step {step} of {total}, loss {loss:.4f}, "
            f"{speed:,.0f} {self._unit}/s, {left} left"
        )

    def note(self, text: str) -> None:
        """See `Progress`."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """See `Progress`."""


def default() -> Progress:
    """A bar if stderr is a terminal, otherwise lines."""
    return Bar() if sys.stderr.isatty() else Lines()
