"""Tests of what every request passes, without a server."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from babelrank.components.serving.server.guard import App, Guard, Message, Receive, Send


class Counts:
    """Notes what was counted."""

    def __init__(self) -> None:
        self.requests: list[tuple[str | None, int]] = []
        self.seconds: list[float] = []

    def request(self, model: str | None, code: int, seconds: float) -> None:
        self.requests.append((model, code))
        self.seconds.append(seconds)


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Answers with the content type and the body that reached it."""
    body = (await receive())["body"]
    kind = dict(scope["headers"])[b"content-type"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": kind + b" " + body})


POST: Message = {"type": "http", "method": "POST", "path": "/v1/models/a:predict", "headers": []}


def guard_of(counts: Counts, app: App = echo, **changes: Any) -> Guard:
    """A guard with small limits."""
    limits = {"max_bytes": 8, "seconds": 0.1, "log_requests": False, **changes}
    return Guard(app, models=["a"], metrics=counts, **limits)  # type: ignore[arg-type]


def ask(
    *messages: Message, headers: Any = (), path: str = "/v1/models/a:predict", **changes: Any
) -> tuple[int, bytes, Counts]:
    """Status, body and counts of one request whose body comes as these messages."""
    counts, sent, coming = Counts(), [], iter(messages)
    guard = guard_of(counts, **changes)

    async def receive() -> Message:
        for message in coming:
            return message
        await asyncio.sleep(10)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guard({**POST, "path": path, "headers": list(headers)}, receive, send))
    status = sent[0]["status"] if sent else 0
    return status, sent[1]["body"] if sent else b"", counts


def part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_comes_whole_and_as_json():
    form = [(b"content-type", b"application/x-www-form-urlencoded")]

    status, body, counts = ask(part(b"{", True), part(b"}"), headers=form)

    assert (status, body) == (200, b"application/json {}")
    assert counts.requests == [("a", 200)]


def test_a_binary_body_is_told_from_json():
    assert ask(part(b"x"), headers=[(b"inference-header-content-length", b"1")])[1] == (
        b"application/octet-stream x"
    )


def test_a_large_body_is_refused_before_it_is_read_and_while():
    told = ask(part(b"123456789"), headers=[(b"content-length", b"9")])
    untold = ask(part(b"12345", True), part(b"6789", True), part(b"0"))

    assert (told[0], untold[0]) == (413, 413)
    assert untold[2].requests == [("a", 413)]
    assert ask(part(b"12345678"))[0] == 200


def test_the_rest_of_a_refused_body_is_read_away():
    """A client that sends all before it listens gets the answer and no closed connection."""
    order: list[str] = []
    coming = iter([part(b"1234567890", True), part(b"x", True), part(b"")])

    async def receive() -> Message:
        if order:
            await asyncio.sleep(0.5)
        order.append("read")
        return next(coming)

    async def send(message: Message) -> None:
        order.append("last" if "body" in message and not message.get("more_body") else "answer")

    counts = Counts()
    asyncio.run(guard_of(counts, seconds=60)(POST, receive, send))

    assert counts.seconds[0] < 0.5  # reading away is no part of the answer
    assert order == ["read", "answer", "answer", "read", "read", "last"]


def test_a_client_that_waits_for_leave_to_send_is_not_given_it():
    """It has the refusal before anything is read, and goes."""
    order: list[str] = []

    async def receive() -> Message:
        order.append("read")
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        order.append(str(message.get("status", message.get("body"))))

    headers = [(b"content-length", b"9"), (b"expect", b"100-continue")]
    asyncio.run(guard_of(Counts(), seconds=60)({**POST, "headers": headers}, receive, send))

    assert (order[0], order[2]) == ("413", "read")


def test_a_refused_body_that_has_ended_is_not_waited_for():
    assert ask(part(b"123456789"), seconds=60)[0] == 413


def test_a_refused_body_without_end_is_left():
    assert ask(part(b"123456789", True), part(b"x", True))[0] == 413


def test_a_slow_body_is_refused():
    status, body, _ = ask(part(b"1", True))

    assert (status, json.loads(body)) == (408, {"error": "body: did not come within 0.1 s."})


def test_an_application_that_takes_too_long_is_no_slow_body():
    sent: list[Message] = []
    counts = Counts()

    async def late(scope: Message, receive: Receive, send: Send) -> None:
        raise TimeoutError("of the application")

    async def receive() -> Message:
        return part(b"{}")

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(TimeoutError, match="of the application"):
        asyncio.run(guard_of(counts, late, seconds=1)(POST, receive, send))

    assert (sent, counts.requests) == ([], [("a", 500)])


def test_a_client_that_went_away_is_counted():
    status, _, counts = ask(part(b"1", True), {"type": "http.disconnect"})

    assert (status, counts.requests) == (0, [("a", 499)])


def test_other_names_are_counted_as_none():
    assert ask(part(b""), path="/v2/models/x/infer")[2].requests == [(None, 200)]
    assert ask(part(b""), path="/metrics")[2].requests == []


def test_requests_are_logged_as_json(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "babelrank.requests"):
        ask(part(b"{}"), log_requests=True)

    line = json.loads(caplog.messages[0])
    assert (line["path"], line["status"], line["bytes"]) == ("/v1/models/a:predict", 200, 2)
