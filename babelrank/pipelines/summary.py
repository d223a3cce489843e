"""What a run came to, read from ML Metadata and from the artifacts of its steps.

A function and no graph node, because it must also run after a failure.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from babelrank.components.config import to_dict
from babelrank.components.evaluation.evaluator import BASELINE, CANDIDATE, Verdict, slice_arrays
from babelrank.components.evaluation.gate import OVERALL
from babelrank.components.evaluation.report import Charts, RowsSummary, RunSummary, SliceRow
from babelrank.components.ingest.spans import has_spans
from babelrank.components.ingest.summary import Summary
from babelrank.components.ranking import tfma_metrics
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.graph import Layout
from babelrank.pipelines.local import RunRecord

VERSIONED = ("babelrank", "tfx", "tensorflow", "tensorflow-model-analysis", "apache-beam")


class RunArtifacts:
    """The artifacts that the steps of one run put out or took from the cache.

    Args:
        metadata: ML Metadata's SQLite file.
        pipeline: Name of the pipeline.
        run_id: The run.
    """

    def __init__(self, metadata: Path, pipeline: str, run_id: str) -> None:
        connection = metadata_store_pb2.ConnectionConfig()
        connection.sqlite.filename_uri = str(metadata)
        self._store = MetadataStore(connection)
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


def summarize(
    config: RankingConfig,
    out: Path,
    record: RunRecord,
    optimum: Mapping[str, float] | None = None,
) -> tuple[RunSummary, Charts]:
    """Everything that the report and run.json say about a run, failed or not.

    Args:
        config: The configuration of the run.
        out: Output folder.
        record: How far the run came.
        optimum: The best metrics that any model could reach, where they are known.
    """
    layout = Layout(out)
    artifacts = RunArtifacts(layout.metadata, config.name, record.run_id)
    evaluation = artifacts.get("Evaluator", "evaluation")
    verdict = None if evaluation is None else Verdict.load(evaluation.uri)
    pushed = _pushed(artifacts)
    rows, splits = _rows(artifacts)
    summary = RunSummary(
        run_id=record.run_id,
        pipeline=config.name,
        task="ranking",
        status=_status(record, verdict, pushed),
        started=datetime.datetime.fromtimestamp(record.started).astimezone().isoformat(),
        blessed=None if verdict is None else verdict.blessed,
        pushed_model=pushed,
        seconds={s.name: s.seconds for s in record.steps if s.seconds is not None},
        steps=tuple(record.steps),
        metrics={} if verdict is None else verdict.candidate[OVERALL],
        baseline=verdict.baseline[OVERALL] if verdict and verdict.baseline else None,
        split=config.splits.gate,
        split_note=_split_note(config, _spans(artifacts)),
        verdict=() if verdict is None else verdict.findings,
        rows=rows,
        splits=splits,
        spans=_spans(artifacts) if has_spans(config.data.path) else (),
        versions=versions(),
        optimum=optimum,
        config_yaml=yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True),
    )
    return summary, _charts(artifacts, verdict, evaluation)


def versions() -> dict[str, str]:
    """Versions of what a run stands on."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in VERSIONED
    }


def _status(
    record: RunRecord, verdict: Verdict | None, pushed: str | None
) -> Literal["pushed", "refused", "failed", "interrupted"]:
    if isinstance(record.error, KeyboardInterrupt):
        return "interrupted"
    if record.error is not None:
        return "failed"
    if verdict is not None and not verdict.blessed:
        return "refused"
    return "pushed" if pushed else "failed"


def _pushed(artifacts: RunArtifacts) -> str | None:
    artifact = artifacts.get("Pusher", "pushed_model")
    if artifact is None or not artifact.custom_properties["pushed"].int_value:
        return None
    destination: str = artifact.custom_properties["pushed_destination"].string_value
    return destination


def _spans(artifacts: RunArtifacts) -> tuple[int, ...]:
    artifact = artifacts.get("Ingest", "examples")
    if artifact is None:
        return ()
    return tuple(json.loads(artifact.custom_properties["spans"].string_value))


def _rows(artifacts: RunArtifacts) -> tuple[RowsSummary | None, dict[str, int]]:
    artifact = artifacts.get("Ingest", "quarantine")
    if artifact is None:
        return None, {}
    found = Summary.from_json((Path(artifact.uri) / "summary.json").read_text(encoding="utf-8"))
    rows = RowsSummary(
        read=found.read,
        used=sum(found.written.values()),
        dropped=dict(found.dropped),
        quarantined=dict(found.quarantined),
        examples=tuple(
            (row.reason, path, row.location.position, row.location.raw)
            for path, row in found.examples.values()
        ),
    )
    return rows, dict(found.written)


def _split_note(config: RankingConfig, spans: tuple[int, ...]) -> str:
    notes = []
    if config.splits.gate == "eval":
        notes.append("There is no test split, so the gate used eval, which early stopping saw too.")
    elif len(spans) > 1 and not config.splits.test_path:
        notes.append(f"test is the newest span, {spans[-1]}.")
    if config.data.training_only:
        held = ", ".join(f"{name} = {value}" for name, value in config.data.training_only.items())
        notes.append(
            f"As in serving, {held} in every row, so calibration is for that and not for the log."
        )
    return " ".join(notes)


def _charts(
    artifacts: RunArtifacts,
    verdict: Verdict | None,
    evaluation: metadata_store_pb2.Artifact | None,
) -> Charts:
    loss, curves = _history(artifacts)
    if verdict is None or evaluation is None:
        return Charts(loss=loss, evaluation=curves)
    candidate = slice_arrays(evaluation.uri, CANDIDATE if verdict.baseline else "")
    baseline = slice_arrays(evaluation.uri, BASELINE) if verdict.baseline else {}
    slices = tuple(
        SliceRow(
            slice=name,
            examples=int(metrics["examples"]),
            metrics=metrics,
            baseline=(verdict.baseline or {}).get(name),
        )
        for name, metrics in verdict.candidate.items()
        if name != OVERALL
    )
    return Charts(
        roc=_pairs(candidate, tfma_metrics.ROC),
        roc_baseline=_pairs(baseline, tfma_metrics.ROC),
        calibration=[
            (mean, label, int(count))
            for mean, label, count in _groups(candidate, tfma_metrics.BUCKETS, 3)
        ],
        loss=loss,
        evaluation=curves,
        slices=slices,
    )


def _history(
    artifacts: RunArtifacts,
) -> tuple[list[tuple[int, float]], dict[str, list[tuple[int, float]]]]:
    artifact = artifacts.get("Trainer", "model_run")
    path = None if artifact is None else Path(artifact.uri) / "history.json"
    if path is None or not path.exists():
        return [], {}
    records = json.loads(path.read_text(encoding="utf-8"))
    loss = [(r["step"], r["loss"]) for r in records if r.get("loss") is not None]
    curves: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        for name, value in (record.get("eval") or {}).items():
            if value is not None:
                curves.setdefault(name, []).append((record["step"], value))
    return loss, curves


def _pairs(arrays: Mapping[str, list[float]], name: str) -> list[tuple[float, float]]:
    return [(x, y) for x, y in _groups(arrays, name, 2)]


def _groups(arrays: Mapping[str, list[float]], name: str, size: int) -> list[tuple[Any, ...]]:
    flat = arrays.get(name, [])
    return [tuple(flat[i : i + size]) for i in range(0, len(flat), size)]
