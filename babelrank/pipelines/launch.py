"""Runs one node of a compiled pipeline by TFX's portable Launcher: driver, executor, publisher."""

from __future__ import annotations

from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from babelrank.components.errors import BabelRankError
from babelrank.pipelines.metadata_store import open_store


class _Metadata(metadata.Metadata):
    """TFX's handle on ML Metadata, with a store that can write what TFX gives it."""

    def __enter__(self) -> _Metadata:
        self._store = open_store(self._connection_config)
        self._users += 1
        return self


def begin(ir: pipeline_pb2.Pipeline, run_id: str) -> None:
    """Fills in the run that the nodes of a compiled pipeline will belong to."""
    runtime_parameter_utils.substitute_runtime_parameter(
        ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )


def launch(
    ir: pipeline_pb2.Pipeline,
    node: pipeline_pb2.PipelineNode,
    connection: metadata_store_pb2.ConnectionConfig,
) -> bool:
    """Runs one node; those before it have run.

    Args:
        ir: The compiled pipeline, after `begin`.
        node: One of its nodes.
        connection: Of ML Metadata.

    Returns:
        False when its outputs came from the cache.

    Raises:
        BabelRankError: The inputs of the node cannot be resolved.
        Exception: Whatever the step raised.
    """
    name = node.node_info.id
    deployment: Any = runner_utils.extract_local_deployment_config(ir)
    handle = _Metadata(connection)
    execution = launcher.Launcher(
        pipeline_node=node,
        mlmd_connection=handle,
        pipeline_info=ir.pipeline_info,
        pipeline_runtime_spec=ir.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, name),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
    ).launch()
    if execution is None or execution.execution_id is None:
        return True
    with handle as store:
        (found,) = store.store.get_executions_by_id([execution.execution_id])
    if found.last_known_state == found.FAILED:
        raise BabelRankError(f"the inputs of {name} could not be resolved; see the log.")
    return bool(found.last_known_state != found.CACHED)
