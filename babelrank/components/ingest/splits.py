"""Which split a row belongs to: by time, by a column, by row, or by file.

All rules are functions of the row alone (and, for time, of exact counts over all rows), so
they give the same splits on every run, with any number of workers, on any runner.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from babelrank.components.errors import InputError
from babelrank.components.ingest.config import SPLITS, TEST, TIME

_HASH_KEY = "babelrank-split1"  # 16 characters, as pandas' hash wants


@dataclass(frozen=True)
class Splitter:
    """The split rule of one run.

    Attributes:
        by: `time`, `row`, or the name of a column.
        eval: Fraction of the rows for eval.
        test: Fraction of the rows for test, among the rows that no file or span decides.
        eval_from: With `by: time`, first second of eval.
        test_from: With `by: time`, first second of test.
        test_span: With a window, the span that is test as a whole.
    """

    by: str
    eval: float
    test: float
    eval_from: int | None = None
    test_from: int | None = None
    test_span: int | None = None

    def assign(
        self, span: int, seconds: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64]
    ) -> npt.NDArray[np.int8]:
        """Splits of some rows of one file.

        Args:
            span: Span of the file.
            seconds: [N] epoch seconds (used with `by: time`).
            keys: [N] hashes of the row or of the column (used otherwise).

        Returns:
            [N] indices into `SPLITS`.
        """
        if span == self.test_span:
            return np.full(len(keys), SPLITS.index(TEST), np.int8)
        if self.by == TIME:
            times = [_or_never(self.eval_from), _or_never(self.test_from)]
            return np.searchsorted(times, seconds, side="right").astype(np.int8)
        uniform = (keys >> np.uint64(11)).astype(np.float64) / 2.0**53  # always below 1
        fractions = [1.0 - self.eval - self.test, 1.0 - self.test]
        return np.searchsorted(fractions, uniform, side="right").astype(np.int8)


def row_keys(path: str, first_row: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """[N] hashes of row positions: of the file's base name and the number in the file."""
    base = np.uint64(zlib.crc32(path.rsplit("/", 1)[-1].encode())) << np.uint64(32)
    positions = base + np.uint64(first_row) + rows.astype(np.uint64)
    hashed: npt.NDArray[np.uint64] = pd.util.hash_array(positions, categorize=False)
    return hashed


def column_keys(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """[N] hashes of a column's texts; missing ones share one hash."""
    encoded = texts.fill_null("").dictionary_encode()
    values = np.array(encoded.dictionary.to_pylist(), dtype=object)
    hashed: npt.NDArray[np.uint64] = pd.util.hash_array(
        values, hash_key=_HASH_KEY, categorize=False
    )
    return hashed[encoded.indices.to_numpy()] if len(values) else hashed


def time_bounds(
    seconds: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    eval_fraction: float,
    test_fraction: float,
) -> tuple[int, int | None]:
    """First second of eval and of test, so that the fractions are met as nearly as ties let.

    Args:
        seconds: [K] distinct epoch seconds, rising.
        counts: [K] number of rows at each.
        eval_fraction: Wanted fraction of rows in eval; 0: none, the two times are the same.
        test_fraction: Wanted fraction of rows in test; 0: no test split.

    Raises:
        InputError: There are too few distinct times to give every split a row.
    """
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    total = int(counts.sum())
    wanted = 1 + bool(eval_fraction) + bool(test_fraction)
    if len(seconds) < wanted:
        raise InputError(
            f"splits.by: time: the rows have {len(seconds)} distinct time(s); {wanted} splits "
            f"need at least {wanted}. Use by: row or by: COLUMN."
        )
    last = len(seconds) - 1
    before_test = total * (1 - test_fraction)
    if not eval_fraction:
        at = _nearest(before, before_test, 1, last)
        return int(seconds[at]), int(seconds[at])
    before_eval = before_test - total * eval_fraction
    eval_at = _nearest(before, before_eval, 1, last)
    if not test_fraction:
        return int(seconds[eval_at]), None
    # For each place of the second boundary the best one of the first; then the best pair.
    tests = np.arange(2, last + 1)
    evals = np.minimum(eval_at, tests - 1)
    misses = np.abs(before[tests] - before_test) + np.abs(before[evals] - before_eval)
    best = int(np.argmin(misses))
    return int(seconds[evals[best]]), int(seconds[tests[best]])


def check_rows(rows: dict[str, int], names: Sequence[str]) -> None:
    """Raises InputError when a split that should be there has no rows."""
    empty = [name for name in names if not rows.get(name)]
    if empty:
        counts = ", ".join(f"{name}: {rows.get(name, 0)}" for name in names)
        raise InputError(
            f"the split {empty[0]} has no rows ({counts}). Give it a larger fraction in "
            "`splits`, or more data."
        )


def _nearest(before: npt.NDArray[np.int64], rows: float, low: int, high: int) -> int:
    """Index in [low, high] whose number of rows before it is nearest to `rows`."""
    candidates = before[low : high + 1]
    return low + int(np.argmin(np.abs(candidates - rows)))


def _or_never(second: int | None) -> int:
    return np.iinfo(np.int64).max if second is None else second
