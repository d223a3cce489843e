"""How far features are apart in two sets of examples, by TensorFlow Data Validation's comparators.

Texts: the L-infinity distance, max over values v of |p(v) - q(v)|, where p and q are shares among
the most frequent values that the statistics hold. Numbers: the Jensen-Shannon divergence in bits,
estimated from the histograms that the statistics hold: the smaller of two estimates, by buckets of
equal width, which one outlier can make coarse, and by deciles, which are coarse for few values.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from functools import cached_property
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from babelrank.components.evaluation.drift import (
    MOST_CHANGED,
    NOWHERE,
    Comparison,
    Kind,
    Move,
    Side,
)

Statistics = Any
"""A `DatasetFeatureStatisticsList` of one data set, not sliced."""
_NUMBERS = (statistics_pb2.FeatureNameStatistics.INT, statistics_pb2.FeatureNameStatistics.FLOAT)
_HISTOGRAMS = (schema_pb2.HistogramSelection.STANDARD, schema_pb2.HistogramSelection.QUANTILES)
_SHOWN, _LENGTH = 3, 30
"""Values in a sentence, and characters of each."""


class _Values:
    """The statistics of a feature in one set of examples.

    Args:
        feature: Its `FeatureNameStatistics`, with values.
        examples: Number of the examples, or the sum of their weights.
        weighted: Whether to take the figures in which examples count by their weights.
    """

    def __init__(self, feature: Any, examples: float, weighted: bool) -> None:
        self.kind: Kind = "numeric" if feature.type in _NUMBERS else "categorical"
        self._stats = getattr(feature, feature.WhichOneof("stats"))
        self._examples = examples
        self._weighted = weighted

    @property
    def side(self) -> Side:
        """Kind, and share of the examples without a value."""
        common = self._stats.common_stats
        common = common.weighted_common_stats if self._weighted else common
        return Side(kind=self.kind, missing=1.0 - common.num_non_missing / self._examples)

    @property
    def numbers(self) -> Any:
        """Mean and median of a numeric feature, with more."""
        return self._stats.weighted_numeric_stats if self._weighted else self._stats

    @cached_property
    def shares(self) -> dict[str, float]:
        """Value to its share of all values, of the most frequent values."""
        texts = self._stats.weighted_string_stats if self._weighted else self._stats
        common = self._stats.common_stats
        total = (common.weighted_common_stats if self._weighted else common).tot_num_values
        if not total:
            return {}  # every example that has a value weighs nothing
        return {one.label: one.sample_count / total for one in texts.rank_histogram.buckets}


def compare(before: Statistics, after: Statistics, unmeasured: Collection[str]) -> Comparison:
    """The move of every feature from one set of examples to another.

    Examples count by their weights when the statistics of both sets know them.

    Args:
        before: Statistics of the first set.
        after: Statistics of the second.
        unmeasured: Names of features that are left out.
    """
    weighted = all(one.datasets[0].weighted_num_examples for one in (before, after))
    old, new = (_values(one, weighted, unmeasured) for one in (before, after))
    both = {
        name: old[name].kind for name in old if name in new and old[name].kind == new[name].kind
    }
    distances = _distances(before, after, both, weighted)
    moves = {
        name: Move(
            distance=distances.get(name),
            before=old[name].side if name in old else NOWHERE,
            after=new[name].side if name in new else NOWHERE,
            most=_most(old[name], new[name]) if name in both else "",
        )
        for name in dict.fromkeys((*old, *new))
    }
    fewer = min(int(one.datasets[0].num_examples) for one in (before, after))
    return Comparison(moves=moves, examples=fewer)


def _values(
    statistics: Statistics, weighted: bool, unmeasured: Collection[str]
) -> dict[str, _Values]:
    """The features that have values."""
    found = {}
    (data,) = statistics.datasets
    examples = data.weighted_num_examples if weighted else data.num_examples
    for feature in data.features:
        name, stats = ".".join(feature.path.step), feature.WhichOneof("stats")
        if name not in unmeasured and getattr(feature, stats).common_stats.tot_num_values:
            found[name] = _Values(feature, examples, weighted)
    return found


def _distances(
    before: Statistics, after: Statistics, kinds: dict[str, Kind], weighted: bool
) -> dict[str, float]:
    """Feature to its distance."""
    if not weighted:  # TFDV would weigh when only one of the two is weighted, too
        before, after = _unweighted(before), _unweighted(after)
    estimates = [_measured(before, after, kinds, histogram) for histogram in _HISTOGRAMS]
    return {
        name: min(one[name] for one in estimates)
        for name in kinds
        if all(math.isfinite(one.get(name, math.nan)) for one in estimates)
    }


def _measured(
    before: Statistics, after: Statistics, kinds: dict[str, Kind], histogram: int
) -> dict[str, float]:
    """What TFDV's comparators measure; they do so only where they have a threshold."""
    schema = schema_pb2.Schema()
    for name, kind in kinds.items():
        if kind == "numeric":
            added = schema.feature.add(name=name, type=schema_pb2.FLOAT)
            divergence = added.drift_comparator.jensen_shannon_divergence
            divergence.threshold, divergence.source.type = 1.0, histogram
        else:
            added = schema.feature.add(name=name, type=schema_pb2.BYTES)
            added.drift_comparator.infinity_norm.threshold = 1.0
    found = tfdv.validate_statistics(after, schema, previous_statistics=before)
    return {
        ".".join(info.path.step): measurement.value
        for info in found.drift_skew_info
        for measurement in info.drift_measurements
    }


def _unweighted(statistics: Statistics) -> Statistics:
    copy = statistics_pb2.DatasetFeatureStatisticsList()
    copy.CopyFrom(statistics)
    copy.datasets[0].weighted_num_examples = 0
    return copy


def _most(before: _Values, after: _Values) -> str:
    """What changed most, in words."""
    if after.kind == "numeric":
        old, new = before.numbers, after.numbers
        return f"mean {old.mean:.4g} -> {new.mean:.4g}, median {old.median:.4g} -> {new.median:.4g}"
    was, now = Counter(before.shares), Counter(after.shares)  # 0 for all others
    changes = {value: abs(now[value] - was[value]) for value in (*was, *now)}
    first = sorted(changes, key=lambda value: (-changes[value], value))[:_SHOWN]
    texts = (f"{_short(v)} {100 * was[v]:.3g} % -> {100 * now[v]:.3g} %" for v in first)
    return MOST_CHANGED + ", ".join(texts)


def _short(value: str) -> str:
    return repr(value if len(value) <= _LENGTH else value[: _LENGTH - 1] + "…")
