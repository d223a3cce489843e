"""The webhook: who is told what, and that a deaf one harms nobody."""

from __future__ import annotations

import http.server
import json
import math
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.evaluation.report import RunSummary, StepSummary
from babelrank.components.evaluation.verdict import Finding
from babelrank.pipelines import notify
from babelrank.pipelines.notify import tell
from babelrank.pipelines.operation import NotifyConfig
from tests.components.evaluation.test_redaction import CANARY, PLANTED

REPORT = Path("/out/report.html")
REFUSED = RunSummary(
    run_id="r1",
    pipeline="clicks",
    task="ranking",
    status="refused",
    started="now",
    metrics={"auc": 0.5, "log_loss": math.nan},
    verdict=(Finding(ok=True, text="fine."), Finding(ok=False, text="auc is 0.5.")),
    spans=(1, 2),
)
NOBODY: dict[str, str] = {}


class Listener:
    """A server that keeps what it is sent, and answers with a status."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.status = 200
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"].startswith("application/json")
                listener.heard.append(json.loads(body))
                self.send_response(listener.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_refusal_is_told(listener: Listener):
    assert tell(NotifyConfig(webhook=listener.address), REFUSED, REPORT, NOBODY) is None
    (heard,) = listener.heard
    text = heard.pop("text")
    assert heard == {
        "pipeline": "clicks",
        "task": "ranking",
        "run_id": "r1",
        "status": "refused",
        "sentence": "REFUSED  auc 0.500, log_loss n/a",
        "verdict": ["auc is 0.5."],
        "error": None,
        "spans": [1, 2],
        "metrics": {"auc": 0.5},
        "report": "/out/report.html",
    }
    assert text.splitlines() == [
        "clicks: REFUSED  auc 0.500, log_loss n/a",
        "  ok  fine.",
        "  NO  auc is 0.5.",
        "  report: /out/report.html",
    ]


def test_a_failure_is_told_with_its_error(listener: Listener):
    step = StepSummary(name="Ingest", state="failed", error="no such file")
    failed = RunSummary(
        run_id="r", pipeline="p", task="ranking", status="failed", started="now", steps=(step,)
    )
    environment = {notify.VARIABLE: listener.address}
    assert tell(NotifyConfig(), failed, REPORT, environment) is None
    (heard,) = listener.heard
    assert heard["status"] == "failed"
    assert heard["error"] == (
        "The error is left out, as messages hold no rows: errors can quote rows. The run's log "
        "has it."
    )
    assert heard["sentence"] == "FAILED at Ingest"


def test_rows_are_never_told(listener: Listener):
    for status, blessed in (("failed", None), ("refused", False), ("refused", True)):
        run = replace(PLANTED, status=status, blessed=blessed)
        assert tell(NotifyConfig(webhook=listener.address), run, REPORT, NOBODY) is None
    told = json.dumps(listener.heard)
    assert len(listener.heard) == 3
    assert CANARY not in told
    assert "os is skewed from train to test by 0.310" in told


def test_a_run_that_could_not_begin_is_told_with_its_error(listener: Listener):
    config = NotifyConfig(webhook=listener.address)
    assert notify.could_not_begin(config, "shop", "ranking", "r", "day 3 is missing") is None
    assert listener.heard[0]["error"] == "day 3 is missing"
    assert (listener.heard[0]["pipeline"], listener.heard[0]["run_id"]) == ("shop", "r")


def test_a_run_without_a_name_could_not_be_told_of():
    config = NotifyConfig(webhook="http://127.0.0.1:1/")
    problem = notify.could_not_begin(config, "shop", "ranking", "", "day 3 is missing")
    assert (problem or "").startswith("the webhook at 127.0.0.1 was not told of it: ")


@pytest.mark.parametrize("status", ["pushed", "blessed", "interrupted"])
def test_nobody_is_told_of_other_runs(listener: Listener, status: Any):
    summary = RunSummary(run_id="r", pipeline="p", task="ranking", status=status, started="now")
    assert tell(NotifyConfig(webhook=listener.address), summary, REPORT, NOBODY) is None
    assert listener.heard == []


def test_without_an_address_nothing_happens():
    assert tell(NotifyConfig(), REFUSED, REPORT, NOBODY) is None


def test_a_webhook_that_fails_is_a_sentence(listener: Listener):
    listener.status = 500
    said = tell(NotifyConfig(webhook=listener.address), REFUSED, REPORT, NOBODY)
    assert said == (
        "the webhook at 127.0.0.1 was not told of run r1: HTTP Error 500: Internal Server Error"
    )


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:1/secret", "127.0.0.1 was not told of run r1: .*refused"),
        ("http://[::1/secret", r"\? was not told of run r1: Invalid IPv6 URL"),
        ("file:///secret", r"\? was not told of run r1: takes http:// or https://"),
        ("http://127.0.0.1:1/se cret", "127.0.0.1 was not told of run r1: "),
    ],
)
def test_an_address_where_nobody_is(address: str, said: str):
    found = tell(NotifyConfig(), REFUSED, REPORT, {notify.VARIABLE: address})
    assert found is not None
    assert re.match(f"the webhook at {said}", found), found
    assert "cret" not in found


def test_a_webhook_that_never_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notify, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        said = tell(NotifyConfig(webhook=address), REFUSED, REPORT, NOBODY)
    assert said is not None
    assert said.endswith("timed out")
