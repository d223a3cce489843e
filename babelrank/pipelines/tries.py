"""What earlier tries of a node, in the same run, left in ML Metadata and in the output folder."""

from __future__ import annotations

from pathlib import Path

from ml_metadata.proto import metadata_store_pb2

from babelrank.pipelines.metadata_store import open_store

_DONE = (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED)


class Tries:
    """The executions of one node in one run; TFX's Launcher takes up the last one again.

    Args:
        connection: Of ML Metadata.
        pipeline: Name of the pipeline.
        run_id: The run.
        node: The node.
    """

    def __init__(
        self,
        connection: metadata_store_pb2.ConnectionConfig,
        pipeline: str,
        run_id: str,
        node: str,
    ) -> None:
        store = open_store(connection)
        self._node = node
        run = store.get_context_by_type_and_name("pipeline_run", run_id)
        context = store.get_context_by_type_and_name("node", f"{pipeline}.{node}")
        self._executions: list[metadata_store_pb2.Execution] = []
        if run is not None and context is not None:
            of_run = {one.id for one in store.get_executions_by_context(run.id)}
            of_node = store.get_executions_by_context(context.id)
            self._executions = [one for one in of_node if one.id in of_run]

    def succeeded(self) -> bool:
        """True when one of them has put out what the node puts out."""
        return any(one.last_known_state in _DONE for one in self._executions)

    def left_behind(self, artifacts: Path) -> list[Path]:
        """Folders of outputs that a try began to write.

        Args:
            artifacts: Folder of the outputs of all nodes.
        """
        return [
            folder
            for one in self._executions
            if one.last_known_state not in _DONE
            for folder in sorted((artifacts / self._node).glob(f"*/{one.id}"))
        ]
