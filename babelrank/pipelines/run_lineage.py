"""What the model of a run was made from, and what became of it: the stations of its lineage."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2

from babelrank.components.evaluation.evaluator import Verdict
from babelrank.components.evaluation.report import Station
from babelrank.components.evaluation.verdict import OVERALL, values
from babelrank.components.evaluation.wording import figure, in_order, label, number, span_list
from babelrank.components.serving.check.report import CheckReport
from babelrank.components.translation.vocabulary import SUBWORDS, read_summary
from babelrank.pipelines import data_summary
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.record import RunRecord
from babelrank.pipelines.run_artifacts import RunArtifacts

_MICROSECONDS = r"(?<=^\d{8}-\d{6})-\d{6}$"


def stations(
    config: PipelineConfig,
    artifacts: RunArtifacts,
    record: RunRecord,
    verdict: Verdict | None,
    check: CheckReport | None,
) -> tuple[Station, ...]:
    """The stations, as far as the run came.

    Args:
        config: The configuration of the run.
        artifacts: What its steps put out.
        record: How far it came.
        verdict: What the gate said, if it was reached.
        check: What the serving check found, if there was one.
    """
    found = (
        _data(config, artifacts),
        _vocabulary(artifacts),
        _predecessor(artifacts),
        _model(artifacts, record),
        None if verdict is None else _baseline(artifacts, verdict),
        None if verdict is None else _gate(verdict),
        None if check is None else _checked(check),
        _push(artifacts),
    )
    return tuple(station for station in found if station is not None)


def training(artifacts: RunArtifacts) -> dict[str, Any]:
    """What the training left to know, beside its history."""
    artifact = artifacts.get("Trainer", "model_run")
    path = None if artifact is None else Path(artifact.uri) / "training.json"
    if path is None or not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _data(config: PipelineConfig, artifacts: RunArtifacts) -> Station | None:
    rows, _ = data_summary.rows(artifacts)
    if rows is None:
        return None
    spans = data_summary.spans(artifacts) if data_summary.has_spans(config) else ()
    which = (f"span{'s' if len(spans) > 1 else ''} {span_list(spans)}",) if spans else ()
    return Station(name="Data", lines=(*which, f"{number(rows.used)} of {number(rows.read)} rows"))


def _vocabulary(artifacts: RunArtifacts) -> Station | None:
    artifact = artifacts.get("SubwordVocabulary", SUBWORDS)
    if artifact is None:
        return None
    summary = read_summary(artifact.uri)
    carried = summary.get("carried_over_from") is not None
    sizes = [summary[side]["size"] for side in ("source", "target") if side in summary]
    shared = summary.get("settings", {}).get("shared", False)
    size = " + ".join(map(number, sizes[:1] if shared else sizes))
    lines = (f"{size} subwords{', shared' if shared else ''}",) if sizes else ()
    return Station(name="Vocabulary", lines=("carried over" if carried else "learned anew", *lines))


def _predecessor(artifacts: RunArtifacts) -> Station | None:
    """The model that training started from."""
    source = (training(artifacts).get("warm_start") or {}).get("source")
    if source is None:
        return None
    model = artifacts.taken("Trainer", "base_model")
    run = None if model is None else artifacts.run_of(model)
    where = _named(run) or (f"…{source[-22:]}" if len(source) > 22 else source,)
    return Station(name="Warm start", lines=("weights from", *where), beside=True)


def _model(artifacts: RunArtifacts, record: RunRecord) -> Station | None:
    model = artifacts.get("Trainer", "model")
    if model is None:
        return None
    cached = any(step.name == "Trainer" and step.state == "cached" for step in record.steps)
    lines: tuple[str, ...] = ("trained in this run",)
    if cached:
        made = artifacts.run_of(model)
        lines = ("trained before", *_named(made))
    return Station(name="Model", lines=lines)


def _baseline(artifacts: RunArtifacts, verdict: Verdict) -> Station | None:
    """The model that the gate compared with."""
    if verdict.baseline is None:
        return None
    model = artifacts.taken("Evaluator", "baseline_model")
    run = None if model is None else artifacts.run_of(model)
    lines = ("last blessed model", *_named(run))
    return Station(name="Baseline", lines=lines, beside=True)


def _gate(verdict: Verdict) -> Station:
    measured = values(verdict.candidate.get(OVERALL, {}))
    known = [name for name in in_order(measured)][:1]
    score = tuple(f"{label(name)} {figure(name, measured[name])}" for name in known)
    said = "forced" if verdict.forced else "blessed" if verdict.blessed else "refused"
    passed = verdict.blessed and not verdict.forced
    lines = (said, *score, f"on {verdict.split}")
    return Station(name="Gate", lines=lines, tone="good" if passed else "bad")


def _checked(check: CheckReport) -> Station:
    asked = (f"{number(check.compared)} examples equal",) if check.ok and check.compared else ()
    said = "passed" if check.ok else "refused"
    return Station(name="Serving check", lines=(said, *asked), tone="good" if check.ok else "bad")


def _push(artifacts: RunArtifacts) -> Station | None:
    artifact = artifacts.get("Pusher", "pushed_model")
    if artifact is None:
        return None
    if not artifact.custom_properties["pushed"].int_value:
        return Station(name="Not pushed")
    version = _text(artifact, "pushed_version")
    return Station(name="Pushed", lines=(f"version {version}",) if version else (), tone="good")


def _named(run: str | None) -> tuple[str, ...]:
    """A run by its day and time; the microseconds in its name would not fit."""
    return () if run is None else (f"run {re.sub(_MICROSECONDS, '', run)}",)


def _text(artifact: metadata_store_pb2.Artifact, name: str) -> str:
    return str(artifact.custom_properties[name].string_value)
