"""What a click-log row is: the names of its parts, and rows of any source made into examples.

An example holds, under its own name, a bytes list for each categorical and multivalent
feature and a float for each dense feature (absent when missing), and under the names below
the label, the sample weight and the time. Imports neither TensorFlow nor Beam.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from babelrank.components.errors import ConfigError
from babelrank.components.ingest import columns
from babelrank.components.ingest.blocks import Block, Rows
from babelrank.components.ingest.columns import Floats, Mask
from babelrank.components.ingest.rules import Rule, parse_rule
from babelrank.components.ingest.utf8 import plain
from babelrank.components.ranking.config import DataConfig

LABEL = "label"
"""float: 0 or 1 for a click, the number for a rating."""
WEIGHT = "sample_weight"
"""float, not negative; only when there are weights, or training rows are thinned out."""
TIMESTAMP = "timestamp"
"""int64: epoch seconds, UTC; only when there is a timestamp column."""

RESERVED = (LABEL, WEIGHT, TIMESTAMP)

_TRUTH = {text: 1.0 for text in ("true", "t", "yes", "y")} | {
    text: 0.0 for text in ("false", "f", "no", "n")
}


@dataclass(frozen=True)
class JoinTable:
    """A file whose columns are added to every row.

    Attributes:
        key: Name of the key column, in the log and in `keys`.
        keys: [K] distinct keys.
        columns: The added columns, [K] each.
    """

    key: str
    keys: pa.Array
    columns: Mapping[str, pa.Array]


class RowReader:
    """Makes blocks of a click log into examples.

    Args:
        config: Meaning of the columns.
        joins: The tables of `config.joins`, loaded, in the same order.
    """

    def __init__(self, config: DataConfig, joins: Sequence[JoinTable] = ()) -> None:
        clash = [name for name in config.features if name in RESERVED]
        if clash:
            raise ConfigError(
                f"data: the feature {clash[0]!r} has a name that BabelRank uses itself "
                f"({', '.join(RESERVED)}); rename the column."
            )
        self._config = config
        self._joins = joins
        self._rule = (
            None
            if config.label.positive is None
            else parse_rule(config.label.positive, "label.positive")
        )

    def columns(self) -> dict[str, pa.DataType]:
        """The source columns that are needed, and the type that each is hoped to parse to."""
        config = self._config
        joined = {name for join in config.joins for name in join.columns}
        texts = [*config.categorical, *config.multivalent, *(j.key for j in config.joins)]
        wanted = {name: pa.string() for name in texts if name not in joined}
        wanted |= {name: pa.float64() for name in config.dense if name not in joined}
        wanted[config.label.column] = self._label_type()
        if config.weight is not None:
            wanted[config.weight] = pa.float64()
        if config.timestamp is not None:
            wanted.setdefault(config.timestamp, pa.string())
        return wanted

    def _label_type(self) -> pa.DataType:
        numeric = self._rule.numeric if self._rule else self._config.objective == "rating"
        return pa.float64() if numeric else pa.string()

    def read(self, block: Block) -> Rows:
        """Makes the rows of a block into examples."""
        source = self._with_joins(block.batch)
        issues = _Issues(block.batch.num_rows)
        label = self._label(source, issues)
        arrays = {LABEL: _floats(label)}
        if self._config.weight is not None:
            arrays[WEIGHT] = _floats(self._weight(source[self._config.weight], issues))
        elif self._config.keep_negatives < 1:  # in train, thinning out raises those of negatives
            arrays[WEIGHT] = _floats(np.ones(block.batch.num_rows))
        if self._config.timestamp is not None:
            arrays[TIMESTAMP] = self._seconds(source[self._config.timestamp], issues)
        arrays |= self._features(source, issues)
        kept = np.flatnonzero(issues.fine)
        batch = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
        if len(kept) < batch.num_rows:
            batch = batch.take(pa.array(kept))
        return Rows(batch, kept, issues.bad, issues.dropped, self._unmatched(source))

    def _features(self, source: Mapping[str, pa.Array], issues: _Issues) -> dict[str, pa.Array]:
        config, arrays = self._config, {}
        for name in config.categorical:
            texts, bad = columns.to_texts(source[name])
            issues.quarantine(bad, "several_values", name, source[name])
            arrays[name] = _lists(texts.cast(pa.binary()))
        for name, separator in config.multivalent.items():
            lists = columns.to_lists(source[name], separator)
            kind = pa.large_list if pa.types.is_large_list(lists.type) else pa.list_
            arrays[name] = lists.cast(kind(pa.binary()))
        for name in config.dense:
            numbers, bad = columns.to_floats(source[name], config.missing_values)
            issues.quarantine(bad, "not_a_number", name, source[name])
            arrays[name] = _floats(numbers)
        return arrays

    def _label(self, source: Mapping[str, pa.Array], issues: _Issues) -> Floats:
        config = self._config
        column, name = source[config.label.column], config.label.column
        if self._rule is not None and not self._rule.numeric:
            texts, bad = columns.to_texts(column)
            label = _matches(texts, self._rule, config.missing_values)
        else:
            numbers = _truth_values(column) if config.objective == "click" else column
            label, bad = columns.to_floats(numbers, config.missing_values)
            if self._rule is not None:
                label = _compare(label, self._rule)
        issues.quarantine(bad, "bad_label", name, column)
        missing = np.isnan(label) & ~bad
        if config.label.missing == "drop":
            issues.drop(missing, "label_missing")
        else:
            issues.quarantine(missing, "label_missing", name, column)
        issues.quarantine(self._out_of_range(label), "label_out_of_range", name, column)
        return label

    def _out_of_range(self, label: Floats) -> Mask:
        known = ~np.isnan(label)
        if self._config.objective == "click":
            return known & (label != 0) & (label != 1)
        if self._config.label.range:
            low, high = self._config.label.range
            return known & ((label < low) | (label > high))
        return np.zeros(len(label), bool)

    def _weight(self, column: pa.Array, issues: _Issues) -> Floats:
        weight, bad = columns.to_floats(column, self._config.missing_values)
        bad |= np.isnan(weight) | (weight < 0)
        issues.quarantine(bad, "bad_weight", self._config.weight or "", column)
        return weight

    def _seconds(self, column: pa.Array, issues: _Issues) -> pa.Array:
        config = self._config
        seconds, missing, bad = columns.to_seconds(
            column, config.missing_values, config.timestamp_format
        )
        issues.quarantine(bad, "bad_timestamp", config.timestamp or "", column)
        issues.quarantine(missing, "timestamp_missing", config.timestamp or "", column)
        return _lists(pa.array(seconds))

    def _with_joins(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        source = dict(zip(batch.schema.names, batch.columns, strict=True))
        for table in self._joins:
            keys, _ = columns.to_texts(source[table.key])
            rows = pc.index_in(keys, value_set=table.keys)
            for name, values in table.columns.items():
                source[name] = values.take(rows)
        return source

    def _unmatched(self, source: Mapping[str, pa.Array]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for table in self._joins:
            keys, _ = columns.to_texts(source[table.key])
            found = pc.sum(pc.is_in(keys, value_set=table.keys)).as_py() or 0
            if found < len(keys):
                counts[f"join_unmatched:{table.key}"] = len(keys) - found
        return counts


def join_table(key: str, wanted: Sequence[str], table: pa.Table, path: str) -> JoinTable:
    """A loaded join file, checked.

    Raises:
        ConfigError: A key stands in it twice, so that the join would multiply rows.
    """
    keys, _ = columns.to_texts(table[key].combine_chunks())
    known = np.flatnonzero(np.asarray(keys.is_valid()))
    keys = keys.take(pa.array(known))
    counts = keys.value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise ConfigError(
            f"joins: {path}: {key} {twice[0]['values'].as_py()!r} stands "
            f"{twice[0]['counts'].as_py()} times; keys must be unique."
        )
    values = {n: table[n].combine_chunks().take(pa.array(known)) for n in wanted}
    return JoinTable(key, keys, values)


class _Issues:
    """What is wrong with which row; the first reason found for a row is its reason."""

    def __init__(self, rows: int) -> None:
        self.fine = np.ones(rows, bool)
        self.bad: list[tuple[int, str, str]] = []
        self.dropped: Counter[str] = Counter()

    def quarantine(self, mask: Mask, reason: str, name: str, column: pa.Array) -> None:
        """Marks the rows of `mask` as bad."""
        if not mask.any():
            return
        for i in np.flatnonzero(mask & self.fine):
            value = plain(column.slice(int(i), 1))[0]
            self.bad.append((int(i), reason, f"{name} holds {value!r}"))
        self.fine &= ~mask

    def drop(self, mask: Mask, reason: str) -> None:
        """Marks the rows of `mask` as dropped on purpose."""
        dropped = int((mask & self.fine).sum())
        if dropped:
            self.dropped[reason] += dropped
            self.fine &= ~mask


def _truth_values(column: pa.Array) -> pa.Array:
    """Texts such as true and no as 1 and 0; other texts stay as they are."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lists = pa.ListArray if pa.types.is_list(column.type) else pa.LargeListArray
        return lists.from_arrays(column.offsets, _truth_values(column.values))
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not any(
        test(column.type)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    ):
        return column
    encoded = column.cast(pa.string()).dictionary_encode()
    texts = [
        None if text is None else str(_TRUTH.get(text.strip().lower(), text))
        for text in encoded.dictionary.to_pylist()
    ]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _compare(label: Floats, rule: Rule) -> Floats:
    return np.where(np.isnan(label), np.nan, rule.compare(label).astype(np.float64))


def _matches(texts: pa.Array, rule: Rule, missing_values: Sequence[str]) -> Floats:
    found = pc.is_in(texts, value_set=pa.array(rule.values)).to_numpy(zero_copy_only=False)
    positive = ~found.astype(bool) if rule.operator == "!=" else found.astype(bool)
    absent = [text for text in missing_values if text not in rule.values]
    missing = pc.is_in(texts, value_set=pa.array([None, *absent], pa.string()))
    missing = missing.to_numpy(zero_copy_only=False).astype(bool)
    return np.where(missing, np.nan, positive.astype(np.float64))


def _floats(values: Floats) -> pa.Array:
    """[N] one-element lists of float32; null where the value is NaN."""
    return _lists(pa.array(values.astype(np.float32), mask=np.isnan(values)))


def _lists(values: pa.Array) -> pa.Array:
    """[N] one-element lists; null where the value is null (an absent feature)."""
    valid = np.asarray(values.is_valid())
    ends = np.concatenate([[0], np.cumsum(valid)]).astype(np.int32)
    if valid.all():
        return pa.ListArray.from_arrays(pa.array(ends), values)
    offsets = pa.array(ends, mask=np.concatenate([~valid, [False]]))
    return pa.ListArray.from_arrays(offsets, values.drop_null())
