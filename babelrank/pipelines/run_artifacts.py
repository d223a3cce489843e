"""Finds the artifacts of one run in ML Metadata."""

from __future__ import annotations

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2


class RunArtifacts:
    """The artifacts that the steps of one run put out or took from the cache.

    Args:
        store: ML Metadata's; None: it cannot be reached, and there are none.
        pipeline: Name of the pipeline.
        run_id: The run.
    """

    def __init__(self, store: MetadataStore | None, pipeline: str, run_id: str) -> None:
        self._store, self._pipeline = store, pipeline
        run = store and store.get_context_by_type_and_name("pipeline_run", run_id)
        executions = store.get_executions_by_context(run.id) if store and run else []
        self._executions = {execution.id for execution in executions}

    def get(self, node: str, key: str) -> metadata_store_pb2.Artifact | None:
        """The artifact that a step put out under `key`; None when it did not come so far."""
        return self._artifact(node, key, metadata_store_pb2.Event.OUTPUT)

    def taken(self, node: str, key: str) -> metadata_store_pb2.Artifact | None:
        """The artifact that a step took under `key`; None when there was none."""
        return self._artifact(node, key, metadata_store_pb2.Event.INPUT)

    def run_of(self, artifact: metadata_store_pb2.Artifact) -> str | None:
        """The first run that put an artifact out; None when that is not known."""
        if self._store is None:
            return None
        outputs = [
            event.execution_id
            for event in self._store.get_events_by_artifact_ids([artifact.id])
            if event.type == metadata_store_pb2.Event.OUTPUT
        ]
        contexts = self._store.get_contexts_by_execution(min(outputs)) if outputs else []
        kind = self._store.get_context_type("pipeline_run").id
        runs = [str(context.name) for context in contexts if context.type_id == kind]
        return runs[0] if runs else None

    def _artifact(
        self, node: str, key: str, kind: metadata_store_pb2.Event.Type
    ) -> metadata_store_pb2.Artifact | None:
        if self._store is None:
            return None
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
            if event.type == kind and event.path.steps and event.path.steps[0].key == key
        ]
        artifacts = self._store.get_artifacts_by_id(found[-1:])
        return artifacts[0] if artifacts else None
