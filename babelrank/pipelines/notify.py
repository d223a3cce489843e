"""The message to whoever must know that a run was refused or failed: JSON, sent by POST.

Whatever a report may show, no row of the data goes out.
"""

from __future__ import annotations

import datetime
import http.client
import json
import math
import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from babelrank.components.evaluation.redaction import without_rows
from babelrank.components.evaluation.report import Charts, RunSummary, StepSummary, verdict_lines
from babelrank.pipelines.operation import NotifyConfig

VARIABLE = "BABELRANK_WEBHOOK"
TOLD = ("refused", "failed")
"""States of runs that somebody is told of."""
_PATIENCE = 10.0  # seconds
_LEFT_OUT = "left out, as messages hold no rows"


def tell(
    config: NotifyConfig,
    summary: RunSummary,
    report: Path | None,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Sends the message about a run without its rows, if it was refused or failed.

    Args:
        config: Says where to; without an address nobody is told.
        summary: The run.
        report: Its report, if there is one.
        environment: Environment variables; None: this process's.

    Returns:
        What went wrong, in a sentence; None if nothing did. Never raises: a run is what it is,
        whether or not somebody hears of it.
    """
    safe, _ = without_rows(summary, Charts(), _LEFT_OUT)
    return _send(config, safe, report, environment)


def _send(
    config: NotifyConfig,
    summary: RunSummary,
    report: Path | None,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Sends the message about a run as it is given; see `tell`."""
    environment = os.environ if environment is None else environment
    address = config.webhook or environment.get(VARIABLE)
    if not address or summary.status not in TOLD:
        return None
    try:
        if urlsplit(address).scheme not in ("http", "https"):
            raise ValueError("takes http:// or https://")
        request = urllib.request.Request(
            address,
            json.dumps(message(summary, report), ensure_ascii=False).encode(),
            {"Content-Type": "application/json; charset=utf-8"},
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE):
            return None
    except http.client.HTTPException as error:
        what = type(error).__name__  # its text may hold the address, which may be a secret
    except (OSError, ValueError) as error:
        what = str(error) or type(error).__name__
    run = f"run {summary.run_id}" if summary.run_id else "it"
    return f"the webhook at {_host(address)} was not told of {run}: {what}"


def could_not_begin(
    config: NotifyConfig, pipeline: str, task: str, run_id: str, error: str
) -> str | None:
    """Sends the message about a run that could not begin, such as for a missing day; see `tell`.

    Its error is sent as it is: no row was read yet.

    Args:
        config: Says where to.
        pipeline: Name of the pipeline.
        task: Its task.
        run_id: The run; empty: it has no name yet.
        error: Why.
    """
    summary = RunSummary(
        run_id=run_id,
        pipeline=pipeline,
        task=task,
        status="failed",
        started=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        steps=(StepSummary(name="Plan", state="failed", error=error),),
    )
    return _send(config, summary, None)


def message(summary: RunSummary, report: Path | None) -> dict[str, Any]:
    """What is sent; `text` is all of it in words, as chat programs show it."""
    first, *rest = verdict_lines(summary)
    where = [] if report is None else [f"  report: {report}"]
    return {
        "text": "\n".join([f"{summary.pipeline}: {first}", *rest, *where]),
        "pipeline": summary.pipeline,
        "task": summary.task,
        "run_id": summary.run_id,
        "status": summary.status,
        "sentence": first,
        "verdict": [finding.text for finding in summary.verdict if not finding.ok],
        "error": next((step.error for step in summary.steps if step.error), None),
        "spans": list(summary.spans),
        "metrics": {n: float(v) for n, v in summary.metrics.items() if math.isfinite(v)},
        "report": None if report is None else str(report),
    }


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or "?"
    except ValueError:
        return "?"
