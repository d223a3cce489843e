"""What a run shows on the terminal; everything that libraries print goes to a log file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from babelrank.components.evaluation.report import INTERRUPTED, StepSummary

TRAINING = "Trainer"
"""The step that has a progress bar of its own."""


class Display:
    """Shows the steps of a run.

    Args:
        stream: Where to; a terminal gets a line that counts the seconds, anything else plain
            lines.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._ticker: _Ticker | None = None

    def say(self, text: str) -> None:
        """Writes a line, and logs it."""
        logging.getLogger("babelrank").info(text.strip())
        print(text, file=self._stream, flush=True)

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Shows that something takes a while."""
        self._begin(text)
        begun = time.monotonic()
        try:
            yield
        finally:
            self._end(f"{text}  {_duration(time.monotonic() - begun)}")

    def step(self, step: StepSummary, number: int, total: int) -> None:
        """A step begins (its state is `not reached`) or has ended."""
        title = f"[{number}/{total}] {step.name:<17}"
        if step.state == "not reached":
            self._begin(title, live=step.name != TRAINING)
            return
        if step.error == INTERRUPTED:
            self._end(f"{title} {_duration(step.seconds or 0.0):>8}  {INTERRUPTED}")
            return
        text = {"ran": "", "cached": "  cached", "failed": "  FAILED"}.get(step.state, step.state)
        self._end(f"{title} {_duration(step.seconds or 0.0):>8}{text}")

    def _begin(self, text: str, live: bool = True) -> None:
        if self._live and live:
            self._ticker = _Ticker(self._stream, text)
            self._ticker.start()
        else:
            self.say(f"{text} …")

    def _end(self, text: str) -> None:
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        self.say(text)


class _Ticker(threading.Thread):
    """Rewrites one line of a terminal each second."""

    def __init__(self, stream: TextIO, text: str) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._text = text
        self._stopped = threading.Event()

    def run(self) -> None:
        begun = time.monotonic()
        while True:
            seconds = _duration(time.monotonic() - begun)
            self._stream.write(f"\r\033[K{self._text} {seconds:>8} …")
            self._stream.flush()
            if self._stopped.wait(1.0):
                return

    def stop(self) -> None:
        """Clears the line."""
        self._stopped.set()
        self.join()
        self._stream.write("\r\033[K")


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[TextIO]:
    """Sends what libraries print to `log`; yields a stream to the real standard error.

    TensorFlow's C++ parts write to the file descriptor itself, so that is redirected, and
    `sys.stderr` is put on a copy of the old one.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    sys.stderr.flush()
    terminal = os.dup(2)
    old = sys.stderr
    with log.open("ab", buffering=0) as file, os.fdopen(terminal, "w", buffering=1) as stream:
        os.dup2(file.fileno(), 2)
        sys.stderr = stream
        handler = logging.FileHandler(log, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        before = root.handlers[:], root.level
        root.handlers[:] = [handler]
        root.setLevel(logging.INFO)
        logging.captureWarnings(True)
        warnings.simplefilter("default")
        try:
            yield stream
        finally:
            root.handlers[:], _ = before
            root.setLevel(before[1])
            logging.captureWarnings(False)
            handler.close()
            sys.stderr = old
            os.dup2(terminal, 2)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min"
