"""What every request passes: its size and time are bounded, and it is counted.

Plain ASGI, around the whole application.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote

from babelrank.components.serving.server.metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_ASKED = re.compile(r"/v[12]/models/([^/:]+)(?::predict|(?:/versions/[^/]+)?/infer)")

_BINARY = b"inference-header-content-length"
"""Header of V2 requests whose tensors follow the JSON as bytes."""

log = logging.getLogger("babelrank.requests")


class Guard:
    """Refuses bodies that are too large or too slow, and counts what is answered.

    Args:
        app: The application.
        models: Names of the models.
        metrics: Where figures go.
        max_bytes: Largest body.
        seconds: In which a body must have come.
        log_requests: Whether each request leaves a line in the log.
    """

    def __init__(
        self,
        app: App,
        *,
        models: Sequence[str],
        metrics: Metrics,
        max_bytes: int,
        seconds: float,
        log_requests: bool,
    ) -> None:
        self._app, self._models, self._metrics = app, models, metrics
        self._max_bytes, self._seconds, self._log_requests = max_bytes, seconds, log_requests

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, code, size = time.perf_counter(), 500, 0
        seconds: float | None = None  # until the answer begins

        async def noted(message: Message) -> None:
            nonlocal code, seconds
            if message["type"] == "http.response.start":
                code, seconds = message["status"], time.perf_counter() - began
            await send(message)

        try:
            try:
                body = await self._body(scope, receive)
            except _TooLarge as error:
                most = f"{self._max_bytes / 2**20:g} MiB at the most"
                reason = f"body: takes {most}; send several requests."
                rest = partial(self._rest, receive) if error.more else None
                await _refuse(noted, 413, reason, rest)
            except TimeoutError:
                await _refuse(noted, 408, f"body: did not come within {self._seconds:g} s.")
            except _Gone:
                code = 499  # as other servers call a client that went away
            else:
                size = len(body)
                await self._app(_typed(scope), _replayed(body, receive), noted)
        finally:
            took = time.perf_counter() - began if seconds is None else seconds
            self._count(scope, code, size, took)

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._max_bytes:
            raise _TooLarge(True)
        parts, size = [], 0
        async with asyncio.timeout(self._seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                more = bool(message.get("more_body"))
                if size > self._max_bytes:
                    raise _TooLarge(more)
                if not more:
                    return b"".join(parts)

    async def _rest(self, receive: Receive) -> None:
        """Reads on and keeps nothing: most clients read no answer before they have sent all.

        A connection that is closed while they send is all that they would see. Who waits for leave
        to send has an answer by now, and goes.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while (await receive()).get("more_body"):
                    pass

    def _count(self, scope: Message, code: int, size: int, seconds: float) -> None:
        asked = _ASKED.fullmatch(scope["path"])
        name = unquote(asked[1]) if asked else None
        if asked:
            self._metrics.request(name if name in self._models else None, code, seconds)
        if self._log_requests:
            line = {
                "method": scope["method"],
                "path": scope["path"],
                "status": code,
                "bytes": size,
                "ms": round(seconds * 1000, 2),
            }
            log.info(json.dumps(line))


class _TooLarge(Exception):
    """A body is too large.

    Args:
        more: Whether more of it is to come.
    """

    def __init__(self, more: bool) -> None:
        super().__init__()
        self.more = more


class _Gone(Exception):
    pass


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body once; then waits for the client to go."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _typed(scope: Message) -> Message:
    """The request with the content type that KServe reads by: curl calls all a form."""
    headers = dict(scope["headers"])
    told = headers.get(b"content-type", b"").partition(b";")[0].strip()
    if scope["method"] != "POST" or told.endswith(b"+json"):
        return scope
    kind = b"application/octet-stream" if _BINARY in headers else b"application/json"
    return {**scope, "headers": list({**headers, b"content-type": kind}.items())}


async def _refuse(
    send: Send,
    status: int,
    reason: str,
    rest: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Answers at once, and closes the connection after `rest`."""
    content = json.dumps({"error": reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),  # what follows is the rest of a body and no request
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    if rest:
        await rest()
    await send({"type": "http.response.body", "body": b""})
