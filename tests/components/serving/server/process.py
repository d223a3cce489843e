"""A server in a process of its own, and how to ask it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from babelrank.pipelines import serving

ROOT = Path(serving.__file__).parents[2]
STARTING_SECONDS = 300


def environment() -> Path:
    """The Python that has KServe, whether it is there or not."""
    named = os.environ.get(serving.PYTHON)
    return Path(named) if named else ROOT / serving.ENVIRONMENT / "bin" / "python"


class Answer:
    """What the server answered."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a refusal."""
        return str(self.json()["error"])

    @property
    def version(self) -> str | None:
        return self.headers["x-babelrank-model-version"]


class Server:
    """`babelrank serve` on a free port of 127.0.0.1; its log is in a file.

    Args:
        folder: Where the log goes.
        arguments: Of the command.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / f"serve{len(list(folder.glob('serve*.log')))}.log"
        with self._log.open("wb") as log:
            command = ["-m", "babelrank.pipelines.cli", "serve", "--port", "0", *arguments]
            self.process = subprocess.Popen(
                [sys.executable, *command], stderr=log, cwd=ROOT, start_new_session=True
            )
        self.url = ""

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def ready(self) -> Server:
        """Waits until it is."""
        match = self.said(r"ready at (\S+)")
        self.url = match[1]
        return self

    def said(self, pattern: str) -> re.Match[str]:
        """Waits until the log has a text."""
        until = time.monotonic() + STARTING_SECONDS
        while time.monotonic() < until:
            ended = self.process.poll() is not None
            if match := re.search(pattern, self.log):
                return match
            if ended:
                raise AssertionError(f"the server ended with {self.process.returncode}: {self.log}")
            time.sleep(0.05)
        raise AssertionError(f"the server did not say {pattern!r}: {self.log}")

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask(urllib.request.Request(self.url + path, headers=headers))

    def post(self, path: str, content: Any, **headers: str) -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"content-type": "application/json", **headers}
        return self._ask(urllib.request.Request(self.url + path, body, headers))

    def predict(self, model: str, *instances: Any, **more: Any) -> Answer:
        return self.post(f"/v1/models/{model}:predict", {"instances": list(instances), **more})

    def predictions(self, model: str, *instances: Any, **more: Any) -> Any:
        answer = self.predict(model, *instances, **more)
        assert answer.status == 200, answer.body
        return answer.json()["predictions"]

    def infer(self, model: str, inputs: list[Any], **more: Any) -> Answer:
        return self.post(f"/v2/models/{model}/infer", {"inputs": inputs, **more})

    def metric(self, pattern: str) -> float:
        """The value of a metric, named by its beginning as in /metrics."""
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(pattern):
                return float(line.split()[-1])
        raise AssertionError(f"no metric {pattern}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def _ask(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())
