"""Tests of distances between data sets of a few values, checked by hand."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl

from babelrank.components.evaluation.drift import NOWHERE, Side
from babelrank.components.evaluation.drift_distance import compare


def statistics(weight: str | None = None, **columns: Any) -> Any:
    """Statistics of examples with at most one value, or a list of values, a feature."""
    arrays = []
    for values in columns.values():
        kind = pa.float32()
        lists = [v if isinstance(v, list) else None if v is None else [v] for v in values]
        if any(isinstance(one, bytes) for many in lists for one in many or ()):
            kind = pa.binary()
        arrays.append(pa.array(lists, pa.list_(kind)))
    batch = pa.RecordBatch.from_arrays(arrays, list(columns))
    return stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions(weight_feature=weight))


def test_texts():
    before = statistics(os=[b"a"] * 5 + [b"b"] * 3 + [b"c"] * 2)
    after = statistics(os=[b"a"] * 4 + [b"b"] * 6 + [b"c"] * 8 + [b"d"] * 2)
    found = compare(before, after, [])
    move = found.moves["os"]
    assert found.examples == 10
    assert move.distance == pytest.approx(0.3)  # of a: 50 % to 20 %
    assert move.before == move.after == Side(kind="categorical", missing=0.0)
    assert move.most == ("most changed: 'a' 50 % -> 20 %, 'c' 20 % -> 40 %, 'd' 0 % -> 10 %")


def test_several_values_an_example():
    before = statistics(tags=[[b"a", b"b"], [b"a"], None, [b"a"]])
    move = compare(before, statistics(tags=[[b"b", b"b"], [b"a"]]), []).moves["tags"]
    assert move.distance == pytest.approx(0.75 - 1 / 3)
    assert (move.before.missing, move.after.missing) == (0.25, 0.0)


def test_numbers():
    low, high = [0.0] * 8, [1.0] * 8
    same = compare(statistics(x=low + high), statistics(x=low + high), []).moves["x"]
    assert same.distance == pytest.approx(0, abs=1e-9)
    apart = compare(statistics(x=low), statistics(x=high), []).moves["x"]
    assert apart.distance == pytest.approx(1)  # one bit: a value tells which set it is from
    assert apart.most == "mean 0 -> 1, median 0 -> 1"
    outlier = statistics(x=[*low, *high, *low, *high, 1000.0])
    assert compare(statistics(x=low + high), outlier, []).moves["x"].distance < 0.1


def test_features_on_one_side_only():
    found = compare(
        statistics(old=[1.0, None], kept=[1.0, 2.0], empty=[None, b"x"]),
        statistics(new=[b"x", b"x"], kept=[1.0, 2.0], empty=[None, None]),
        [],
    )
    assert list(found.moves) == ["old", "kept", "empty", "new"]
    old, empty, new = (found.moves[name] for name in ("old", "empty", "new"))
    assert (old.before, old.after) == (Side(kind="numeric", missing=0.5), NOWHERE)
    assert (empty.before, empty.after) == (Side(kind="categorical", missing=0.5), NOWHERE)
    assert (new.before, new.after) == (NOWHERE, Side(kind="categorical", missing=0.0))
    assert {one.distance for one in (old, empty, new)} == {None}
    assert found.moves["kept"].distance == pytest.approx(0, abs=1e-9)


def test_features_that_are_not_measured():
    assert compare(statistics(t=[1.0]), statistics(t=[9.0], u=[b"a"]), ["t", "u"]).moves == {}


def test_a_feature_of_another_kind():
    move = compare(statistics(x=[1.0]), statistics(x=[b"1"]), []).moves["x"]
    assert move.distance is None
    assert (move.before.kind, move.after.kind) == ("numeric", "categorical")


def test_weights_make_up_for_examples_that_were_left_out():
    texts, numbers = [b"a"] * 4 + [b"b"] * 4, [0.0] * 4 + [1.0] * 4
    before = statistics("w", os=texts, x=numbers, w=[1.0] * 8)
    thinned = {"os": texts[3:], "x": [None, *numbers[4:]], "w": [4.0, 1.0, 1.0, 1.0, 1.0]}
    move = compare(before, statistics("w", **thinned), ["w"]).moves["os"]
    assert move.distance == pytest.approx(0, abs=1e-9)
    assert move.most == "most changed: 'a' 50 % -> 50 %, 'b' 50 % -> 50 %"
    x = compare(before, statistics("w", **thinned), ["w"]).moves["x"]
    assert x.after.missing == 0.5
    assert x.most == "mean 0.5 -> 1, median 1 -> 1"


@pytest.mark.parametrize("weighted_first", [True, False])
def test_weights_count_only_when_both_sides_have_them(weighted_first: bool):
    weighted = statistics("w", os=[b"a", b"b"], x=[0.0, 1.0], w=[9.0, 1.0])
    plain = statistics(os=[b"a", b"b"], x=[0.0, 1.0])
    pair = (weighted, plain) if weighted_first else (plain, weighted)
    moves = compare(*pair, ["w"]).moves
    for name in ("os", "x"):
        assert moves[name].distance == pytest.approx(0, abs=1e-9)
    assert moves["os"].most.endswith("'a' 50 % -> 50 %, 'b' 50 % -> 50 %")
    assert pair[0].datasets[0].weighted_num_examples + pair[1].datasets[0].weighted_num_examples


def test_a_distance_of_nothing_but_nan_is_no_number_to_judge_by():
    found = compare(statistics(x=[math.nan]), statistics(x=[math.nan]), [])
    assert found.moves["x"].distance is None or math.isfinite(found.moves["x"].distance)


def test_long_values_are_cut():
    move = compare(statistics(t=[b"x" * 31]), statistics(t=[b"y" * 30]), []).moves["t"]
    assert move.most == f"most changed: '{'x' * 29}…' 100 % -> 0 %, '{'y' * 30}' 0 % -> 100 %"


def test_values_of_examples_that_weigh_nothing():
    before = statistics("w", os=[b"a", None], w=[1.0, 1.0])
    after = statistics("w", os=[b"a", None], w=[0.0, 1.0])
    move = compare(before, after, ["w"]).moves["os"]
    assert (move.before.missing, move.after.missing) == (0.5, 1.0)
    assert move.most == "most changed: 'a' 100 % -> 0 %"
