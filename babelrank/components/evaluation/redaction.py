"""Takes rows and sentences of the data out of all that is told of a run (`report.raw_rows: false`).

What stays: counts, metrics, names of features and files, positions of bad rows, the values that
name slices, and how far features moved. What goes: raw rows, sentences and translations, requests
and answers of the serving check, values that moved or that no schema allows, characters without a
subword, and errors, which can quote rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from babelrank.components.evaluation.drift import DriftReport
from babelrank.components.evaluation.run_summary import (
    INTERRUPTED,
    Charts,
    RowsSummary,
    RunSummary,
    StepSummary,
)
from babelrank.components.evaluation.sentences import unserved
from babelrank.components.evaluation.verdict import Finding
from babelrank.components.serving.check.report import CheckFinding, CheckReport

ANOMALY = "Schema anomaly: "
"""How the gate's sentences on anomalies begin."""

LEFT_OUT = "left out, as report.raw_rows is false"


def without_rows(summary: RunSummary, charts: Charts) -> tuple[RunSummary, Charts]:
    """A run without any row of its data."""
    told = {} if summary.drift is None else _shortened(summary.drift)
    if unserved(summary):  # then it quotes the check
        summary = replace(summary, not_pushed=f"The serving check refused it; why is {LEFT_OUT}.")
    safe = replace(
        summary,
        raw_rows=False,
        rows=summary.rows and _counts(summary.rows),
        steps=tuple(_without_error(step) for step in summary.steps),
        drift=summary.drift and _without_values(summary.drift, told),
        verdict=tuple(_finding(finding, told) for finding in summary.verdict),
        check=summary.check and _without_requests(summary.check),
        anomalies=tuple(_place(text) for text in summary.anomalies),
        vocabulary_notes=_covered(summary.vocabulary_notes),
    )
    return safe, replace(charts, samples=())


def _counts(rows: RowsSummary) -> RowsSummary:
    examples = tuple((reason, file, at, None) for reason, file, at, _ in rows.examples)
    return replace(rows, examples=examples)


def _without_error(step: StepSummary) -> StepSummary:
    if step.error is None or step.error == INTERRUPTED:
        return step
    return replace(step, error=f"The error is {LEFT_OUT}: errors can quote rows. log.txt has it.")


def _shortened(drift: DriftReport) -> dict[str, str]:
    """Each sentence on a feature without the values that changed most."""
    return {text: text.partition("; most changed:")[0].rstrip(".") + "." for text in drift.beyond}


def _without_values(drift: DriftReport, told: dict[str, str]) -> DriftReport:
    features = tuple(
        replace(one, beyond=tuple(told[text] for text in one.beyond)) for one in drift.features
    )
    return replace(drift, features=features)


def _finding(finding: Finding, told: dict[str, str]) -> Finding:
    text = told.get(finding.text, finding.text)
    return replace(finding, text=_place(text) if text.startswith(ANOMALY) else text)


def _place(anomaly: str) -> str:
    """Which feature of which splits an anomaly is about, without what was found there."""
    where, found, _ = anomaly.partition("): ")
    return f"{where})." if found else anomaly


def _without_requests(check: CheckReport) -> CheckReport:
    """The sentences of findings quote requests and answers, too."""
    text = f"A check of the model was not passed; requests and answers are {LEFT_OUT}."
    refused = tuple(CheckFinding(ok=False, text=text) for one in check.findings if not one.ok)
    kept = sum(one.ok for one in check.findings)
    passed = (CheckFinding(ok=True, text=f"{kept} checks were passed."),) if kept else ()
    return replace(check, findings=(*refused, *passed))


def _covered(notes: Sequence[str]) -> tuple[str, ...]:
    return tuple(note for note in notes if not note.startswith("Not covered, "))
