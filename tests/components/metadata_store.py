"""ML Metadata in memory, to be filled by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

Event = metadata_store_pb2.Event


class Store:
    """Artifacts with folders that do not exist, and the executions between them.

    Attributes:
        store: The ML Metadata store.
        all: Artifacts by the key that they were given.
    """

    def __init__(self, folder: Path) -> None:
        config = metadata_store_pb2.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = mlmd.MetadataStore(config)
        self.folder = folder
        self.all: dict[str, list[Any]] = {}

    def artifact(self, kind: Any, key: str | None = None, **properties: int) -> Any:
        made = kind()
        made.type_id = self.store.put_artifact_type(made.artifact_type)
        for name, value in properties.items():
            made.set_int_custom_property(name, value)
        number = sum(map(len, self.all.values()))
        made.uri = str(self.folder / f"{kind.TYPE_NAME}-{number}")
        (made.id,) = self.store.put_artifacts([made.mlmd_artifact])
        if key:
            self.all.setdefault(key, []).append(made)
        return made

    def execution(
        self,
        name: str,
        inputs: Sequence[tuple[str, Any]],
        outputs: Sequence[tuple[str, Any]],
    ) -> None:
        kind = metadata_store_pb2.ExecutionType(name=name)
        execution = metadata_store_pb2.Execution(type_id=self.store.put_execution_type(kind))
        (number,) = self.store.put_executions([execution])
        events = []
        for direction, artifacts in ((Event.INPUT, inputs), (Event.OUTPUT, outputs)):
            for key, one in artifacts:
                event = Event(execution_id=number, artifact_id=one.id, type=direction)
                event.path.steps.add(key=key)
                event.path.steps.add(index=0)
                events.append(event)
        self.store.put_events(events)
