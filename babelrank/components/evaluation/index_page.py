"""The index of all runs of an output folder: one page, the newest run first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from babelrank.components.evaluation.page import rendered, trusted
from babelrank.components.evaluation.plots import runs_svg
from babelrank.components.evaluation.wording import in_order, label

PAGE = "index.html.j2"


@dataclass(frozen=True, kw_only=True)
class IndexedRun:
    """What the index says of a run.

    Attributes:
        run_id: Name of its folder.
        status: As in `RunSummary`; `unknown` when it left nothing that can be read.
        when: Seconds since the epoch.
        started: The same as ISO 8601 text.
        why: Why it ended as it did, in a sentence.
        pipeline: Name of its pipeline.
        metrics: Metric to value.
        spans: What it read.
        version: Version that it pushed; empty: none.
        seconds: How long it took; None when that is not known.
        forced: Whether the gate was overruled.
        report: Path of its report from the index; empty: there is none.
    """

    run_id: str
    status: str
    when: float
    started: str
    why: str
    pipeline: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    spans: tuple[int, ...] = ()
    version: str = ""
    seconds: float | None = None
    forced: bool = False
    report: str = ""

    @property
    def link(self) -> str:
        """The path as a URL."""
        return quote(self.report)


def index_html(title: str, runs: Sequence[IndexedRun], removed: int) -> str:
    """The whole page.

    Args:
        title: What all the runs are of.
        runs: In any order.
        removed: Number of judged runs whose folders are gone.
    """
    newest = sorted(runs, key=lambda run: (run.when, run.run_id), reverse=True)
    metric = main_metric(newest)
    points = [
        (run.when, run.metrics[metric], run.status == "refused")
        for run in runs
        if metric in run.metrics
    ]
    note = f"{label(metric)} of each run whose model was measured."
    plot = runs_svg(points, label(metric), note) if metric else None
    return rendered(
        PAGE,
        title=title,
        runs=newest,
        metric=metric,
        plot=trusted(plot) if plot else "",
        note=note,
        removed=removed,
        newest=newest[0] if newest else None,
        serving=next((run for run in newest if run.version), None),
    )


def main_metric(newest: Sequence[IndexedRun]) -> str:
    """The first metric of the newest run that has any; empty if none has."""
    for run in newest:
        known = [n for n in in_order(run.metrics) if math.isfinite(run.metrics[n])]
        if known:
            return known[0]
    return ""
