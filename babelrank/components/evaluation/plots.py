"""The report's plots: curves, dots and bars; see `drawing`.

Every function returns None when there is nothing finite to draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from babelrank.components.evaluation.drawing import (
    BAD,
    BASELINE,
    CANDIDATE,
    GRID,
    INK,
    Point,
    average,
    finite,
    svg,
    thin,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def roc_svg(candidate: Sequence[Point], baseline: Sequence[Point], label: str) -> str | None:
    """ROC curves over the diagonal of a model that guesses; `label` is read out in its place."""
    curves = [thin(sorted(finite(points))) for points in (baseline, candidate)]
    if not curves[1]:
        return None

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), color=GRID, linewidth=1, label="guessing")
        for curve, colour, name in zip(
            curves, (BASELINE, CANDIDATE), ("baseline", "this model"), strict=True
        ):
            if curve:
                axes.plot(*zip(*curve, strict=True), color=colour, label=name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        axes.set_aspect("equal")
        axes.legend(loc="lower right", reverse=True)

    return svg(draw, "roc", label, height=3.7)


def precision_recall_svg(
    candidate: Sequence[Point], baseline: Sequence[Point], rate: float, label: str
) -> str | None:
    """Precision by recall, over the line of a model that guesses.

    Args:
        candidate: (recall, precision) of this model, in any order.
        baseline: The same of the baseline.
        rate: Share of positive examples: the precision of guessing.
        label: Read out in the drawing's place.
    """
    curves = [thin(sorted(finite(points))) for points in (baseline, candidate)]
    if not curves[1]:
        return None

    def draw(axes: Axes) -> None:
        axes.axhline(rate, color=GRID, linewidth=1, label="guessing")
        for curve, colour, name in zip(
            curves, (BASELINE, CANDIDATE), ("baseline", "this model"), strict=True
        ):
            if curve:
                axes.plot(*zip(*curve, strict=True), color=colour, label=name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="recall", ylabel="precision")
        axes.set_aspect("equal")
        axes.legend(loc="upper right", reverse=True)

    return svg(draw, "precision", label, height=3.7)


def scores_svg(
    bins: Sequence[tuple[float, float, float, float]], names: tuple[str, str], label: str
) -> str | None:
    """How two groups of examples spread over the scores; each group's bars add up to 1.

    Args:
        bins: (lowest, highest score, examples of the first group, of the second).
        names: Of the two groups.
        label: Read out in the drawing's place.
    """
    shown = sorted(finite(bins))
    wholes = [math.fsum(bin[group] for bin in shown) for group in (2, 3)]
    if not shown or not any(wholes):
        return None
    edges = [bin[0] for bin in shown] + [shown[-1][1]]
    if edges[0] == edges[-1]:
        return None

    def draw(axes: Axes) -> None:
        for group, colour, name in zip((2, 3), (BASELINE, CANDIDATE), names, strict=True):
            whole = wholes[group - 2]
            if whole:
                shares = [bin[group] / whole for bin in shown]
                axes.stairs(shares, edges, fill=True, color=colour, alpha=0.25)
                axes.stairs(shares, edges, color=colour, linewidth=1.8, label=name)
        axes.set(xlabel="score", ylabel="share of the group")
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right", reverse=True)

    return svg(draw, "scores", label, height=3.7)


def runs_svg(points: Sequence[tuple[float, float, bool]], metric: str, label: str) -> str | None:
    """A metric from run to run.

    Args:
        points: (when, in seconds since the epoch; the value; True for a refused model).
        metric: Its name for people.
        label: Read out in the drawing's place.
    """
    shown = sorted(finite(points))
    if not shown:
        return None

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        places = range(1, len(shown) + 1)
        axes.plot(places, [value for _, value, _ in shown], color=GRID, linewidth=1.4)
        for refused, colour, marker, name in (
            (False, CANDIDATE, "o", "not refused"),
            (True, BAD, "X", "refused"),
        ):
            own = [(x, one[1]) for x, one in zip(places, shown, strict=True) if one[2] == refused]
            if own:
                axes.plot(*zip(*own, strict=True), marker, color=colour, markersize=6, label=name)
        axes.set(xlabel="runs with a measured model, the newest on the right", ylabel=metric)
        axes.set_xlim(0.5, len(shown) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if any(refused for *_, refused in shown):
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    return svg(draw, "runs", label, height=1.9, width=7.2)


def calibration_svg(buckets: Sequence[tuple[float, float, float]], label: str) -> str | None:
    """Mean label against mean prediction; a dot's area shows how many examples a bucket has."""
    dots = sorted(finite(buckets))
    if not dots:
        return None
    predicted, actual, counts = zip(*dots, strict=True)
    values = predicted + actual
    low, high = min(values), max(values)
    low = 0.0 if 0 <= low < high / 2 else low
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 0.1

    def draw(axes: Axes) -> None:
        ends = (low - margin if low else 0.0, high + margin)
        axes.plot(ends, ends, color=GRID, linewidth=1, label="predicted = actual")
        axes.plot(predicted, actual, color=CANDIDATE, linewidth=1.2)
        largest = max(*counts, 1)
        axes.scatter(
            predicted,
            actual,
            s=[12 + 70 * max(count, 0) / largest for count in counts],
            color=CANDIDATE,
            linewidths=0,
            clip_on=False,
            label="this model",
            zorder=3,
        )
        axes.set(xlim=ends, ylim=ends, xlabel="mean prediction", ylabel="mean label")
        axes.set_aspect("equal")
        legend = axes.legend(loc="upper left", reverse=True)
        legend.legend_handles[0].set_sizes([30])  # type: ignore[union-attr]

    return svg(draw, "calibration", label, height=3.7)


def curve_svg(
    points: Sequence[Point], name: str, label: str, mark: int | None = None
) -> str | None:
    """A value by training step.

    Args:
        points: (step, value); more than `MAX_POINTS` are averaged in runs of equal length.
        name: Short name that makes the drawing's ids its own on the page.
        label: Read out in the drawing's place.
        mark: Step of the point to circle, such as the best one.
    """
    curve = average(sorted(finite(points)))
    if not curve:
        return None
    from matplotlib.ticker import EngFormatter, MaxNLocator

    def draw(axes: Axes) -> None:
        marker = "o" if len(curve) <= 30 else None
        axes.plot(*zip(*curve, strict=True), color=CANDIDATE, marker=marker, markersize=3.5)
        for x, y in curve:
            if x == mark:
                axes.plot((x,), (y,), "o", mfc="none", mec=INK, markersize=10)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))

    return svg(draw, name, label, height=2.7)


def bars_svg(bars: Sequence[tuple[str, int, float, float]], metric: str, label: str) -> str | None:
    """A metric by group, the baseline's bar beside this model's.

    Args:
        bars: Name of each group, number of its examples, the metric of this model and of the
            baseline (NaN without one).
        metric: Name of the metric for people.
        label: Read out in the drawing's place.
    """
    shown = [bar for bar in bars if math.isfinite(bar[2])]
    if not shown:
        return None
    paired = any(math.isfinite(bar[3]) for bar in shown)

    def draw(axes: Axes) -> None:
        width = 0.36 if paired else 0.6
        for place, (_, _, value, base) in enumerate(shown):
            if math.isfinite(base):
                axes.bar(place - width / 2, base, width, color=BASELINE)
            centre = place + width / 2 if paired else place
            axes.bar(centre, value, width, color=CANDIDATE)
            axes.annotate(
                f"{value:.1f}", (centre, value), (0, 2), textcoords="offset points", ha="center"
            )
        if paired:
            axes.bar(0, 0, color=CANDIDATE, label="this model")
            axes.bar(0, 0, color=BASELINE, label="baseline")
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        axes.set_xticks(range(len(shown)), [f"{name}\n({count:,})" for name, count, *_ in shown])
        axes.set_ylabel(metric)
        axes.set_ylim(bottom=0, top=None if any(bar[2] > 0 for bar in shown) else 1)
        axes.grid(visible=False, axis="x")

    return svg(draw, "bars", label, height=3.1)
