"""What was made from what, in ML Metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx.types import artifact, artifact_utils, standard_artifacts

Event = metadata_store_pb2.Event
EXAMPLES, MODEL = "examples", "model"
"""Under which names components take examples and models."""
SPANS, METRICS, ROLLED_BACK, FORCED = "spans", "metrics", "rolled_back", "forced"
"""Properties: the spans of examples, and of the gate's data (JSON); what the gate measured on its
whole split (JSON); why a model was taken out of service; why one is blessed although the gate
refused it."""
_INPUTS = (Event.INPUT, Event.DECLARED_INPUT)
_OUTPUTS = (Event.OUTPUT, Event.DECLARED_OUTPUT)
_NOT_FOLLOWED = (
    standard_artifacts.Model.TYPE_NAME,
    standard_artifacts.ModelBlessing.TYPE_NAME,
)
"""What a model was warm-started from or compared with says nothing about its own data."""


class Lineage:
    """The history of artifacts.

    Args:
        store: An ML Metadata store.
    """

    def __init__(self, store: mlmd.MetadataStore) -> None:
        self._store = store

    def inputs(self, artifact_id: int, key: str) -> set[int]:
        """Ids of the artifacts that went, under this name, into making one."""
        return {
            event.artifact_id
            for event in self._input_events(artifact_id)
            if event.path.steps and event.path.steps[0].key == key
        }

    def examples(self, model_id: int) -> set[int]:
        """Ids of the examples that a model was trained on, transformed and as they were before."""
        found: set[int] = set()
        level = self.inputs(model_id, EXAMPLES)
        while level - found:
            found |= level
            level = {before for one in level for before in self.inputs(one, EXAMPLES)}
        return found

    def good_models(
        self, signs: Sequence[artifact.Artifact]
    ) -> Iterator[tuple[int, artifact.Artifact]]:
        """Ids of the good models beside what says so: the last trained, or last pushed, first.

        A blessed model that the serving check refused is none: it was never served.

        Args:
            signs: Blessings or pushes, or both: then models that are blessed come first.
        """
        blessed, pushed = [], []
        for sign in signs:
            if sign.get_int_custom_property("blessed") == 1:
                blessed.append((sign.get_int_custom_property("current_model_id"), sign))
            if sign.get_int_custom_property("pushed") == 1:
                pushed += [(model, sign) for model in self.inputs(sign.id, MODEL)]
        blessed.sort(key=lambda found: found[0], reverse=True)
        pushed.sort(key=lambda found: found[1].id, reverse=True)
        for number, sign in blessed:
            if not self._cannot_be_served(number):
                yield number, sign
        yield from pushed

    def _cannot_be_served(self, model_id: int) -> bool:
        """Whether the last serving check of a model refused it."""
        events = self._store.get_events_by_artifact_ids([model_id])
        users = sorted({event.execution_id for event in events if event.type in _INPUTS})
        made = self._store.get_events_by_execution_ids(users) if users else []
        outputs = {event.artifact_id for event in made if event.type in _OUTPUTS}
        for one in sorted(outputs, reverse=True):
            found, kind = self.read(one)
            if kind == standard_artifacts.InfraBlessing.TYPE_NAME:
                return found.get_int_custom_property("blessed") == 0
        return False

    def upstream(self, artifact_id: int, type_name: str) -> artifact.Artifact | None:
        """The nearest artifact of a type that went into one, breadth first, or None."""
        seen, level = {artifact_id}, {artifact_id}
        while level:
            upstream = {e.artifact_id for one in level for e in self._input_events(one)} - seen
            seen |= upstream
            level = set()
            for one in sorted(upstream, reverse=True):
                found, kind = self.read(one)
                if kind == type_name:
                    return found
                if kind not in _NOT_FOLLOWED:
                    level.add(one)
        return None

    def read(self, artifact_id: int) -> tuple[artifact.Artifact, str]:
        """An artifact and the name of its type."""
        (stored,) = self._store.get_artifacts_by_id([artifact_id])
        (kind,) = self._store.get_artifact_types_by_id([stored.type_id])
        return artifact_utils.deserialize_artifact(kind, stored), kind.name

    def _input_events(self, artifact_id: int) -> list[Any]:
        """Inputs of the executions that made an artifact (or found it in the cache)."""
        makers = {
            event.execution_id
            for event in self._store.get_events_by_artifact_ids([artifact_id])
            if event.type in _OUTPUTS
        }
        events = self._store.get_events_by_execution_ids(sorted(makers)) if makers else []
        return [event for event in events if event.type in _INPUTS]
