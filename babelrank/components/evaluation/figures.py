"""Which plots a report shows, with their titles and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from babelrank.components.evaluation.plots import (
    bars_svg,
    calibration_svg,
    curve_svg,
    precision_recall_svg,
    roc_svg,
    scores_svg,
)
from babelrank.components.evaluation.run_summary import Charts, Point, RunSummary
from babelrank.components.evaluation.wording import METRICS, better, figure, in_order, label, number

_Drawn = tuple[str, str, str | None]


def figures(summary: RunSummary, charts: Charts) -> list[tuple[str, str, str]]:
    """(title, note, SVG) of every plot for which there are data."""
    return [(title, note, svg) for title, note, svg in _drawn(summary, charts) if svg]


def _drawn(summary: RunSummary, charts: Charts) -> Iterator[_Drawn]:
    """All plots; None in place of those without data."""
    yield from _judged(summary, charts)
    if charts.lengths:
        yield _lengths(charts)
    note = "On the train split, by step"
    yield "Training loss", note, curve_svg(charts.loss, "loss", f"Training loss. {note}")
    for i, name in enumerate(in_order(charts.evaluation)):
        yield _course(name, charts.evaluation[name], f"eval-{i}")


def _judged(summary: RunSummary, charts: Charts) -> Iterator[_Drawn]:
    """What a ranking model's scores are worth."""
    note = _areas(summary, "auc")
    yield "ROC curve", note, roc_svg(charts.roc, charts.roc_baseline, f"ROC curve. {note}")
    rate = summary.metrics.get("label_mean", math.nan)
    curves = [precision_recall(curve, rate) for curve in (charts.roc, charts.roc_baseline)]
    note = "; ".join(filter(None, (_areas(summary, "pr_auc"), f"guessing {number(rate)}")))
    drawn = precision_recall_svg(curves[0], curves[1], rate, f"Precision by recall. {note}")
    yield "Precision and recall", note, drawn
    note = "Each dot is a bucket of examples; below the line the model promises too much."
    dots = calibration_svg(charts.calibration, f"Mean label against mean prediction. {note}")
    yield "Predicted and actual", note, dots
    clicks = bool(charts.roc)
    names = ("not clicked", "clicked") if clicks else ("predicted", "actual")
    note = "How many examples have which rating, by the model and by the label."
    if clicks:
        note = "How many examples got which score; the last bar has all higher ones, too."
    bars = scores_svg(charts.scores, names, f"Distribution of scores. {note}")
    yield "Scores" if clicks else "Predictions and labels", note, bars


def _areas(summary: RunSummary, metric: str) -> str:
    value, base = summary.metrics.get(metric), (summary.baseline or {}).get(metric)
    note = "" if value is None else f"Area {number(value)}"
    return note + ("" if base is None or not note else f"; baseline {number(base)}")


def _lengths(charts: Charts) -> _Drawn:
    metric = in_order(charts.lengths[0].metrics)[0]
    rows = [
        (row.slice, row.examples, _of(row.metrics, metric), _of(row.baseline, metric))
        for row in charts.lengths
    ]
    title = f"{label(metric)} by length"
    note = "By the length of the source; in brackets, how many sentences"
    return title, note, bars_svg(rows, label(metric), f"{title}. {note}")


def _course(name: str, curve: Sequence[Point], drawing: str) -> _Drawn:
    """A metric in training, with its best point."""
    points = [p for p in curve if all(map(math.isfinite, p))]
    note, mark = "On the eval split, by step", None
    if points and name in METRICS:
        best = points[0]
        for point in points:
            best = point if better(name, point[1], best[1]) else best
        mark = int(best[0])
        note += f"; best {figure(name, best[1])} at {mark:,}"
    title = f"{label(name)} in training"
    return title, note, curve_svg(points, drawing, f"{title}. {note}", mark)


def precision_recall(roc: Sequence[Point], rate: float) -> list[Point]:
    """(recall, precision) at the points of a ROC curve, given the share of positive examples.

    Of all examples, `rate * true` are found and right, `(1 - rate) * false` found and wrong.
    """
    found = ((true, rate * true, (1 - rate) * false) for false, true in roc)
    return [(true, right / (right + wrong)) for true, right, wrong in found if right + wrong > 0]


def _of(metrics: Mapping[str, float] | None, name: str) -> float:
    return (metrics or {}).get(name, math.nan)
