"""Judges a model on the eval batches: each example once, however many workers share the work."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from babelrank.components.training.history import finite
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.steps import Steps
from babelrank.components.training.task import Task
from babelrank.components.training.workers import Workers


def judge(
    task: Task, steps: Steps, source: BatchSource, workers: Workers | None = None
) -> dict[str, float | None]:
    """The metrics of the model; the loss is a mean over the batches' `unit`.

    Args:
        task: The task, which aggregates the logs.
        steps: The compiled steps, with the model.
        source: The eval batches.
        workers: Of a training of several workers: each judges its parts of every batch, and all
            of them aggregate the logs of all, in the order of the examples.
    """
    for metric in steps.eval_metrics:
        metric.reset_state()
    losses, weights, logs_of_batches = [], [], []
    for i, batch in enumerate(steps.batches("eval", source)):
        loss, logs = steps.validate(batch)
        losses.append(loss)
        weights.append(source.amount_in(i))
        logs_of_batches.append(logs)
        if workers is not None:
            workers.alive()
    if workers is not None:
        logs_of_batches = _gathered(logs_of_batches, workers)
    state = None
    for logs in logs_of_batches:
        state = task.aggregate_logs(state, logs)
    mean = sum(float(x) * n for x, n in zip(losses, weights, strict=True)) / sum(weights)
    metrics: dict[str, Any] = {task.loss: mean}
    metrics.update({metric.name: metric.result() for metric in steps.eval_metrics})
    metrics.update(task.reduce_aggregated_logs(state, steps.step))
    return {name: finite(value) for name, value in metrics.items()}


def _gathered(logs_of_batches: list[Any], workers: Workers) -> list[Any]:
    """The same with the replicas of all workers, in order."""
    arrays = {
        f"{i}/{name}/{replica}": np.asarray(value)
        for i, logs in enumerate(logs_of_batches)
        for name, values in logs.items()
        for replica, value in enumerate(values)
    }
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    found = [np.load(io.BytesIO(part)) for part in workers.gather(packed.getvalue())]
    replicas = range(max((int(key.split("/")[2]) for key in arrays), default=-1) + 1)
    return [
        {
            name: tuple(part[f"{i}/{name}/{replica}"] for part in found for replica in replicas)
            for name in logs
        }
        for i, logs in enumerate(logs_of_batches)
    ]
