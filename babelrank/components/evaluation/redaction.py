"""Takes rows and sentences of the data out of all that is told of a run (`report.raw_rows: false`).

What stays: counts, metrics, names of features and files, positions of bad rows, the values that
name slices, and how far features moved. What goes: raw rows, sentences and translations, requests
and answers of the serving check, values that moved or that no schema allows, characters without a
subword, and errors, which can quote rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from babelrank.components.evaluation.data_gate import ANOMALY, without_text
from babelrank.components.evaluation.drift import DriftReport, without_values
from babelrank.components.evaluation.run_summary import (
    OWN_WORDS,
    UNCOVERED,
    Charts,
    RowsSummary,
    RunSummary,
    StepSummary,
)
from babelrank.components.evaluation.verdict import DRIFT, Finding
from babelrank.components.serving.check.report import CheckFinding, CheckReport

LEFT_OUT = "left out, as report.raw_rows is false"

REDACTED = (
    *("raw_rows", "rows", "steps", "drift", "verdict", "check", "anomalies", "vocabulary_notes"),
    "not_pushed",
)
"""Fields of `RunSummary` from which something is taken."""

KEPT = (
    *("run_id", "pipeline", "task", "status", "started", "blessed", "forced", "pushed_model"),
    *("seconds", "metrics", "baseline", "intervals", "p_values", "significance", "signatures"),
    *("split", "split_note", "lineage", "splits", "spans", "versions", "optimum", "languages"),
    *("vocabulary", "warm_start", "privacy", "skipped", "config_yaml"),
)
"""Those that stay as they are, since they hold nothing of any row; each field is in either."""


def without_rows(
    summary: RunSummary, charts: Charts, left_out: str = LEFT_OUT
) -> tuple[RunSummary, Charts]:
    """A run without any row of its data; one that has none is given back as it is.

    Args:
        summary: The run.
        charts: What is drawn of it.
        left_out: What is said in the place of what goes: that it is left out, and why.
    """
    if not summary.raw_rows:
        return summary, charts
    if summary.not_pushed and summary.check and not summary.check.ok:  # then it quotes the check
        summary = replace(summary, not_pushed=f"The serving check refused it; why is {left_out}.")
    safe = replace(
        summary,
        raw_rows=False,
        rows=summary.rows and _counts(summary.rows),
        steps=tuple(_without_error(step, left_out) for step in summary.steps),
        drift=summary.drift and _without_values(summary.drift),
        verdict=tuple(_finding(finding) for finding in summary.verdict),
        check=summary.check and _without_requests(summary.check, left_out),
        anomalies=tuple(without_text(text) for text in summary.anomalies),
        vocabulary_notes=_covered(summary.vocabulary_notes),
    )
    return safe, replace(charts, samples=())


def _counts(rows: RowsSummary) -> RowsSummary:
    examples = tuple((reason, file, at, None) for reason, file, at, _ in rows.examples)
    return replace(rows, examples=examples)


def _without_error(step: StepSummary, left_out: str) -> StepSummary:
    if step.error is None or step.error in OWN_WORDS:
        return step
    return replace(
        step, error=f"The error is {left_out}: errors can quote rows. The run's log has it."
    )


def _without_values(drift: DriftReport) -> DriftReport:
    features = tuple(
        replace(one, beyond=tuple(without_values(text) for text in one.beyond))
        for one in drift.features
    )
    return replace(drift, features=features)


def _finding(finding: Finding) -> Finding:
    if finding.kind == DRIFT:
        return replace(finding, text=without_values(finding.text))
    told = finding.text.startswith(ANOMALY)
    return replace(finding, text=without_text(finding.text)) if told else finding


def _without_requests(check: CheckReport, left_out: str) -> CheckReport:
    """The sentences of findings quote requests and answers, too."""
    text = f"A check of the model was not passed; requests and answers are {left_out}."
    refused = tuple(CheckFinding(ok=False, text=text) for one in check.findings if not one.ok)
    kept = sum(one.ok for one in check.findings)
    passed = (CheckFinding(ok=True, text=f"{kept} checks were passed."),) if kept else ()
    return replace(check, findings=(*refused, *passed))


def _covered(notes: Sequence[str]) -> tuple[str, ...]:
    return tuple(note for note in notes if not note.startswith(UNCOVERED))
