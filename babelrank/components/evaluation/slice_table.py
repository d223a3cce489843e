"""The rows of the table of slices, with bars that show one metric at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from babelrank.components.evaluation.run_summary import SliceRow
from babelrank.components.evaluation.wording import brief, in_order, visible

MOST = 1000
"""So many slices are shown, those with the most examples."""


def slice_table(slices: Iterable[SliceRow]) -> tuple[list[str], list[dict[str, Any]]]:
    """Metrics to show (three at most), and per slice its cells with bars of the first metric.

    A bar's length is in percent of the longest; AUC starts at 0.5, the others at 0. Of more than
    `MOST` slices the largest are there, in the order of all.
    """
    rows = _largest(list(slices))
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
        name = brief(visible(row.slice))
        table.append({"row": row, "name": name, "baseline": row.baseline or {}, **bars})
    return names, table


def _largest(rows: list[SliceRow]) -> list[SliceRow]:
    places = sorted(range(len(rows)), key=lambda place: -rows[place].examples)[:MOST]
    return [rows[place] for place in sorted(places)]
