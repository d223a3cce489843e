"""A double of `tensorflow_model_server`, which cannot be had here, in this process on 127.0.0.1.

It takes the flags that our manifests pass, serves both interfaces, and looks for new versions. It
is as strict as TensorFlow Serving's sources are; it has no batching, labels or model config file.
"""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from tests.contract import rest, services
from tests.contract.status import NOT_FOUND, StatusError
from tests.contract.versions import AVAILABLE, Versions

FLAGS = (
    "port",
    "rest_api_port",
    "model_name",
    "model_base_path",
    "file_system_poll_wait_seconds",
    "monitoring_config_file",
)
"""Those of the server's flags that the double knows."""

_MONITORING = r'prometheus_config\s*\{\s*enable:\s*true,?\s+path:\s*"(/[^"]+)"\s*\}'
_UNBOUNDED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class ModelServer:
    """A running server of one model; a context manager.

    Args:
        name: Name of the model.
        base_path: Folder of its versions; as TensorFlow Serving's, the server opens no port before
            there is one.
        poll_seconds: Time between looks for new versions; None: only `poll` looks.
        metrics_path: Path of the metrics.

    Raises:
        StatusError: There is no version, or it cannot be loaded: that server would wait, or end.
    """

    def __init__(
        self,
        name: str,
        base_path: Path,
        poll_seconds: float | None = None,
        metrics_path: str | None = None,
    ) -> None:
        self.versions = Versions(name, base_path)
        self.poll()
        newest = self.versions.known()[0][1] if self.versions.known() else None
        if newest is None or newest.state != AVAILABLE:
            error = newest.error if newest else None
            raise error or StatusError(NOT_FOUND, f"no version of {name} in {base_path}")
        models = services.Models({name: self.versions})
        # Not a pool: it would outlive a request that hangs.
        self._http = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), rest.handler(models, metrics_path)
        )
        self._http.daemon_threads = True
        self._grpc = grpc.server(futures.ThreadPoolExecutor(8), options=_UNBOUNDED)
        services.add_to(self._grpc, models)
        self.target = f"127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._http.serve_forever, daemon=True)]
        if poll_seconds is not None:
            watch = threading.Thread(target=self._watch, args=(poll_seconds,), daemon=True)
            self._threads.append(watch)

    @classmethod
    def of_flags(cls, arguments: Sequence[str], root: Path) -> ModelServer:
        """The server that a command line starts; its ports are chosen freely.

        Args:
            arguments: Flags, as `--name=value`.
            root: Folder that stands for the root of the container's file system.

        Raises:
            ValueError: A flag, or the monitoring file, is none that TensorFlow Serving takes.
        """
        flags = dict(one.removeprefix("--").split("=", 1) for one in arguments)
        if unknown := set(flags) - set(FLAGS):
            raise ValueError(f"unknown flags: {unknown}")
        metrics = None
        if "monitoring_config_file" in flags:
            text = (root / flags["monitoring_config_file"].lstrip("/")).read_text().strip()
            found = re.fullmatch(_MONITORING, text)
            if found is None:
                raise ValueError(f"no MonitoringConfig: {text}")
            metrics = found[1]
        return cls(
            flags["model_name"],
            root / flags["model_base_path"].lstrip("/"),
            float(flags["file_system_poll_wait_seconds"]),
            metrics,
        )

    def __enter__(self) -> ModelServer:
        self._grpc.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(grace=5).wait()
        for thread in self._threads:
            thread.join()
        self.versions.close()

    def poll(self) -> None:
        """Looks for a new version, and loads it."""
        self.versions.poll()

    def _watch(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            # A folder that is away for a while takes nothing out of service.
            with contextlib.suppress(StatusError):
                self.poll()
