"""Tells people and machines how one pipeline run went: `report.html`, `run.json`, terminal lines.

Everything here is a function of plain data (`RunSummary`, `Charts`); gathering that data is another
file's work. The page is one file: no script, no network, nothing beside it. Text that comes from
data (raw rows above all) is escaped, and its control characters are made visible.

Jinja and matplotlib are imported on first use.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

from babelrank.components.evaluation.gate import Finding
from babelrank.components.evaluation.plots import (
    Charts,
    SliceRow,
    calibration_svg,
    curve_svg,
    roc_svg,
)
from babelrank.components.evaluation.wording import (
    METRICS,
    better,
    difference,
    duration,
    in_order,
    label,
    moment,
    number,
    share,
    visible,
)

__all__ = [
    "BadRow",
    "Charts",
    "INTERRUPTED",
    "Finding",
    "RowsSummary",
    "RunSummary",
    "SliceRow",
    "StepSummary",
    "verdict_lines",
    "write_html",
    "write_run_json",
]

BadRow = tuple[str, str, int | str, str]
"""(reason, file, line or row-group offset, the row as it was read)."""

# The terminal shows so many lines of an error beyond its first; a library's can be very long.
_ERROR_LINES = 10


INTERRUPTED = "interrupted"
"""The error of a step that was stopped by Ctrl-C or SIGTERM."""


@dataclass(frozen=True, kw_only=True)
class StepSummary:
    """How one step of the pipeline went; `seconds` is None when it did not run."""

    name: str
    state: Literal["ran", "cached", "failed", "skipped", "not reached"]
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class RowsSummary:
    """What became of the input's rows: read = used + dropped + quarantined.

    Attributes:
        read: Rows read.
        used: Rows that became examples.
        dropped: Reason to number of rows that the configuration says to leave out.
        quarantined: Reason to number of rows that could not be used.
        examples: A few quarantined rows.
    """

    read: int
    used: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[BadRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run of a pipeline.

    Attributes:
        blessed: What the gate said; None if it was not reached.
        pushed_model: Folder of the pushed model; None if nothing was pushed.
        started: ISO 8601 time.
        seconds: Step to seconds.
        metrics: Metric to value of the candidate on `split`; empty before evaluation.
        baseline: The same of the last blessed model; None without one.
        split: Split that the gate used.
        split_note: Sentence that says why that split.
        rows: None if no row was counted.
        splits: Split to number of examples.
        spans: Spans that were read.
        optimum: Metric to the best value that any model could reach, where the data are simulated.
        config_yaml: The configuration in full.
    """

    run_id: str
    pipeline: str
    task: Literal["ranking", "translation"]
    status: Literal["pushed", "refused", "failed", "interrupted"]
    started: str
    blessed: bool | None = None
    pushed_model: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[StepSummary, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    baseline: Mapping[str, float] | None = None
    split: str = ""
    split_note: str = ""
    verdict: tuple[Finding, ...] = ()
    rows: RowsSummary | None = None
    splits: Mapping[str, int] = field(default_factory=dict)
    spans: tuple[int, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    optimum: Mapping[str, float] | None = None
    config_yaml: str = ""


def verdict_lines(summary: RunSummary) -> list[str]:
    """The verdict in plain words for the terminal; the first line alone says how the run ended."""
    baseline = summary.baseline or {}
    parts = []
    for name in in_order(summary.metrics):
        text = f"{name} {number(summary.metrics[name])}"
        if name in baseline:
            change = difference(summary.metrics[name], baseline[name])
            text += f" (baseline {number(baseline[name])}, {change})"
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
    lines += [f"  {'ok ' if f.ok else 'NO '} {f.text}" for f in summary.verdict]
    if summary.metrics and summary.split:
        lines.append(f"  measured on {summary.split}. {summary.split_note}".rstrip())
    lines += [f"  {sentence}" for sentence in reachable(summary).values()]
    if summary.rows:
        lines.append(f"  {_rows_sentence(summary.rows)}")
    if summary.pushed_model:
        lines.append(f"  model: {summary.pushed_model}")
    return [visible(line) for line in lines]


def write_run_json(summary: RunSummary, path: str | Path) -> None:
    """Writes the run for machines; numbers that are not finite become null.

    `rows.by_reason` holds the reasons for quarantine and for dropping together; `rows.quarantined`
    and `rows.dropped` are totals, and `rows` is null when no row was counted.
    """
    content = dict(vars(summary))
    del content["config_yaml"], content["split_note"]
    content["pushed_model"] = summary.pushed_model or None
    content["verdict"] = [asdict(finding) for finding in summary.verdict]
    content["steps"] = [asdict(step) for step in summary.steps]
    if rows := summary.rows:
        content["rows"] = {
            "read": rows.read,
            "used": rows.used,
            "quarantined": sum(rows.quarantined.values()),
            "dropped": sum(rows.dropped.values()),
            "by_reason": dict(Counter(rows.quarantined) + Counter(rows.dropped)),
        }
    text = json.dumps(_plain(content), indent=2, allow_nan=False)
    _write_atomically(text + "\n", Path(path))


def write_html(summary: RunSummary, charts: Charts, path: str | Path) -> None:
    """Writes the run for people: one page that needs nothing else."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value, "\n\t") if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        better=better,
        difference=difference,
        duration=duration,
        in_order=in_order,
        label=label,
        moment=moment,
        number=number,
        share=share,
        slice_table=slice_table,
        visible=visible,
    )
    source = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        run=summary,
        charts=charts,
        figures=_figures(summary, charts),
        headline=headline(summary),
        reachable=reachable(summary),
        step_rows=step_rows(summary),
    )
    _write_atomically(page, Path(path))


def headline(summary: RunSummary) -> str:
    """How the run ended, in two or three words: `Pushed`, `Refused`, `Failed at Trainer`."""
    if summary.status in ("pushed", "refused"):
        return summary.status.capitalize()
    failed = [step.name for step in summary.steps if step.state == "failed"]
    return summary.status.capitalize() + (f" at {', '.join(failed)}" if failed else "")


def reachable(summary: RunSummary) -> dict[str, str]:
    """For each metric with a known optimum, a sentence on how near the model came."""
    sentences = {}
    for name, best in (summary.optimum or {}).items():
        value = summary.metrics.get(name, math.nan)
        if not (math.isfinite(value) and math.isfinite(best)):
            continue
        text = f"{label(name)} {number(value)} of {number(best)} reachable"
        if name == "auc" and best > 0.5:
            way = 100 * (value - 0.5) / (best - 0.5)
            text += f" ({way:.0f} % of the way from 0.5)"
        else:
            text += f" ({difference(value, best)})"
        sentences[name] = text
    return sentences


def step_rows(summary: RunSummary) -> list[tuple[str, str, float | None]]:
    """(name, state, seconds) of the steps in order; steps known by their seconds alone ran."""
    known = {step.name for step in summary.steps}
    rows: list[tuple[str, str, float | None]] = [
        (s.name, s.state, summary.seconds.get(s.name) if s.seconds is None else s.seconds)
        for s in summary.steps
    ]
    return rows + [(n, "ran", s) for n, s in summary.seconds.items() if n not in known]


def slice_table(slices: Iterable[SliceRow]) -> tuple[list[str], list[dict[str, Any]]]:
    """Metrics to show (three at most), and per slice its cells with bars of the first metric.

    A bar's length is in percent of the longest; AUC starts at 0.5, the others at 0.
    """
    rows = list(slices)
    names = in_order(dict.fromkeys(name for row in rows for name in row.metrics))[:3]
    first = names[0] if names else ""
    start = 0.5 if first == "auc" else 0.0
    sides = [
        side.get(first, math.nan) for row in rows for side in (row.metrics, row.baseline or {})
    ]
    top = max((value for value in sides if math.isfinite(value)), default=start)

    def length(value: float) -> float | None:
        if not math.isfinite(value) or top <= start:
            return None
        return round(100 * min(max((value - start) / (top - start), 0.0), 1.0), 1)

    table = []
    for row, value, base in zip(rows, sides[::2], sides[1::2], strict=True):
        bars = {"bar": length(value), "tick": length(base)}
        table.append({"row": row, "baseline": row.baseline or {}, **bars})
    return names, table


def _rows_sentence(rows: RowsSummary) -> str:
    parts = [f"{rows.read:,} rows read", f"{rows.used:,} used"]
    for name, reasons in (("dropped", rows.dropped), ("quarantined", rows.quarantined)):
        if reasons:
            listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
            parts.append(f"{sum(reasons.values()):,} {name} ({listed})")
    return ", ".join(parts)


def _figures(summary: RunSummary, charts: Charts) -> list[tuple[str, str, str]]:
    """(title, note, SVG) of every plot for which there are data."""
    from markupsafe import Markup

    drawn: list[tuple[str, str, str | None]] = []
    value, base = summary.metrics.get("auc"), (summary.baseline or {}).get("auc")
    note = "" if value is None else f"Area {number(value)}"
    note += "" if base is None or not note else f"; baseline {number(base)}"
    roc = roc_svg(charts.roc, charts.roc_baseline, f"ROC curve. {note}")
    drawn.append(("ROC curve", note, roc))
    note = "Each dot is a bucket of examples; below the line the model promises too much."
    dots = calibration_svg(charts.calibration, f"Mean label against mean prediction. {note}")
    drawn.append(("Predicted and actual", note, dots))
    note = "On the train split, by step"
    drawn.append(("Training loss", note, curve_svg(charts.loss, "loss", f"Training loss. {note}")))
    for i, name in enumerate(in_order(charts.evaluation)):
        points = [p for p in charts.evaluation[name] if all(map(math.isfinite, p))]
        note, mark = "On the eval split, by step", None
        if points and name in METRICS:
            best = points[0]
            for point in points:
                best = point if better(name, point[1], best[1]) else best
            mark = int(best[0])
            note += f"; best {number(best[1])} at {mark:,}"
        title = f"{label(name)} in training"
        drawn.append((title, note, curve_svg(points, f"eval-{i}", f"{title}. {note}", mark)))
    return [(title, note, Markup(svg)) for title, note, svg in drawn if svg]


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


def _write_atomically(text: str, path: Path) -> None:
    """Writes beside `path` and renames, so that nobody ever reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
