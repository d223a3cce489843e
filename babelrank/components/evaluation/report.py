"""Tells people and machines how one pipeline run went: `report.html`, `run.json`, terminal lines.

Everything here is a function of plain data (`RunSummary`, `Charts`); gathering that data is another
file's work. The page is one file: no network, nothing beside it, and a script only to sort tables.
Text that comes from data (raw rows above all) is escaped, and its control characters are made
visible.

Jinja and matplotlib are imported on first use.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from babelrank.components import durable
from babelrank.components.evaluation.drift import FeatureDrift
from babelrank.components.evaluation.page import html
from babelrank.components.evaluation.run_summary import (
    INTERRUPTED,
    BadRow,
    Charts,
    RowsSummary,
    RunSummary,
    SampleTranslation,
    SliceRow,
    Station,
    StepSummary,
)
from babelrank.components.evaluation.sentences import (
    headline,
    reachable,
    training_sentences,
    unserved,
)
from babelrank.components.evaluation.verdict import Finding
from babelrank.components.evaluation.wording import difference, figure, in_order, visible

__all__ = [
    "BadRow",
    "Charts",
    "INTERRUPTED",
    "Finding",
    "RowsSummary",
    "RunSummary",
    "SampleTranslation",
    "SliceRow",
    "Station",
    "StepSummary",
    "verdict_lines",
    "write_html",
    "write_run_json",
]

# The terminal shows so many lines of an error beyond its first; a library's can be very long.
_ERROR_LINES = 10


def verdict_lines(summary: RunSummary) -> list[str]:
    """The verdict in plain words for the terminal; the first line alone says how the run ended."""
    baseline = summary.baseline or {}
    parts = []
    for name in in_order(summary.metrics):
        text = f"{name} {figure(name, summary.metrics[name])}"
        if name in baseline:
            change = difference(summary.metrics[name], baseline[name])
            sure = f", p = {summary.p_values[name]:.3f}" if name in summary.p_values else ""
            text += f" (baseline {figure(name, baseline[name])}, {change}{sure})"
        parts.append(text)
    status = headline(summary)
    status = summary.status.upper() + status[len(summary.status) :]
    lines = [f"{status}  {', '.join(parts)}".rstrip()]
    for step in summary.steps:
        if step.state == "failed" and step.error:
            first, *rest = step.error.strip().splitlines() or [""]
            more = ["…"] if len(rest) > _ERROR_LINES else []
            lines.append(f"  {step.name}: {first}")
            lines += [f"    {line}" for line in (*rest[:_ERROR_LINES], *more)]
    lines += [
        f"  {'-  ' if f.note else 'ok ' if f.ok else 'NO '} {f.text}" for f in summary.verdict
    ]
    if summary.forced:
        lines.append(f"  !   forced past the gate: {summary.forced}")
    lines += _served(summary)
    if summary.drift:
        lines += [f"  !   {warning}" for warning in summary.drift.warnings]
    if summary.not_pushed and not unserved(summary):  # the check has said why
        lines.append(f"  passed the gate; not pushed: {summary.not_pushed}")
    if summary.metrics and summary.split:
        lines.append(f"  measured on {summary.split}. {summary.split_note}".rstrip())
    lines += [f"  {sentence}" for sentence in reachable(summary).values()]
    lines += [f"  warm start: {sentence}" for sentence in summary.warm_start]
    lines += [f"  {sentence}" for sentence in training_sentences(summary, brief=True)]
    if summary.rows:
        lines.append(f"  {_rows_sentence(summary.rows)}")
    if summary.pushed_model:
        lines.append(f"  model: {summary.pushed_model}")
    return [visible(line) for line in lines]


def _served(summary: RunSummary) -> list[str]:
    """What the serving check said."""
    if summary.check is None:
        return []
    failed = [f"  NO  serving check: {one.text}" for one in summary.check.findings if not one.ok]
    if failed:
        return [*failed, f"  to repeat the serving check: {summary.check.command}"]
    compared = f"{summary.check.compared:,} examples as the trainer computed them"
    return [f"  ok  serving check: {compared}" if summary.check.compared else "  ok  serving check"]


def write_run_json(summary: RunSummary, path: str | Path) -> None:
    """Writes the run for machines; numbers that are not finite become null.

    `rows.by_reason` holds the reasons for quarantine and for dropping together; `rows.quarantined`
    and `rows.dropped` are totals, and `rows` is null when no row was counted. `drift` holds the
    features that were measured, by name, and is null when none was. `check` is what the serving
    check wrote, and null without one.
    """
    content = dict(vars(summary))
    del content["config_yaml"], content["split_note"], content["vocabulary_notes"]
    content["pushed_model"] = summary.pushed_model or None
    if summary.drift is not None:
        content["drift"] = {one.feature: _figures(one) for one in summary.drift.features}
    content["verdict"] = [asdict(finding) for finding in summary.verdict]
    content["steps"] = [asdict(step) for step in summary.steps]
    content["lineage"] = [asdict(station) for station in summary.lineage]
    content["check"] = None if summary.check is None else asdict(summary.check)
    if rows := summary.rows:
        content["rows"] = {
            "read": rows.read,
            "used": rows.used,
            "quarantined": sum(rows.quarantined.values()),
            "dropped": sum(rows.dropped.values()),
            "by_reason": dict(Counter(rows.quarantined) + Counter(rows.dropped)),
        }
    text = json.dumps(_plain(content), indent=2, allow_nan=False)
    durable.write_text(Path(path), text + "\n")


def write_html(summary: RunSummary, charts: Charts, path: str | Path) -> None:
    """Writes the run for people: one page that needs nothing else."""
    durable.write_text(Path(path), html(summary, charts))


def _figures(drift: FeatureDrift) -> dict[str, Any]:
    """What machines read about one feature."""
    content = asdict(drift)
    del content["feature"]
    return {**content, "beyond": bool(drift.beyond)}


def _rows_sentence(rows: RowsSummary) -> str:
    parts = [f"{rows.read:,} rows read", f"{rows.used:,} used"]
    for name, reasons in (("dropped", rows.dropped), ("quarantined", rows.quarantined)):
        if reasons:
            listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
            parts.append(f"{sum(reasons.values()):,} {name} ({listed})")
    return ", ".join(parts)


def _plain(value: Any) -> Any:
    """Numpy's numbers become Python's, and what is not finite None, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    return str(value)
