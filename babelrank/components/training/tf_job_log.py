"""The log of a pod while it is written, whatever happens to the connection or the pod."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TextIO

from babelrank.components.errors import BabelRankError
from babelrank.components.training.tf_job_cluster import Cluster, Unreachable

_OFTEN = 1.0  # seconds between two looks
_LAST = 30  # lines
_TRIES = 5  # to read the end of it


class PodLog(threading.Thread):
    """Reads a pod's log line by line, each once, also when the pod is started again.

    Args:
        cluster: Where the pod is.
        name: Its name.
        out: Where the lines go; None: only the last ones are kept.

    Attributes:
        ended: Time of the last line of the newest pod of this name that has ended; None: none has.
        problem: Why the log cannot be read, if it cannot.
    """

    def __init__(self, cluster: Cluster, name: str, out: TextIO | None = None) -> None:
        super().__init__(name=f"log of {name}", daemon=True)
        self.ended: str | None = None
        self.problem: str | None = None
        self._cluster, self._pod, self._out = cluster, name, out
        self._kept: deque[str] = deque(maxlen=_LAST)
        self._over: tuple[str, ...] = ()  # last lines of the newest pod that has ended
        self._uid, self._read = "", ""  # the pod that is read, the one that has been read
        self._time, self._lines = "", 0  # time of the last line, and how many have it
        self._closing = threading.Event()

    def last(self) -> list[str]:
        """The last lines of the pod, or of the one before if this one has not ended."""
        return list(self._over or self._kept)

    def run(self) -> None:
        """Reads until `close`."""
        tries = _TRIES
        while tries:
            closing = self._closing.is_set()
            try:
                self._look()
                if closing:
                    return
            except Unreachable:
                tries -= closing
            except BabelRankError as error:
                self.problem = str(error)
                return
            if closing:
                time.sleep(_OFTEN)
            else:
                self._closing.wait(_OFTEN)

    def close(self) -> None:
        """Has the thread end, after it has read what there is; `join` waits for that."""
        self._closing.set()

    def _look(self) -> None:
        """Reads on, if there is a container that has begun and has not been read to its end."""
        pod = self._cluster.pod(self._pod)
        if pod is None or pod.uid != self._uid:
            self._conclude()  # whoever starts it again deletes it, often before we look
        if pod is None or not pod.started or pod.uid == self._read:
            return
        if pod.uid != self._uid:
            self._uid, self._time, self._lines = pod.uid, "", 0
            self._kept.clear()
        seen = 0
        for line in self._cluster.log(self._pod, self._time):
            stamp, _, text = line.partition(" ")
            # Asked for what came since a line, the answer begins with that line or before.
            if stamp < self._time:
                continue
            if stamp > self._time:
                self._time, self._lines, seen = stamp, 0, 0
            seen += 1
            if seen > self._lines:
                self._lines = seen
                self._take(text)
        if pod.exit_code is not None:
            self._conclude()

    def _conclude(self) -> None:
        """Notes that nothing comes any more from the pod that is read."""
        if self._uid != self._read:
            self._read, self._over, self.ended = self._uid, tuple(self._kept), self._time

    def _take(self, text: str) -> None:
        self._kept.append(text)
        if self._out is not None:
            self._out.write(text + "\n")
            self._out.flush()
