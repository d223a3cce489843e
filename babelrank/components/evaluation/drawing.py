"""What the report's plots are drawn with: small inline SVG in the page's own colours.

The SVG is meant to stand inside the report's HTML: it names no colours of its own but the page's
(`currentColor`, `--grid`, `--candidate`, `--baseline`, `--bad`), so that one drawing serves light,
dark and print; its text stays text; it refers to nothing outside itself; and the same numbers give
the same bytes. Matplotlib is imported on first use.
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
INK, GRID, CANDIDATE, BASELINE = "#010101", "#020202", "#030303", "#040404"
BAD = "#050505"
_COLOURS = {
    INK: "currentColor",
    GRID: "var(--grid, #8884)",
    CANDIDATE: "var(--candidate, #2563eb)",
    BASELINE: "var(--baseline, #888)",
    BAD: "var(--bad, #b42318)",
}
_STYLE = {
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "babelrank",
    "text.color": INK,
    "xtick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.color": GRID,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


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


def finite(rows: Iterable[_Row]) -> list[_Row]:
    """The rows without any that hold NaN or an infinity."""
    return [row for row in rows if all(map(math.isfinite, row))]


def svg(
    draw: Callable[[Axes], None], name: str, label: str, height: float, width: float = 4.4
) -> str:
    """Lets `draw` fill a pair of axes, `width` by `height` inches, and returns the SVG."""
    from matplotlib import style
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(width, height), layout="constrained")
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
