"""Runs for spans of the past on Kubeflow Pipelines: in order, one at a time.

A run is known again by its name, so the same call goes on where it was interrupted: a span whose
run succeeded is left out, and a run that is under way is waited for.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable

from babelrank.components.errors import ConfigError
from babelrank.pipelines import schedule
from babelrank.pipelines.config import PipelineConfig, RankingConfig
from babelrank.pipelines.kubeflow.client import Client
from babelrank.pipelines.kubeflow.records import SUCCEEDED, Run, Wanted
from babelrank.pipelines.kubeflow.submission import Say
from babelrank.pipelines.novelty import EPOCH


def spans(config: PipelineConfig, first: str, last: str) -> list[int]:
    """The spans from one to another, but for those in `spans.exclude`.

    Args:
        config: The configuration; its data must have spans.
        first: A span's number, or a day such as 2026-01-01 where the data has days.
        last: The same.

    Raises:
        ConfigError: The data has no spans, these are none, or they are in the wrong order.
    """
    path = _path(config)
    if not re.search(r"\{(SPAN(:\d+)?|YYYY)\}", path):
        raise ConfigError(f"data.path: {path} has no spans, so there is nothing to backfill.")
    begin, end = (
        _span(config, text, key, path) for text, key in ((first, "--from"), (last, "--to"))
    )
    if begin > end:
        raise ConfigError(f"--from: got {first}, which is after --to, {last}.")
    return [span for span in range(begin, end + 1) if span not in config.spans.exclude]


def backfill(
    client: Client,
    wanted: Wanted,
    numbers: list[int],
    *,
    force: bool,
    follow: Callable[[Run], Run],
    say: Say,
) -> int | None:
    """Runs a pipeline for each span, one at a time.

    Args:
        client: Kubeflow Pipelines.
        wanted: The run; its name is completed and its parameter `span` filled in for each span.
        numbers: The spans, in order.
        force: Also those whose runs succeeded.
        follow: Waits for a run.
        say: Told of each span.

    Returns:
        The span whose run failed, which ends it; None: all succeeded.
    """
    for span in numbers:
        name = f"{wanted.name} span {span}"
        runs = list(client.runs(name=name))
        going = next((run for run in runs if not run.ended), None)
        if going is None and not force and any(run.state == SUCCEEDED for run in runs):
            say(f"{name}: succeeded before.")
            continue
        if going is None:
            parameters = {**wanted.parameters, "span": span}
            going = client.start(dataclasses.replace(wanted, name=name, parameters=parameters))
            say(f"{name}: run {going.identity}  {client.connection.run_link(going.identity)}")
        else:
            say(f"{name}: run {going.identity} is under way.")
        run = follow(going)
        say(f"{name}: {run.state.lower()}.")
        if run.state != SUCCEEDED:
            return span
    return None


def _path(config: PipelineConfig) -> str:
    """The paths of the data, where spans stand."""
    data = config.data
    if isinstance(config, RankingConfig):
        return config.data.path
    return " ".join(filter(None, (data.path, config.data.source.path, config.data.target.path)))


def _span(config: PipelineConfig, text: str, key: str, path: str) -> int:
    if text.isdecimal():
        return schedule.as_span(config, int(text))
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{key}: got {text}; takes a span's number, or a day such as 2026-01-31."
        ) from None
    if "{YYYY}" not in path:
        raise ConfigError(f"{key}: got {text}; takes a span's number, because {path} has no days.")
    return (day - EPOCH).days
