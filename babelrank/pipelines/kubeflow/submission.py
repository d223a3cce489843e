"""Runs on Kubeflow Pipelines: started, and followed to their end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.kubeflow.client import Client
from babelrank.pipelines.kubeflow.package import Package
from babelrank.pipelines.kubeflow.records import ENDED, SUCCEEDED, Run, Task, Wanted
from babelrank.pipelines.kubeflow.refusal import UnreachableError
from babelrank.pipelines.layout import Layout

POLL_SECONDS = 10.0
"""How often a run is looked at."""
PATIENCE_SECONDS = 600.0
"""How long Kubeflow Pipelines may be away while a run is followed."""

Say = Callable[[str], None]
"""Told of what happens, a line at a time."""


def wanted(
    client: Client,
    package: Package,
    *,
    experiment: str,
    parameters: Mapping[str, Any],
    service_account: str | None,
    say: Say,
) -> Wanted:
    """A run of a package, by its name; package and experiment are made unless they are there.

    Args:
        client: Kubeflow Pipelines.
        package: What runs.
        experiment: Name of the experiment.
        parameters: Values of the pipeline's parameters.
        service_account: Of the pods; None: Kubeflow Pipelines' own.
        say: Told whether something was uploaded.
    """
    version = client.upload(package.name, package.version, package.text)
    say(f"Pipeline {package.name}: {'uploaded' if version.new else 'kept'} version {version.name}.")
    return Wanted(
        name=package.name,
        version=version,
        experiment=client.experiment(experiment),
        parameters=dict(parameters),
        service_account=service_account,
    )


def follow(client: Client, run: Run, titles: Mapping[str, str], say: Say) -> Run:
    """Waits until a run ends, and tells of each task that ends.

    Args:
        client: Kubeflow Pipelines.
        run: The run.
        titles: What people call a task, by name; others are Kubeflow's own and pass in silence.
        say: Told of the tasks.

    Returns:
        The run, at its end.

    Raises:
        UnreachableError: Kubeflow Pipelines was away for longer than `PATIENCE_SECONDS`.
        RefusedError: It no longer answers to us, such as when a token ends.
    """
    told: set[str] = set()
    while True:
        for task in run.tasks:
            if task.name in titles and task.state in ENDED and task.identity not in told:
                told.add(task.identity)
                say(_line(titles[task.name], task))
        if run.ended:
            return run
        time.sleep(POLL_SECONDS)
        run = _patiently(client, run.identity, say)


def _patiently(client: Client, identity: str, say: Say) -> Run:
    """A run as it is now, or when Kubeflow Pipelines is back."""
    begun = time.monotonic()
    while True:
        try:
            return client.run(identity)
        except UnreachableError as error:
            if time.monotonic() - begun > PATIENCE_SECONDS:
                raise UnreachableError(f"{error} The run {identity} goes on without us.") from None
            say(f"  ({error} Trying again.)")
            time.sleep(POLL_SECONDS)


def _line(title: str, task: Task) -> str:
    duration = "" if task.seconds is None else f"{round(task.seconds):>7,} s"
    error = f"  {task.error}" if task.error else ""
    return f"  {title:<20} {task.state.lower():<10}{duration}{error}".rstrip()


def status(config: PipelineConfig, run: Run) -> str:
    """What a run that has ended came to, in run.json's words: pushed, blessed, refused, failed.

    Kubeflow Pipelines only knows whether its tasks succeeded. Where the volume of the runs is
    mounted here too, such as in a pod of the cluster, run.json tells the rest; elsewhere it is
    `succeeded`.
    """
    if run.state != SUCCEEDED:
        return "failed"
    out = Path(config.kubernetes.root) / config.name
    try:
        text = (Layout(out).runs / run.identity / "run.json").read_text(encoding="utf-8")
    except OSError:
        return "succeeded"
    found: str = json.loads(text)["status"]
    return found
