"""Clients that ask a server again and again, and keep what it answered."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answered:
    """One answer.

    Attributes:
        version: The version that gave it.
        seconds: What it took.
        content: Its JSON.
    """

    version: str
    seconds: float
    content: Any


class Load:
    """Clients in threads, each with one connection, while this context is open.

    Args:
        url: Of the server.
        path: That is posted to.
        content: What is posted.
        clients: How many ask at the same time.
    """

    def __init__(self, url: str, path: str, content: Any, clients: int) -> None:
        self._address, self._path = urlsplit(url).netloc, path
        self._body = json.dumps(content)
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        self._ended = threading.Event()
        self.answers: list[Answered] = []
        self.failures: list[str] = []
        self.seconds = 0.0

    def __enter__(self) -> Load:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._began

    def answered(self, version: str) -> int:
        """How many answers a version has given."""
        return sum(one.version == version for one in tuple(self.answers))

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        while not self._ended.is_set():
            began = time.perf_counter()
            try:
                connection.request("POST", self._path, self._body)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            if answer.status != 200:
                self.failures.append(f"{answer.status}: {content.decode()}")
                continue
            version = answer.headers["x-babelrank-model-version"]
            seconds = time.perf_counter() - began
            self.answers.append(Answered(version, seconds, json.loads(content)))
        connection.close()
