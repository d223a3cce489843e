"""Finds the artifacts of one run in ML Metadata."""

from __future__ import annotations

from ml_metadata.proto import metadata_store_pb2

from babelrank.pipelines.metadata_store import open_store


class RunArtifacts:
    """The artifacts that the steps of one run put out or took from the cache.

    Args:
        connection: Of ML Metadata.
        pipeline: Name of the pipeline.
        run_id: The run.
    """

    def __init__(
        self, connection: metadata_store_pb2.ConnectionConfig, pipeline: str, run_id: str
    ) -> None:
        self._store = open_store(connection)
        self._pipeline = pipeline
        run = self._store.get_context_by_type_and_name("pipeline_run", run_id)
        executions = [] if run is None else self._store.get_executions_by_context(run.id)
        self._executions = {execution.id for execution in executions}

    def get(self, node: str, key: str) -> metadata_store_pb2.Artifact | None:
        """The artifact that a step put out under `key`; None when it did not come so far."""
        context = self._store.get_context_by_type_and_name("node", f"{self._pipeline}.{node}")
        if context is None:
            return None
        done = (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED)
        ids = [
            execution.id
            for execution in self._store.get_executions_by_context(context.id)
            if execution.id in self._executions and execution.last_known_state in done
        ]
        found = [
            event.artifact_id
            for event in self._store.get_events_by_execution_ids(ids)
            if event.type == metadata_store_pb2.Event.OUTPUT
            and event.path.steps
            and event.path.steps[0].key == key
        ]
        artifacts = self._store.get_artifacts_by_id(found[-1:])
        return artifacts[0] if artifacts else None
