"""Numbers, metrics and raw text in the words of the report and the terminal."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from numbers import Integral
from typing import Literal

# Metric -> (its name for people, how it improves): higher, lower, or nearer to 1. In order of show.
METRICS: dict[str, tuple[str, Literal["higher", "lower", "one"]]] = {
    "auc": ("AUC", "higher"),
    "pr_auc": ("PR-AUC", "higher"),
    "ndcg": ("NDCG", "higher"),
    "hit_rate": ("Hit rate", "higher"),
    "mrr": ("MRR", "higher"),
    "lift": ("Lift", "higher"),
    "bleu": ("BLEU", "higher"),
    "chrf": ("chrF", "higher"),
    "bleu_lower": ("BLEU, lower case", "higher"),
    "rmse": ("RMSE", "lower"),
    "mae": ("MAE", "lower"),
    "log_loss": ("Log loss", "lower"),
    "calibration": ("Calibration", "one"),
    "ece": ("Calibration error", "lower"),
    "accuracy": ("Accuracy", "higher"),
    "perplexity": ("Perplexity", "lower"),
    "loss": ("Loss", "lower"),
}

EXPLAINED = {
    "pr_auc": "area under precision by recall",
    "ndcg": "how high each query's clicks stand; 1 is best",
    "hit_rate": "queries with a click in the first places",
    "mrr": "mean of 1 ÷ the place of a query's first click",
    "lift": "click rate of the highest scores ÷ that of all",
    "calibration": "mean prediction ÷ mean label; 1 is best",
    "ece": "mean distance of predictions from labels",
}
"""What a metric is, where its name does not say."""

OF_HUNDRED = ("bleu", "chrf", "bleu_lower")
"""Metrics from 0 to 100, which are read with one decimal."""

NAME_LENGTH = 200
"""Names that come from the data, such as those of slices, are shown no longer."""

SIGNIFICANT = 0.05
"""A difference with a smaller p-value is called significant, unless a level is configured."""


def label(name: str) -> str:
    """Name of a metric for people."""
    return METRICS[name][0] if name in METRICS else name.replace("_", " ").strip().capitalize()


def explained(name: str) -> str:
    """What a metric is, in a few words; empty where its name says it."""
    return EXPLAINED.get(name, "")


def in_order(metrics: Iterable[str]) -> list[str]:
    """Known metrics first, in a fixed order, then the others as they come."""
    names = list(metrics)
    return [name for name in METRICS if name in names] + [n for n in names if n not in METRICS]


def better(name: str, value: float, baseline: float) -> bool | None:
    """Whether `value` beats `baseline`; None if equal, not finite, or nobody knows."""
    if name not in METRICS or not (math.isfinite(value) and math.isfinite(baseline)):
        return None
    way = METRICS[name][1]
    gain = value - baseline if way == "higher" else baseline - value
    if way == "one":
        gain = abs(baseline - 1) - abs(value - 1)
    return None if gain == 0 else gain > 0


def number(value: float) -> str:
    """A number with as many digits as a reader needs: 12,345, 27.3, 0.771, 0.00213."""
    if not math.isfinite(value):
        return "n/a"
    size = abs(value)
    if isinstance(value, Integral) or size >= 1000:
        return f"{value:,.0f}"
    if 0 < size < 0.01:
        return f"{value:.3g}"
    return f"{value:.1f}" if size >= 10 else f"{value:.3f}"


def figure(name: str, value: float) -> str:
    """The value of a metric with the digits that are usual for it."""
    usual = name in OF_HUNDRED and math.isfinite(value)
    return f"{value:.1f}" if usual else number(value)


def is_significant(p_value: float | None, level: float | None = None) -> bool:
    """Whether a difference counts as one: its p-value is small, or nobody computed it.

    Args:
        p_value: Of the difference.
        level: The p-value below which it does; None: `SIGNIFICANT`.
    """
    if p_value is None or not math.isfinite(p_value):
        return True
    return p_value < (SIGNIFICANT if level is None else level)


def significance(p_value: float, level: float | None = None) -> str:
    """Whether chance may have made a difference, in words; see `is_significant`."""
    if not math.isfinite(p_value):
        return "significance unknown"
    text = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    return f"{'' if is_significant(p_value, level) else 'not '}significant ({text})"


def difference(value: float, baseline: float) -> str:
    """`value` minus `baseline` with its sign, and digits enough to see that it is not zero."""
    change = value - baseline
    if not math.isfinite(change):
        return "n/a"
    if change == 0:
        return "no change"
    digits = 1 if max(abs(value), abs(baseline)) >= 10 else 3
    return f"{change:+,.{digits}f}" if abs(change) >= 10**-digits else f"{change:+.1g}"


def share(part: float, whole: float) -> str:
    """A part in percent; a part that is not nothing never reads as 0 %."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.01:
        return "< 0.01 %"
    return f"{percent:.2f} %" if 0 < percent < 1 else f"{percent:.3g} %"


def duration(seconds: float) -> str:
    """A time such as 0.4 s, 12 s, 3 min 05 s, 1 h 02 min."""
    if not math.isfinite(seconds):
        return "n/a"
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds >= 0.05 or seconds <= 0 else "< 0.1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def mebibytes(amount: float) -> str:
    """An amount of memory, given in MiB, such as 3.2 MiB, 410 MiB, 1.25 GiB."""
    if not math.isfinite(amount):
        return "n/a"
    if amount >= 1024:
        return f"{amount / 1024:.3g} GiB"
    return f"{amount:,.0f} MiB" if amount >= 10 else f"{amount:.1f} MiB"


def milliseconds(amount: float) -> str:
    """A time, given in milliseconds, such as 0.42 ms, 12.5 ms, 1.3 s."""
    if not math.isfinite(amount):
        return "n/a"
    return f"{amount:.3g} ms" if amount < 999.5 else duration(amount / 1000)


def span_list(spans: Sequence[int]) -> str:
    """Numbers of spans; of many, the first and the last."""
    if len(spans) > 12:
        return f"{spans[0]} … {spans[-1]} ({len(spans)})"
    return ", ".join(map(str, spans))


def moment(iso: str) -> str:
    """An ISO time without its fractions: 2026-03-01 14:05 UTC."""
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{time:%Y-%m-%d %H:%M} {time.tzname() or ''}".strip()


def brief(name: str) -> str:
    """A name as it is shown; a long one is cut, so that two may look the same."""
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"


def visible(text: str, keep: str = "") -> str:
    """Shows what would not be seen, or would do harm on a page or terminal, but for `keep`.

    Control characters, direction overrides, other invisible characters and half surrogates become
    escapes such as `\\x00`, `\\t`, `\\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or _shows(c) else _escape(c) for c in text)


def _shows(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
