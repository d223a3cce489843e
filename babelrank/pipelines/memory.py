"""The most memory that this process and its children hold at a time."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

import psutil

INTERVAL = 0.25
"""Seconds between two looks; a look takes about a millisecond."""

_MIB = 2**20


class PeakMemory:
    """Looks at the memory from time to time while a block of code runs.

    It counts pages in RAM (the resident set). Pages that a process shares with its children count
    for each; a peak that is shorter than `INTERVAL` may be missed.

    Example:
        with PeakMemory() as memory:
            work()
        print(memory.peak_mib)
    """

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="peak-memory")

    def __enter__(self) -> PeakMemory:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        own = psutil.Process()
        held = 0
        with contextlib.suppress(psutil.Error):
            for process in (own, *own.children(recursive=True)):
                with contextlib.suppress(psutil.Error):  # it has just ended
                    held += process.memory_info().rss
        self.peak_mib = max(self.peak_mib, held / _MIB)
