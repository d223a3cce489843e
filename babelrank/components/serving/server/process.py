"""The process of the server: from its start to the last answer after SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import warnings
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from babelrank.components.errors import ConfigError, ModelError
from babelrank.components.serving.server.application import application
from babelrank.components.serving.server.metrics import Metrics
from babelrank.components.serving.server.served import Served
from babelrank.components.serving.server.settings import Settings
from babelrank.components.serving.server.watcher import Watcher

log = logging.getLogger("babelrank.server")


class Process:
    """The server, its models, and what keeps them at their newest versions.

    Args:
        settings: What it must know.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._metrics = settings, Metrics()
        self._models = {
            name: Served(name, settings.limits, self._metrics) for name in settings.models
        }
        self._watchers = [
            Watcher(self._models[name], folder, settings.limits, self._metrics, settings.unverified)
            for name, folder in settings.models.items()
        ]
        for name, served in self._models.items():
            self._metrics.add(name, lambda served=served: served.waiting)
        self._trouble: Exception | None = None
        self._address = ""
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(settings, self._models, self._metrics, self._beside),
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=settings.grace_seconds,
            )
        )

    def run(self) -> None:
        """Serves until SIGTERM or Ctrl-C, and answers what is under way then.

        Raises:
            ConfigError: The address cannot be listened on.
            ModelError: A model has no version that can be served.
        """
        listening = _listen(self._settings.host, self._settings.port)
        host, port = listening.getsockname()[:2]
        self._address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)  # Uvicorn has its own from its start to its end
        self._server.run(sockets=[listening])
        if self._trouble is not None:
            raise self._trouble

    def _stop(self, *_: object) -> None:
        self._server.should_exit = True

    @contextlib.asynccontextmanager
    async def _beside(self, _: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(self._keep())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for served in self._models.values():
            await served.close()
        log.info("stopped")

    async def _keep(self) -> None:
        """Loads every model, then looks for new versions; where that fails the server ends."""
        try:
            await self._begin()
            log.info("ready at %s", self._address)
            async with asyncio.TaskGroup() as tasks:
                for watcher in self._watchers:
                    tasks.create_task(watcher.watch(self._settings.poll_seconds))
        except Exception as error:  # whatever it is: a server that stays up would never be ready
            self._trouble = error
            self._server.should_exit = True

    async def _begin(self) -> None:
        """Loads every model.

        Raises:
            ModelError: A model has no good version, and is not to be waited for.
        """
        for watcher in self._watchers:
            try:
                await watcher.look()
            except ModelError as error:
                if not self._settings.wait:
                    raise
                log.warning("%s: waiting: %s", watcher.served.name, error)


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C; see `Process.run`."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("babelrank").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", "ORJSONResponse is deprecated")  # KServe uses it
    Process(settings).run()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise ConfigError(
            f"--host {host} --port {port}: cannot listen there: {error}. Name another --port; 0 "
            "picks one that is free."
        ) from error
    return listening
