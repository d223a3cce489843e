"""The report's page: one HTML file without script or network, for people.

Text that comes from data (raw rows and sentences above all) is escaped, and what would not be seen
in it is made visible. Jinja is imported on first use.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from babelrank.components.evaluation.plots import (
    bars_svg,
    calibration_svg,
    curve_svg,
    roc_svg,
)
from babelrank.components.evaluation.run_summary import (
    Charts,
    RunSummary,
    SliceRow,
    headline,
    reachable,
    training_sentences,
)
from babelrank.components.evaluation.wording import (
    METRICS,
    better,
    difference,
    duration,
    figure,
    in_order,
    label,
    moment,
    number,
    share,
    significance,
    visible,
)

PAGE = "report.html.j2"

JOINERS = "\u200c\u200d\u200e\u200f\u061c"
"""Not visible, but harmless and part of how Persian, Hindi, Hebrew or emoji are written."""


def html(summary: RunSummary, charts: Charts) -> str:
    """The whole page."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_template),
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
        figure=figure,
        foreign=_foreign,
        in_order=in_order,
        label=label,
        moment=moment,
        number=number,
        share=share,
        significance=significance,
        slice_table=slice_table,
        visible=visible,
    )
    return environment.get_template(PAGE).render(
        run=summary,
        charts=charts,
        figures=_figures(summary, charts),
        headline=headline(summary),
        reachable=reachable(summary),
        training_sentences=training_sentences,
        step_rows=step_rows(summary),
    )


def _template(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _foreign(text: str) -> Any:
    """A sentence in any language, escaped, with the invisible characters that scripts need."""
    from markupsafe import escape

    return escape(visible(text, keep=JOINERS))


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
    if charts.lengths:
        metric = in_order(charts.lengths[0].metrics)[0]
        rows = [
            (row.slice, row.examples, _of(row.metrics, metric), _of(row.baseline, metric))
            for row in charts.lengths
        ]
        title = f"{label(metric)} by length"
        note = "By the length of the source; in brackets, how many sentences"
        drawn.append((title, note, bars_svg(rows, label(metric), f"{title}. {note}")))
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
            note += f"; best {figure(name, best[1])} at {mark:,}"
        title = f"{label(name)} in training"
        drawn.append((title, note, curve_svg(points, f"eval-{i}", f"{title}. {note}", mark)))
    return [(title, note, Markup(svg)) for title, note, svg in drawn if svg]


def _of(metrics: Mapping[str, float] | None, name: str) -> float:
    return (metrics or {}).get(name, math.nan)
