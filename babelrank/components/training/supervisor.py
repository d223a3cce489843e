"""Ends a training process that does not move: a worker that others have left may wait forever.

What TensorFlow does while it waits for other workers can neither be interrupted nor does it let
other threads of Python run. So another process watches it, over a pipe whose number is in an
environment variable.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType

from babelrank.components.errors import RESUME

_PIPE = "BABELRANK_SUPERVISOR_PIPE"
_OFTEN = 1.0  # seconds between two signs of life


class Watched:
    """Within `with`, the supervising process expects a sign of life every so often.

    Without a supervising process it does nothing.

    Args:
        seconds: How often at least.
        what: What is going on, for the message when there is no sign.
    """

    def __init__(self, seconds: float, what: str) -> None:
        self._begin = f"{seconds:g} {what}"
        pipe = os.environ.get(_PIPE)
        self._pipe = None if pipe is None else int(pipe)
        self._last = 0.0

    def alive(self) -> None:
        """It goes on."""
        now = time.monotonic()
        if now - self._last > _OFTEN:
            self._last = now
            self._write(self._begin)

    def __enter__(self) -> Watched:
        self._write(self._begin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write("")

    def _write(self, line: str) -> None:
        if self._pipe is not None:
            os.write(self._pipe, line.replace("\n", " ").encode() + b"\n")


def supervise(command: Sequence[str]) -> int:
    """Runs a process until it ends, or shows no sign of life while it is `Watched`.

    SIGTERM and Ctrl-C are passed on.

    Args:
        command: The command.

    Returns:
        Its exit code, 128 + N if signal N ended it; 143 if it was ended here, since it may be
        started again.
    """
    reading, writing = os.pipe()
    environment = {**os.environ, _PIPE: str(writing)}
    # In a session of its own: a Ctrl-C of the terminal would reach it twice.
    child = subprocess.Popen(command, env=environment, pass_fds=[writing], start_new_session=True)
    os.close(writing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: child.send_signal(received))
    silent = _wait_for_silence(reading)
    if silent is None:
        code = child.wait()
        return code if code >= 0 else 128 - code
    seconds, what = silent
    sys.stderr.write(
        f"babelrank: {what}: no sign of life for {seconds} s, so another worker is lost or stuck. "
        f"Look for the worker whose log ends first; started again, all of them go on from the "
        f"last checkpoint.\n"
    )
    child.kill()
    child.wait()
    return RESUME


def _wait_for_silence(pipe: int) -> tuple[str, str] | None:
    """Seconds and what went on, when a sign of life is missing; None when the pipe is closed."""
    expected: tuple[str, str] | None = None
    text = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], float(expected[0]) if expected else None)
        if not ready:
            return expected
        read = os.read(pipe, 65536)
        if not read:
            return None
        *lines, text = (text + read).split(b"\n")
        if lines:
            seconds, _, what = lines[-1].decode().partition(" ")
            expected = (seconds, what) if seconds else None
