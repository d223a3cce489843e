"""What a run came to, read from ML Metadata and from the artifacts of its steps.

A function and no graph node, because it must also run after a failure.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from babelrank.components.config import to_dict
from babelrank.components.errors import BabelRankError
from babelrank.components.evaluation.evaluator import Verdict
from babelrank.components.evaluation.redaction import without_rows
from babelrank.components.evaluation.report import Charts, RunSummary, SliceRow
from babelrank.components.evaluation.verdict import OVERALL, intervals, p_values, values
from babelrank.components.serving.check import report as check_report
from babelrank.components.serving.check.report import CheckReport
from babelrank.components.serving.push import NOT_PUSHED
from babelrank.pipelines import data_summary, ranking_summary, run_lineage, translation_summary
from babelrank.pipelines.config import PipelineConfig, RankingConfig
from babelrank.pipelines.database import connection
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.metadata_store import open_store
from babelrank.pipelines.record import RunRecord
from babelrank.pipelines.run_artifacts import RunArtifacts

VERSIONED = ("babelrank", "tfx", "tensorflow", "tensorflow-model-analysis", "apache-beam")


def summarize(
    config: PipelineConfig,
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
    artifacts = _artifacts(config, out, record)
    evaluation = artifacts.get("Evaluator", "evaluation")
    uri = "" if evaluation is None else evaluation.uri
    verdict = None if evaluation is None else Verdict.load(uri)
    pushed, not_pushed = _pushed(artifacts)
    rows, splits = data_summary.rows(artifacts)
    spans = data_summary.spans(artifacts)
    check = _check(artifacts) if verdict is not None and verdict.blessed else None
    measured = {} if verdict is None else verdict.candidate.get(OVERALL, {})
    before = None if verdict is None else verdict.baseline
    training = run_lineage.training(artifacts)
    summary = RunSummary(
        run_id=record.run_id,
        pipeline=config.name,
        task=config.task,
        status=_status(config, record, verdict, check, pushed),
        started=datetime.datetime.fromtimestamp(record.started).astimezone().isoformat(),
        blessed=None if verdict is None else verdict.blessed,
        forced="" if verdict is None else verdict.forced,
        pushed_model=pushed,
        not_pushed=not_pushed,
        seconds={s.name: s.seconds for s in record.steps if s.seconds is not None},
        steps=tuple(record.steps),
        metrics=values(measured),
        baseline=values(before.get(OVERALL, {})) if before else None,
        intervals=intervals(measured),
        p_values=p_values(measured),
        significance=config.evaluation.significance,
        split=config.splits.gate,
        split_note=_split_note(config, spans, data_summary.empty_spans(artifacts)),
        verdict=() if verdict is None else verdict.findings,
        drift=data_summary.drift(artifacts),
        anomalies=data_summary.anomalies(artifacts),
        check=check,
        lineage=run_lineage.stations(config, artifacts, record, verdict, check),
        rows=rows,
        splits=splits,
        spans=spans if data_summary.has_spans(config) else (),
        versions=versions(),
        optimum=optimum,
        warm_start=tuple((training.get("warm_start") or {}).get("sentences", ())),
        privacy=training.get("privacy"),
        skipped=tuple(training.get("skipped", ())),
        config_yaml=yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True),
        **_task_fields(config, artifacts, verdict, uri),
    )
    charts = _charts(config, artifacts, verdict, uri)
    return (summary, charts) if config.report.raw_rows else without_rows(summary, charts)


def _artifacts(config: PipelineConfig, out: Path, record: RunRecord) -> RunArtifacts:
    """The artifacts of a run; none when ML Metadata cannot be reached, if that ended the run."""
    try:
        return RunArtifacts(open_store(connection(Layout(out))), config.name, record.run_id)
    except BabelRankError:
        if record.error is None:
            raise
        return RunArtifacts(None, config.name, record.run_id)


def versions() -> dict[str, str]:
    """Versions of what a run stands on."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in VERSIONED
    }


def _status(
    config: PipelineConfig,
    record: RunRecord,
    verdict: Verdict | None,
    check: CheckReport | None,
    pushed: str | None,
) -> Literal["pushed", "blessed", "refused", "failed", "interrupted"]:
    if isinstance(record.error, KeyboardInterrupt):
        return "interrupted"
    if record.error is not None:
        return "failed"
    if verdict is None:
        return "failed"
    if pushed:
        return "pushed"
    # A model that the gate passed may be one that cannot be served, or one that was rolled back.
    good = verdict.blessed and (check is None or check.ok)
    return "blessed" if good and not config.push.enabled else "refused"


def _pushed(artifacts: RunArtifacts) -> tuple[str | None, str | None]:
    """Where the model was pushed to, and why it was not, although blessed."""
    artifact = artifacts.get("Pusher", "pushed_model")
    if artifact is None:
        return None, None
    told = artifact.custom_properties
    if told["pushed"].int_value:
        return told["pushed_destination"].string_value, None
    return None, told[NOT_PUSHED].string_value or None


def _check(artifacts: RunArtifacts) -> CheckReport | None:
    """What the serving check found; None when there was none."""
    artifact = artifacts.get("ServingCheck", "blessing")
    if artifact is None or not (Path(artifact.uri) / check_report.FILE).exists():
        return None
    return CheckReport.load(Path(artifact.uri))


def _task_fields(
    config: PipelineConfig, artifacts: RunArtifacts, verdict: Verdict | None, uri: str
) -> dict[str, Any]:
    if isinstance(config, RankingConfig):
        return {}
    return translation_summary.fields(config, artifacts, verdict, uri)


def _split_note(config: PipelineConfig, spans: tuple[int, ...], empty: Sequence[int]) -> str:
    notes = []
    if config.splits.gate == "eval":
        notes.append("There is no test split, so the gate used eval, which early stopping saw too.")
    elif isinstance(config, RankingConfig) and len(spans) > 1 and not config.splits.test_path:
        notes.append(f"test is the newest span, {spans[-1]}.")
    if empty:
        notes.append(f"Without any rows: span {', '.join(map(str, empty))}.")
    if isinstance(config, RankingConfig):
        notes += ranking_summary.notes(config)
    return " ".join(notes)


def _charts(
    config: PipelineConfig, artifacts: RunArtifacts, verdict: Verdict | None, uri: str
) -> Charts:
    loss, curves = _history(artifacts)
    if verdict is None:
        return Charts(loss=loss, evaluation=curves)
    slices = _slices(verdict)
    if isinstance(config, RankingConfig):
        of_task = ranking_summary.charts(verdict, uri)
    else:
        of_task = translation_summary.charts(verdict, uri, slices)
    return Charts(loss=loss, evaluation=curves, slices=slices, **of_task)


def _slices(verdict: Verdict) -> tuple[SliceRow, ...]:
    """The slices in the order that people count in: 6-10 before 11-20."""
    rows = []
    for name in sorted(verdict.candidate, key=_natural):
        if name != OVERALL:
            base = (verdict.baseline or {}).get(name)
            rows.append(
                SliceRow(
                    slice=name,
                    examples=int(verdict.candidate[name]["examples"]),
                    metrics=values(verdict.candidate[name]),
                    baseline=None if base is None else values(base),
                )
            )
    return tuple(rows)


def _natural(name: str) -> list[tuple[str, int, str]]:
    """A key that sorts numbers in a text by their value."""
    # Not by `int`, which refuses thousands of digits.
    pieces = re.findall(r"(\D*)0*(\d*)", name)
    return [(text, len(digits), digits) for text, digits in pieces]


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
            if value is not None and name not in translation_summary.ALIASES:
                curves.setdefault(name, []).append((record["step"], value))
    return loss, curves
