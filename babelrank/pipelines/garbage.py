"""Which outputs of steps nothing needs any more, by their history in ML Metadata.

Needed are the inputs and outputs of runs on the newest spans and of unfinished runs, so that they
can be run again from the cache; and, of models that a
coming run compares with, starts from or may go back to, the model, its vocabulary, its transform
graph, its schema, and the statistics of what it was trained on (but not the examples themselves).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Artifact, Event
from tfx.types import standard_artifacts

from babelrank.components.errors import BabelRankError
from babelrank.components.lineage import MODEL, SPANS, Lineage

_OUTPUTS = (Event.OUTPUT, Event.DECLARED_OUTPUT)
_INPUTS = (Event.INPUT, Event.DECLARED_INPUT)
_EXAMPLES = standard_artifacts.Examples.TYPE_NAME
_LARGE = (_EXAMPLES, standard_artifacts.TransformCache.TYPE_NAME)
"""What a model was made from, and what is not needed to use the model."""
_RESULTS = (standard_artifacts.Model.TYPE_NAME, standard_artifacts.ModelBlessing.TYPE_NAME)
"""What a model was warm-started from or compared with; that is kept only if it is good itself."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What is needed.

    Attributes:
        spans: How many of the newest spans; of data without spans, how many data sets.
        spanned: Whether the data have spans.
        runs: Ids of runs that are needed whatever they read.
        sources: Folders of models that are needed, or folders in those of models.
        excluded: Spans that do not count among the newest.
    """

    spans: int
    spanned: bool
    runs: Collection[str] = ()
    sources: Collection[str] = ()
    excluded: Collection[int] = ()


class Outputs:
    """The outputs of the steps of a pipeline.

    Args:
        store: An ML Metadata store.
        pipeline: Name of the pipeline.
        root: Folder of the outputs, under whatever path; others are left alone.

    Raises:
        BabelRankError: There are outputs, and none is in that folder.
    """

    def __init__(self, store: MetadataStore, pipeline: str, root: Path) -> None:
        self._store, self._root = store, root.resolve()
        context = store.get_context_by_type_and_name("pipeline", pipeline)
        number = [] if context is None else [context.id]
        self._artifacts: dict[int, Artifact] = {
            one.id: one for n in number for one in store.get_artifacts_by_context(n)
        }
        self._all = {one.id for n in number for one in store.get_executions_by_context(n)}
        self._runs = self._executions_of_runs()
        self._events: list[Event] = (
            store.get_events_by_execution_ids(sorted(self._all)) if self._all else []
        )
        types = sorted({one.type_id for one in self._artifacts.values()})
        names = {one.id: one.name for one in store.get_artifact_types_by_id(types)} if types else {}
        self._kinds = {one.id: names[one.type_id] for one in self._artifacts.values()}
        self._check_root(pipeline)

    def unneeded(self, needs: Needs) -> tuple[list[Artifact], list[Path]]:
        """Artifacts that nothing needs, and folders that are there of them and of killed steps."""
        runs = {*needs.runs, *self._runs_on_newest(needs)}
        executions = {one for run in runs for one in self._runs.get(run, ())}
        kept = {e.artifact_id for e in self._events if e.execution_id in executions}
        for model in self.good_models(needs.sources):
            kept |= self._made_of(model)
        gone = [
            one
            for number, one in self._artifacts.items()
            if number not in kept and self._is_here(one)
        ]
        folders = [path for one in gone if (path := Path(one.uri)).is_dir()]
        return gone, [*folders, *self._left_behind(executions)]

    def good_models(self, sources: Collection[str] = ()) -> list[int]:
        """Ids of the last blessed model, the last pushed one, and those that are named."""
        lineage = Lineage(self._store)
        good: list[int] = []
        for kind in (standard_artifacts.ModelBlessing, standard_artifacts.PushedModel):
            signs = [lineage.read(one)[0] for one in self._typed(kind.TYPE_NAME)]
            there = [one for one, _ in lineage.good_models(signs) if self._is_live(one)]
            good += there[:1]
        for number in self._typed(standard_artifacts.Model.TYPE_NAME):
            folder = self._artifacts[number].uri.rstrip("/") + "/"
            if any(f"{source}/".startswith(folder) for source in sources):
                good.append(number)
        return good

    def uri(self, number: int) -> str:
        """Folder of an artifact."""
        return str(self._artifacts[number].uri)

    def _check_root(self, pipeline: str) -> None:
        """With none of the outputs here, this may be their folder under a name that hides it."""
        live = [one for one in self._artifacts.values() if one.state == Artifact.LIVE]
        if live and not any(map(self._is_here, live)):
            raise BabelRankError(
                f"{self._root}: none of the {len(live)} outputs of {pipeline} in ML Metadata is in "
                f"this folder, but such as {live[-1].uri}. Take the --out of the runs, or their ML "
                f"Metadata."
            )

    def _is_here(self, one: Artifact) -> bool:
        return self._root in Path(one.uri).resolve().parents

    def _is_live(self, number: int) -> bool:
        found = self._artifacts.get(number)
        return found is not None and found.state == Artifact.LIVE

    def _typed(self, name: str) -> list[int]:
        return sorted(number for number, kind in self._kinds.items() if kind == name)

    def _executions_of_runs(self) -> dict[str, set[int]]:
        found = {}
        for context in self._store.get_contexts_by_type("pipeline_run"):
            of_run = {one.id for one in self._store.get_executions_by_context(context.id)}
            if of_run & self._all:
                found[context.name] = of_run & self._all
        return found

    def _runs_on_newest(self, needs: Needs) -> list[str]:
        """The runs on the newest spans, or on the newest data sets."""
        read: dict[str, int] = {}
        for run, executions in self._runs.items():
            for event in self._events:
                if event.execution_id in executions and event.type in _OUTPUTS:
                    newest = self._newest_span(event.artifact_id)
                    if newest is not None:
                        read[run] = newest if needs.spanned else event.artifact_id
        wanted = sorted(set(read.values()).difference(needs.excluded))[-needs.spans :]
        return [run for run, key in read.items() if key in wanted]

    def _newest_span(self, number: int) -> int | None:
        """The newest span of raw examples; None for anything else."""
        # A property that is not there must not be touched: that makes it, without a value.
        told = self._artifacts[number].custom_properties
        if self._kinds[number] != _EXAMPLES or SPANS not in told:
            return None
        return max(json.loads(told[SPANS].string_value))

    def _made_of(self, model: int) -> set[int]:
        """A model, what it was made from, and what tells about it."""
        found, level = {model}, {model}
        examples: set[int] = set()
        while level:
            makers = self._executions(level, _OUTPUTS)
            level = (
                {
                    event.artifact_id
                    for event in self._events
                    if event.execution_id in makers
                    and event.type in _INPUTS
                    and self._kinds[event.artifact_id] not in _RESULTS
                }
                - found
                - examples
            )
            examples |= {one for one in level if self._kinds[one] == _EXAMPLES}
            found |= level - examples
        judges = {
            event.execution_id
            for event in self._events
            if event.artifact_id == model and event.type in _INPUTS and _key(event) == MODEL
        }
        found |= self._outputs(self._executions({model}, _OUTPUTS) | judges)
        kind = standard_artifacts.ExampleStatistics.TYPE_NAME
        beside = self._outputs(self._executions(examples, _INPUTS))
        found |= {one for one in beside if self._kinds[one] == kind}
        return {one for one in found if self._kinds[one] not in _LARGE}

    def _executions(self, artifacts: Collection[int], types: Collection[int]) -> set[int]:
        return {
            event.execution_id
            for event in self._events
            if event.artifact_id in artifacts and event.type in types
        }

    def _outputs(self, executions: Collection[int]) -> set[int]:
        """What executions put out."""
        return {
            event.artifact_id
            for event in self._events
            if event.execution_id in executions and event.type in _OUTPUTS
        }

    def _left_behind(self, executions: Collection[int]) -> list[Path]:
        """What executions that ended without a word left, and the notes of all, but for some.

        By their events, and never by the paths of their outputs, which may be written in many ways.
        """
        over = self._all.difference(executions)
        told = {event.execution_id for event in self._events if event.type in _OUTPUTS}
        silent = {str(number) for number in over - told}
        halves = [path for path in self._root.glob("*/*/*") if path.name in silent]
        noted = self._root.glob("*/.system/executor_execution/*")
        return sorted([*halves, *(path for path in noted if path.name in set(map(str, over)))])


def _key(event: Event) -> str:
    """Under which name an execution took an artifact."""
    return event.path.steps[0].key if event.path.steps else ""


def forget(store: MetadataStore, artifacts: Iterable[Artifact]) -> None:
    """Marks artifacts as deleted, so that no cache and no resolver finds them."""
    live = [one for one in artifacts if one.state != Artifact.DELETED]
    for one in live:
        one.state = Artifact.DELETED
    if live:
        store.put_artifacts(live)
