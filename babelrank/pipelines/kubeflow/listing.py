"""Runs on Kubeflow Pipelines as a table for people, or as JSON."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Sequence

from babelrank.pipelines.kubeflow.client import Client
from babelrank.pipelines.kubeflow.records import Run

_HEAD = ("created (UTC)", "state", "reads", "duration", "name", "link")


def newest(client: Client, experiment: str | None, limit: int) -> list[Run]:
    """The newest runs.

    Args:
        client: Kubeflow Pipelines.
        experiment: Id of the experiment; None: of all.
        limit: How many.
    """
    return list(itertools.islice(client.runs(experiment=experiment), limit))


def as_table(runs: Sequence[Run], client: Client) -> str:
    """A line for each run, below a line of headings."""
    if not runs:
        return "There are no runs.\n"
    rows = [_HEAD, *(_row(run, client) for run in runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines) + "\n"


def as_json(runs: Sequence[Run], client: Client) -> str:
    """An array of objects; times are ISO 8601, durations seconds, null while a run goes on."""
    content = [
        {
            "run_id": run.identity,
            "name": run.name,
            "state": run.state,
            "created": run.created and run.created.isoformat(),
            "finished": run.finished and run.finished.isoformat(),
            "seconds": _seconds(run),
            "reads": run.reads,
            "parameters": run.parameters,
            "recurring_run_id": run.recurring or None,
            "error": run.error or None,
            "link": client.connection.run_link(run.identity),
        }
        for run in runs
    ]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _row(run: Run, client: Client) -> tuple[str, ...]:
    created = "" if run.created is None else f"{run.created.astimezone(datetime.UTC):%F %H:%M}"
    seconds = _seconds(run)
    duration = "" if seconds is None else str(datetime.timedelta(seconds=round(seconds)))
    link = client.connection.run_link(run.identity)
    return created, run.state.lower(), run.reads, duration, run.name, link


def _seconds(run: Run) -> float | None:
    if run.created is None or run.finished is None:
        return None
    return (run.finished - run.created).total_seconds()
