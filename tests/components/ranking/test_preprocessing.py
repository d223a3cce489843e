"""Tests of raw examples to model inputs: one analysis of seven rows, with ids counted by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from babelrank.components.config import from_dict
from babelrank.components.ranking.config import DataConfig, TransformConfig
from babelrank.components.ranking.features import SparseFeature
from babelrank.components.ranking.preprocessing import Columns, model_features
from babelrank.components.ranking.schema import schema_text

COLUMNS = Columns(
    from_dict(
        DataConfig,
        {
            "path": "x",
            "label": "y",
            "weight": "w",
            "timestamp": "ts",
            "utc_offset_hours": 5.5,
            "categorical": ["user", "few", "hashed"],
            "multivalent": {"genres": "|"},
            "dense": ["price", "count", "both", "plain", "steps", "constant"],
        },
    ),
    from_dict(
        TransformConfig,
        {
            "vocabularies": {
                "user": {"min_frequency": 2, "oov_buckets": 2},
                "few": {"max_size": 1},
                "hashed": {"hash_buckets": 5},
            },
            "dense_by_feature": {
                "count": "log",
                "both": "log_zscore",
                "plain": "none",
                "steps": "bucketize",
            },
            "buckets": 4,
            "time_features": ["hour", "weekday"],
            "max_values": 2,
        },
    ),
)
FIRST_LOG = math.e - 1  # whose log(1 + x) is 1

# Thursday, 1970-01-01 00:00 UTC is 05:30 there; the third row is Sunday 23:59:59 there.
TRAIN: list[dict[str, list[Any]]] = [
    {"user": ["a"], "few": ["x"], "price": [1.0], "both": [0.0], "steps": [1.0], "timestamp": [0]},
    {"user": ["a"], "few": ["x"], "price": [3.0], "both": [FIRST_LOG], "steps": [2.0]},
    {"user": ["a"], "few": ["z"], "price": [float("nan")], "steps": [3.0]},
    {"user": ["b"], "price": [float("inf")], "steps": [4.0]},
    {"user": ["b"], "genres": ["drama", "", "crime", "drama", "never"], "steps": [5.0]},
    {"user": ["c"], "genres": ["drama"], "steps": [6.0]},
    {"user": [""], "genres": [""], "steps": [7.0]},
]
for _row in TRAIN:
    _row.update(label=[1.0], sample_weight=[1.0], constant=[5.0], hashed=["h"])


def schema() -> schema_pb2.Schema:
    return text_format.Parse(schema_text(COLUMNS), schema_pb2.Schema())


@pytest.fixture(scope="module")
def analyzed(analyze: Any) -> tuple[tft.TFTransformOutput, list[Any]]:
    """What Transform puts out, and the transformed train rows as it writes them."""
    return analyze(COLUMNS, TRAIN)


@pytest.fixture
def apply(analyzed: tuple[tft.TFTransformOutput, list[Any]], example: Any) -> Any:
    """Transforms rows of another split; the label may be left out of them."""
    layer, spec = analyzed[0].transform_features_layer(), analyzed[0].raw_feature_spec()

    def transform(rows: list[dict[str, list[Any]]]) -> dict[str, Any]:
        rows = [{"label": [0.0], **row} for row in rows]
        found = layer(tf.io.parse_example([example(row) for row in rows], spec))
        return {
            name: [ids[ids >= 0].tolist() for ids in tf.sparse.to_dense(v, -1).numpy()]
            if isinstance(v, tf.SparseTensor)
            else v.numpy().tolist()
            for name, v in found.items()
        }

    return transform


def test_ids_by_frequency(apply: Any):
    # a: 3 times, b: 2, c: once (too rare); 1 and 2, then two buckets for the others.
    found = apply([{"user": [name]} for name in ("a", "b", "", "c", "new", "other")])["user"]
    assert found[:3] == [1, 2, 0]
    assert set(found[3:]) <= {3, 4}
    assert apply([{}])["user"] == [0]


def test_the_commonest_categories_are_kept(apply: Any):
    assert apply([{"few": [name]} for name in "xzq"])["few"] == [1, 2, 2]


def test_hashed_ids(apply: Any):
    rows = [{"hashed": [str(i)]} for i in range(50)]
    assert set(apply(rows)["hashed"]) == {1, 2, 3, 4, 5}
    assert apply([{}, {"hashed": [""]}])["hashed"] == [0, 0]
    assert apply(rows)["hashed"] == apply(rows)["hashed"]


def test_several_categories(apply: Any):
    # At most two count: "never" is none of them, in train neither.
    rows = [["drama"], ["crime", "drama"], ["drama", "", "drama", "crime"], ["never"], [], [""]]
    assert apply([{"genres": row} for row in rows])["genres"] == (
        [[1], [2, 1], [1, 1], [3], [], []]
    )


def test_train_rows_as_they_are_written(analyzed: tuple[tft.TFTransformOutput, list[Any]]):
    rows = analyzed[1]
    assert [row["genres"] for row in rows] == [[], [], [], [], [1, 2], [1], []]
    assert [row["user"] for row in rows[:5] + rows[6:]] == [1, 1, 1, 2, 2, 0]
    assert {len(row["dense_features"]) for row in rows} == {10}
    assert {row["label"] for row in rows} == {row["weight"] for row in rows} == {1.0}


def dense(apply: Any, name: str, *values: float | None) -> list[list[float]]:
    """[value, missing] of a dense feature."""
    at = 2 * ["price", "count", "both", "plain", "constant"].index(name)
    found = apply([{} if v is None else {name: [v]} for v in values])
    return [row[at : at + 2] for row in found["dense_features"]]


def test_zscore(apply: Any):
    # The finite prices of train are 1 and 3: mean 2, variance 1.
    values = (1.0, 3.0, 7.0, None, float("nan"), float("inf"), -float("inf"))
    assert dense(apply, "price", *values) == [[-1, 0], [1, 0], [5, 0], *[[0, 1]] * 4]


def test_log(apply: Any):
    assert dense(apply, "count", FIRST_LOG, -FIRST_LOG, 0.0, None) == (
        [[pytest.approx(1), 0], [pytest.approx(-1), 0], [0, 0], [0, 1]]
    )


def test_log_zscore(apply: Any):
    # The logarithms of train are 0 and 1: mean 0.5, standard deviation 0.5.
    assert dense(apply, "both", 0.0, FIRST_LOG, None) == (
        [[pytest.approx(-1), 0], [pytest.approx(1), 0], [0, 1]]
    )


def test_none(apply: Any):
    assert dense(apply, "plain", 5.0, float("nan"), None) == [[5, 0], [0, 1], [0, 1]]


def test_zscore_of_a_constant(apply: Any):
    assert dense(apply, "constant", 5.0, 6.0, None) == [[0, 0], [1, 0], [0, 1]]


def test_huge_values_stay_finite(apply: Any):
    found = apply([{"price": [3e38], "count": [-3e38], "both": [3e38], "constant": [-3e38]}])
    assert np.isfinite(found["dense_features"]).all()


def test_bucketize(apply: Any):
    found = apply([{"steps": [v]} for v in (-100.0, 1.0, 3.0, 5.0, 7.0, 1e6)])["steps"]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (1, 4)
    assert len(set(found)) >= 3
    assert apply([{}, {"steps": [float("nan")]}, {"steps": [float("inf")]}])["steps"] == [0, 0, 0]


@pytest.mark.parametrize(
    ("seconds", "hour", "weekday"),
    [
        (0, 5, 3),  # Thursday 05:30
        (-1, 5, 3),  # 05:29:59
        (66_599, 23, 3),  # Thursday 23:59:59
        (66_600, 0, 4),  # Friday 00:00
        (-19_801, 23, 2),  # Wednesday 23:59:59, before 1970
        (1_709_164_800, 5, 3),  # 2024-02-29, a Thursday
        (1_709_424_000 - 1, 5, 6),  # Sunday
        (1_709_424_000 - 19_800 + 86_400, 0, 0),  # 2024-03-04 00:00, a Monday
    ],
)
def test_time_features(apply: Any, seconds: int, hour: int, weekday: int):
    found = apply([{"timestamp": [seconds]}])
    assert (found["hour"], found["weekday"]) == ([hour + 1], [weekday + 1])


def test_missing_time(apply: Any):
    assert apply([{}])["hour"] == [0]
    assert apply([{}])["weekday"] == [0]


def test_weight_and_label(apply: Any):
    found = apply([{"label": [1.0], "sample_weight": [2.5]}, {"label": [0.0]}])
    assert (found["label"], found["weight"]) == ([1, 0], [2.5, 1])


def test_statistics_know_nothing_of_the_other_splits(apply: Any):
    before = apply([{"price": [3.0], "user": ["a"]}])
    apply([{"price": [1e6], "user": ["new"]}] * 50)
    assert apply([{"price": [3.0], "user": ["a"]}]) == before


def test_model_features(analyzed: tuple[tft.TFTransformOutput, list[Any]], apply: Any):
    found = model_features(COLUMNS, analyzed[0].vocabulary_size_by_name)
    assert found.sparse == (
        SparseFeature("user", 1 + 2 + 2),
        SparseFeature("few", 1 + 1 + 1),
        SparseFeature("hashed", 1 + 5),
        SparseFeature("genres", 1 + 2 + 1, multivalent=True),
        SparseFeature("hour", 25),
        SparseFeature("weekday", 8),
        SparseFeature("steps", 1 + 4),
    )
    assert found.dense_width == 10
    assert len(apply([{}])["dense_features"][0]) == 10


def test_custom_config_round_trip():
    assert Columns.from_custom_config(COLUMNS.to_custom_config()) == COLUMNS


def test_schema():
    found = {feature.name: feature for feature in schema().feature}
    kinds = {name: schema_pb2.FeatureType.Name(f.type) for name, f in found.items()}
    assert kinds == {
        **dict.fromkeys(("user", "few", "hashed", "genres"), "BYTES"),
        **dict.fromkeys(COLUMNS.data.dense, "FLOAT"),
        **dict.fromkeys(("label", "sample_weight"), "FLOAT"),
        "timestamp": "INT",
    }
    assert found["user"].value_count.max == 1
    assert not found["genres"].HasField("value_count")
    assert found["label"].presence.min_fraction == 1.0
    assert found["label"].HasField("shape")


def test_schema_without_time_and_weight():
    data = from_dict(DataConfig, {"path": "x", "label": "y", "categorical": ["user"]})
    text = schema_text(Columns(data, TransformConfig()))
    found = text_format.Parse(text, schema_pb2.Schema())
    assert [feature.name for feature in found.feature] == ["label", "user"]
