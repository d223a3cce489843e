"""Tests of the split rules, with fractions that can be counted by hand."""

import numpy as np
import pyarrow as pa
import pytest

from babelrank.components.errors import InputError
from babelrank.components.ingest.config import SPLITS
from babelrank.components.ingest.splits import (
    Splitter,
    check_rows,
    column_keys,
    row_keys,
    time_bounds,
)


def bounds(times, eval_fraction, test_fraction):
    seconds, counts = np.unique(np.array(times), return_counts=True)
    return time_bounds(seconds, counts, eval_fraction, test_fraction)


@pytest.mark.parametrize(
    ("times", "eval_fraction", "test_fraction", "expected"),
    [
        (range(10), 0.1, 0.1, (8, 9)),
        (range(10), 0.2, 0.3, (5, 7)),
        (range(10), 0.2, 0.0, (8, None)),
        (range(10), 0.0, 0.2, (8, 8)),
        # Ten rows at time 5: the boundaries fall beside them, never between.
        ([1, 2, 3, 4, *[5] * 10, 6, 7], 0.1, 0.1, (6, 7)),
        ([1, *[5] * 10, 6, 7, 8, 9], 0.2, 0.2, (6, 7)),
        ([*[1] * 10, 2, *[3] * 10], 0.3, 0.3, (2, 3)),
        # Few distinct times: every split has one.
        ([1, 1, 1, 2, 3], 0.01, 0.01, (2, 3)),
        ([1, 2], 0.1, 0.0, (2, None)),
        ([1, 2], 0.0, 0.1, (2, 2)),
        ([-5, -4, -3], 0.3, 0.3, (-4, -3)),
    ],
)
def test_time_bounds(times, eval_fraction, test_fraction, expected):
    assert bounds(times, eval_fraction, test_fraction) == expected


@pytest.mark.parametrize(("test_fraction", "wanted"), [(0.1, 3), (0.0, 2)])
def test_too_few_times(test_fraction, wanted):
    with pytest.raises(InputError, match=f"1 distinct time.*need at least {wanted}.*Use by: row"):
        bounds([7, 7, 7], 0.1, test_fraction)


def assigned(rule, seconds=None, keys=None, span=0):
    if seconds is None:
        seconds = np.zeros(len(keys), np.int64)
    seconds = np.asarray(seconds, np.int64)
    keys = np.zeros(len(seconds), np.uint64) if keys is None else keys
    return [SPLITS[i] for i in rule.assign(span, seconds, keys)]


def test_by_time():
    rule = Splitter("time", 0.2, 0.2, eval_from=3, test_from=5)
    assert assigned(rule, [1, 2, 3, 4, 5, 6]) == ["train"] * 2 + ["eval"] * 2 + ["test"] * 2


def test_by_time_with_only_some_splits():
    assert assigned(Splitter("time", 0.2, 0.0, eval_from=3), [2, 3, 9]) == ["train", "eval", "eval"]
    assert assigned(Splitter("time", 0.0, 0.2, 3, 3), [2, 3, 9]) == ["train", "test", "test"]
    assert assigned(Splitter("time", 0.0, 0.0), [2, 9]) == ["train", "train"]


def test_a_window_makes_its_newest_span_test():
    rule = Splitter("row", 0.5, 0.0, test_span=7)
    keys = np.array([0, 2**64 - 1], np.uint64)
    assert assigned(rule, keys=keys, span=7) == ["test", "test"]
    assert assigned(rule, keys=keys, span=6) == ["train", "eval"]


def test_fractions_of_keys():
    keys = (np.array([0.0, 0.69, 0.71, 0.89, 0.91, 0.99]) * 2.0**64).astype(np.uint64)
    expected = ["train", "train", "eval", "eval", "test", "test"]
    assert assigned(Splitter("row", 0.2, 0.1), keys=keys) == expected


def test_the_largest_key_has_a_split():
    keys = np.array([2**64 - 1], np.uint64)
    assert assigned(Splitter("row", 0.2, 0.0), keys=keys) == ["eval"]
    assert assigned(Splitter("row", 0.2, 0.1), keys=keys) == ["test"]


def test_row_keys_depend_on_the_file_name_and_the_row_alone():
    whole = row_keys("/x/log.csv", 0, np.arange(10))
    assert np.array_equal(row_keys("/elsewhere/log.csv", 4, np.arange(6)), whole[4:])
    assert not np.array_equal(row_keys("/x/other.csv", 0, np.arange(10)), whole)


def test_row_keys_are_uniform():
    splits = np.array(
        assigned(Splitter("row", 0.1, 0.2), keys=row_keys("f", 0, np.arange(100_000)))
    )
    assert (splits == "eval").mean() == pytest.approx(0.1, abs=0.005)
    assert (splits == "test").mean() == pytest.approx(0.2, abs=0.005)


def test_column_keys():
    keys = column_keys(pa.array(["u1", "u2", "u1", None, ""]))
    assert keys[0] == keys[2] != keys[1]
    assert keys[3] == keys[4]
    assert column_keys(pa.array(["u2"]))[0] == keys[1]
    assert len(column_keys(pa.array([], pa.string()))) == 0


def test_check_rows():
    check_rows({"train": 5, "eval": 1}, ["train", "eval"])
    with pytest.raises(InputError, match=r"split test has no rows \(train: 5, eval: 1, test: 0\)"):
        check_rows({"train": 5, "eval": 1}, ["train", "eval", "test"])
