"""How long the signatures of a model take."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from babelrank.components.serving.check.doors import Door
from babelrank.components.serving.check.report import Latency

ONE, FULL = 200, 30
"""Requests that are timed at the most: for one example, and for a full batch."""
_SECONDS = 2.0
_LEAST = 5


def measure(door: Door, examples: Sequence[bytes]) -> list[Latency]:
    """Latencies of requests for one example, each another one, and of those for all examples.

    Only the model is timed: what makes tensors of the examples here, a server does otherwise. The
    first requests, which are slower, are not counted. Not more than some seconds are spent.
    """
    singles = [(one,) for one in examples]
    full = [tuple(examples)] if len(examples) > 1 else []
    return [_timed(door, singles, ONE), *(_timed(door, [one], FULL) for one in full)]


def _timed(door: Door, requests: Sequence[tuple[bytes, ...]], most: int) -> Latency:
    inputs = [door.tensors(request) for request in requests]
    for tensors in inputs[:3]:
        door.answer(tensors)
    taken: list[float] = []
    begun = time.perf_counter()
    while len(taken) < most:
        started = time.perf_counter()
        if len(taken) >= _LEAST and started - begun > _SECONDS:
            break
        door.answer(inputs[len(taken) % len(inputs)])
        taken.append((time.perf_counter() - started) * 1000)
    p50, p99 = np.percentile(taken, [50, 99]).tolist()
    return Latency(
        signature=door.name,
        batch=len(requests[0]),
        requests=len(taken),
        p50_ms=round(p50, 3),
        p99_ms=round(p99, 3),
    )
