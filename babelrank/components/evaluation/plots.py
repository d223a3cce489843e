"""Draws the report's plots as small inline SVG.

The SVG is meant to stand inside the report's HTML: it names no colours of its own but the page's
(`currentColor`, `--grid`, `--candidate`, `--baseline`), so that one drawing serves light, dark and
print; its text stays text; it refers to nothing outside itself; and the same numbers give the same
bytes. Every function returns None when there is nothing finite to draw. Matplotlib is imported on
first use.
"""

from __future__ import annotations

import io
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float]
_Row = TypeVar("_Row", bound=tuple[float, ...])

MAX_POINTS = 400
"""A curve is thinned to so many points: more cannot be seen."""

# Stand-ins that matplotlib draws with, and what the page puts in their place.
_INK, _GRID, _CANDIDATE, _BASELINE = "#010101", "#020202", "#030303", "#040404"
_COLOURS = {
    _INK: "currentColor",
    _GRID: "var(--grid, #8884)",
    _CANDIDATE: "var(--candidate, #2563eb)",
    _BASELINE: "var(--baseline, #888)",
}
_STYLE = {
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "babelrank",
    "text.color": _INK,
    "xtick.color": _GRID,
    "xtick.labelcolor": _INK,
    "ytick.color": _GRID,
    "ytick.labelcolor": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def roc_svg(candidate: Sequence[Point], baseline: Sequence[Point], label: str) -> str | None:
    """ROC curves over the diagonal of a model that guesses; `label` is read out in its place."""
    curves = [thin(sorted(_finite(points))) for points in (baseline, candidate)]
    if not curves[1]:
        return None

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), color=_GRID, linewidth=1, label="guessing")
        for curve, colour, name in zip(
            curves, (_BASELINE, _CANDIDATE), ("baseline", "this model"), strict=True
        ):
            if curve:
                axes.plot(*zip(*curve, strict=True), color=colour, label=name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        axes.set_aspect("equal")
        axes.legend(loc="lower right", reverse=True)

    return _svg(draw, "roc", label, height=3.7)


def calibration_svg(buckets: Sequence[tuple[float, float, float]], label: str) -> str | None:
    """Mean label against mean prediction; a dot's area shows how many examples a bucket has."""
    dots = sorted(_finite(buckets))
    if not dots:
        return None
    predicted, actual, counts = zip(*dots, strict=True)
    values = predicted + actual
    low, high = min(values), max(values)
    low = 0.0 if 0 <= low < high / 2 else low
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 0.1

    def draw(axes: Axes) -> None:
        ends = (low - margin if low else 0.0, high + margin)
        axes.plot(ends, ends, color=_GRID, linewidth=1, label="predicted = actual")
        axes.plot(predicted, actual, color=_CANDIDATE, linewidth=1.2)
        largest = max(*counts, 1)
        axes.scatter(
            predicted,
            actual,
            s=[12 + 70 * max(count, 0) / largest for count in counts],
            color=_CANDIDATE,
            linewidths=0,
            clip_on=False,
            label="this model",
            zorder=3,
        )
        axes.set(xlim=ends, ylim=ends, xlabel="mean prediction", ylabel="mean label")
        axes.set_aspect("equal")
        legend = axes.legend(loc="upper left", reverse=True)
        legend.legend_handles[0].set_sizes([30])  # type: ignore[union-attr]

    return _svg(draw, "calibration", label, height=3.7)


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
    curve = average(sorted(_finite(points)))
    if not curve:
        return None
    from matplotlib.ticker import EngFormatter, MaxNLocator

    def draw(axes: Axes) -> None:
        marker = "o" if len(curve) <= 30 else None
        axes.plot(*zip(*curve, strict=True), color=_CANDIDATE, marker=marker, markersize=3.5)
        for x, y in curve:
            if x == mark:
                axes.plot((x,), (y,), "o", mfc="none", mec=_INK, markersize=10)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))

    return _svg(draw, name, label, height=2.7)


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
                axes.bar(place - width / 2, base, width, color=_BASELINE)
            centre = place + width / 2 if paired else place
            axes.bar(centre, value, width, color=_CANDIDATE)
            axes.annotate(
                f"{value:.1f}", (centre, value), (0, 2), textcoords="offset points", ha="center"
            )
        if paired:
            axes.bar(0, 0, color=_CANDIDATE, label="this model")
            axes.bar(0, 0, color=_BASELINE, label="baseline")
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        axes.set_xticks(range(len(shown)), [f"{name}\n({count:,})" for name, count, *_ in shown])
        axes.set_ylabel(metric)
        axes.set_ylim(bottom=0, top=None if any(bar[2] > 0 for bar in shown) else 1)
        axes.grid(visible=False, axis="x")

    return _svg(draw, "bars", label, height=3.1)


def thin(curve: Sequence[Point], limit: int = MAX_POINTS) -> list[Point]:
    """Keeps at most `limit` points, evenly along the curve's length, and both ends."""
    if len(curve) <= limit:
        return list(curve)
    steps = (abs(c - a) + abs(d - b) for (a, b), (c, d) in pairwise(curve))
    length = list(accumulate(steps, initial=0.0))
    last = len(curve) - 1
    wanted = (bisect_left(length, length[-1] * i / (limit - 1)) for i in range(1, limit - 1))
    return [curve[i] for i in sorted({0, last, *wanted})]


def average(curve: Sequence[Point], limit: int = MAX_POINTS) -> list[Point]:
    """Averages runs of equal length so that at most `limit` points remain."""
    run = -(-len(curve) // limit)
    if run <= 1:
        return list(curve)
    parts = (curve[i : i + run] for i in range(0, len(curve), run))
    return [(_mean(x for x, _ in part), _mean(y for _, y in part)) for part in parts]


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)


def _finite(rows: Iterable[_Row]) -> list[_Row]:
    return [row for row in rows if all(map(math.isfinite, row))]


def _svg(draw: Callable[[Axes], None], name: str, label: str, height: float) -> str:
    """Lets `draw` fill a pair of axes, 4.4 by `height` inches, and returns the SVG."""
    from matplotlib import style
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(4.4, height), layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _inline(buffer.getvalue(), name, label)


def _inline(svg: str, name: str, label: str) -> str:
    """Turns matplotlib's SVG file into an element of the page."""
    size = re.search(r'viewBox="([^"]*)"', svg)
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r'(<g) id="[^"]*"', r"\1", body).replace("<g/>", "")
    body = re.sub(r' id="', rf' id="{name}-', body.replace("url(#", f"url(#{name}-"))
    body = body.replace(' xlink:href="#', f' href="#{name}-')
    body = re.sub(r"(font: \d+px|font-family:) '[^;\"]*", r"\1 system-ui, sans-serif", body)
    for stand_in, colour in _COLOURS.items():
        body = body.replace(stand_in, colour)
    body = re.sub(r' (?:d|x|y|transform)="[^"]*"', _shorten, body)
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    view_box = size[1] if size else ""
    return f'<svg role="img" aria-label="{escape(label)}" viewBox="{view_box}">{body}'


def _shorten(attribute: re.Match[str]) -> str:
    """Rounds an attribute's numbers to hundredths of a point."""
    text = re.sub(r"\s*\n", " ", attribute[0])
    return re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}", text)
