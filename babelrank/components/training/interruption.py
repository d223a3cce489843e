"""Signals that ask a training to stop: it ends the step, saves, and goes on when started again."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Within `with`, SIGTERM and Ctrl-C only leave a note; a second Ctrl-C interrupts at once.

    Only the main thread of a program can take signals; elsewhere this does nothing.

    Attributes:
        asked: Name of the signal that came, or None.
        urgent: Whether a second one has interrupted.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self.urgent = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            # None: a handler that was not set from Python
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.asked:
            self.urgent = True
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name
