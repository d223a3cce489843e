"""Running a compiled pipeline on this machine, with progress that people can read.

The same loop as TFX's LocalDagRunner around the same portable Launcher; what differs is that
each step says what it is doing, that a run ends with a record of how far it came,
and that the memory of each step is measured.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.proto.orchestration import pipeline_pb2

from babelrank.components.evaluation.report import StepSummary
from babelrank.pipelines.launch import begin, launch
from babelrank.pipelines.memory import PeakMemory
from babelrank.pipelines.record import RunRecord, message

_log = logging.getLogger(__name__)

Watcher = Callable[[StepSummary, int, int], None]
"""Told of a step's state, its number from 1, and the number of steps."""

HIDDEN_NODES = ("Baseline", "CarriedVocabulary", "LastModel", "ServingStatistics")
"""Resolvers: they take no time and mean nothing to most people."""


def run(
    ir: pipeline_pb2.Pipeline,
    connection: metadata_store_pb2.ConnectionConfig,
    record: RunRecord,
    watch: Watcher,
) -> None:
    """Runs all nodes of a pipeline in order.

    Args:
        ir: The compiled pipeline; its run id is filled in.
        connection: Of ML Metadata.
        record: Filled in while the run goes on, so that it is right whatever ends the run.
        watch: Called before each step (its state is then "not reached") and after it.

    Raises:
        BaseException: Whatever a step raised, interrupts included.
    """
    begin(ir, record.run_id)
    names = [node.pipeline_node.node_info.id for node in ir.nodes]
    shown = [name for name in names if name not in HIDDEN_NODES]
    record.steps = [StepSummary(name=name, state="not reached") for name in shown]
    for name, node in zip(names, ir.nodes, strict=True):
        step = partial(launch, ir, node.pipeline_node, connection)
        if name in shown:
            _run_step(step, record, shown.index(name), watch)
        else:
            _run_hidden(name, step, record)


def _run_step(step: Callable[[], bool], record: RunRecord, at: int, watch: Watcher) -> None:
    """Runs a node that people see, and keeps its entry in the record up to date."""

    def update(**changes: Any) -> None:
        record.steps[at] = replace(
            record.steps[at],
            seconds=time.monotonic() - begun,
            memory_mib=round(memory.peak_mib, 1),
            **changes,
        )
        watch(record.steps[at], at + 1, len(record.steps))

    watch(record.steps[at], at + 1, len(record.steps))
    begun = time.monotonic()
    memory = PeakMemory()
    try:
        with memory:
            ran = step()
    except BaseException as error:
        update(state="failed", error=message(error))
        _log.error("%s failed: %s", record.steps[at].name, message(error))
        raise
    update(state="ran" if ran else "cached")


def _run_hidden(name: str, step: Callable[[], bool], record: RunRecord) -> None:
    """Runs a node that people see only when it fails."""
    try:
        step()
    except BaseException as error:
        record.fail(name, error)
        raise
