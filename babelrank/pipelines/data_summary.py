"""What the report says of a run's data: rows, spans, anomalies, drift."""

from __future__ import annotations

import json

from tfx.types import standard_artifacts

from babelrank.components.evaluation import drift_component
from babelrank.components.evaluation.data_facts import read_anomalies
from babelrank.components.evaluation.drift import DriftReport
from babelrank.components.evaluation.report import RowsSummary
from babelrank.components.ingest import spans as patterns
from babelrank.components.ingest.summary import Summary
from babelrank.pipelines.config import PipelineConfig, RankingConfig
from babelrank.pipelines.run_artifacts import RunArtifacts


def rows(artifacts: RunArtifacts) -> tuple[RowsSummary | None, dict[str, int]]:
    """What became of the rows, and the number of examples of each split."""
    found = _ingested(artifacts)
    if found is None:
        return None, {}
    summary = RowsSummary(
        read=found.read,
        used=sum(found.written.values()),
        dropped=dict(found.dropped),
        quarantined=dict(found.quarantined),
        examples=tuple(
            (row.reason, path, row.location.position, row.location.raw)
            for path, row in found.examples.values()
        ),
    )
    return summary, dict(found.written)


def spans(artifacts: RunArtifacts) -> tuple[int, ...]:
    """The spans that were read."""
    artifact = artifacts.get("Ingest", "examples")
    if artifact is None:
        return ()
    return tuple(json.loads(artifact.custom_properties["spans"].string_value))


def has_spans(config: PipelineConfig) -> bool:
    """Whether the input is in spans."""
    if isinstance(config, RankingConfig):
        return patterns.has_spans(config.data.path)
    data = config.data
    paths = (data.path, data.source.path, data.target.path)
    return any(patterns.has_spans(path) for path in paths if path is not None)


def empty_spans(artifacts: RunArtifacts) -> list[int]:
    """Spans that were read and have no rows."""
    found = _ingested(artifacts)
    read = spans(artifacts) if found else ()
    return [one for one in read if found and found.spans and not found.spans[str(one)]]


def anomalies(artifacts: RunArtifacts) -> tuple[str, ...]:
    """Sentences on what the schema does not allow; empty if nothing was found or looked for."""
    stored = artifacts.get("ExampleValidator", "anomalies")
    if stored is None:
        return ()
    artifact = standard_artifacts.ExampleAnomalies()
    artifact.set_mlmd_artifact(stored)
    return tuple(one.sentence() for one in read_anomalies(artifact))


def drift(artifacts: RunArtifacts) -> DriftReport | None:
    """How far the features moved; None if that was not reached."""
    artifact = artifacts.get("Drift", "drift")
    return None if artifact is None else drift_component.load(artifact.uri)


def _ingested(artifacts: RunArtifacts) -> Summary | None:
    """What became of the rows; None when ingest did not come so far."""
    artifact = artifacts.get("Ingest", "quarantine")
    if artifact is None:
        return None
    return Summary.load(artifact.uri)
