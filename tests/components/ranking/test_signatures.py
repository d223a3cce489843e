"""Tests of the exported model: what comes in through each of its doors, and odd rows.

The network is a sum that one can follow: the user's id, ten times the item's ids, a hundred
times the hour's id, and a thousandth of the dense vector's sum.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.config import from_dict
from babelrank.components.ranking import signatures
from babelrank.components.ranking.config import DataConfig, TransformConfig
from babelrank.components.ranking.preprocessing import Columns, model_features
from babelrank.components.ranking.signatures import ROWS, SERVING, TRANSFORM, ServingModel
from babelrank.components.serving.model_rows import NO_TIME, RowColumn, RowsDescription
from babelrank.components.serving.predict import Predictor

COLUMNS = Columns(
    from_dict(
        DataConfig,
        {
            "path": "x",
            "label": "y",
            "weight": "w",
            "timestamp": "ts",
            "categorical": ["user", "place"],
            "multivalent": {"items": "|"},
            "dense": ["price", "rank"],
            "training_only": {"place": 1, "rank": 2},
        },
    ),
    from_dict(TransformConfig, {"dense": "none", "time_features": ["hour"], "max_values": 3}),
)
# user: a = 1, b = 2, others 3; items: i = 1, j = 2, others 3; place: 1 is 1, 7 is 2.
TRAIN: list[dict[str, list[Any]]] = [
    {"user": ["a"], "items": ["i", "j"], "place": ["1"], "rank": [5.0]},
    {"user": ["a"], "items": ["i"], "place": ["1"], "price": [1.0]},
    {"user": ["b"], "place": ["7"]},
]
for _row in TRAIN:
    _row.update(label=[1.0], sample_weight=[1.0])


def network(inputs: dict[str, Any], training: bool) -> tf.Tensor:
    """See the first line of the file; an id of -1 is padding."""
    sparse = inputs["sparse_features"]
    items = tf.reduce_sum(tf.maximum(sparse["items"], 0), axis=1)
    whole = sparse["user"] + 10 * items + 100 * sparse["hour"] + 10_000 * sparse["place"]
    return tf.cast(whole, tf.float32) + tf.reduce_sum(inputs["dense_features"], 1) / 1000


@pytest.fixture(scope="module")
def path(analyze: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output, _ = analyze(COLUMNS, TRAIN)
    features = model_features(COLUMNS, output.vocabulary_size_by_name)
    folder = tmp_path_factory.mktemp("serving") / "1"
    signatures.save(ServingModel(network, output, COLUMNS, features), str(folder))
    return folder


@pytest.fixture(scope="module")
def model(path: Path) -> Any:
    return tf.saved_model.load(str(path))


@pytest.fixture(scope="module")
def score(model: Any) -> Callable[..., list[float]]:
    """Scores of raw columns through `predict_rows`; those not given are missing."""

    def run(size: int, **columns: list[Any]) -> list[float]:
        given = {
            "user": [""] * size,
            "items": [""] * size,
            "price": [math.nan] * size,
            "ts": [NO_TIME] * size,
        } | columns
        kinds = {"price": tf.float32, "ts": tf.int64}
        tensors = {n: tf.constant(v, kinds.get(n, tf.string)) for n, v in given.items()}
        return model.signatures[ROWS](**tensors)["score"].numpy().tolist()

    return run


@pytest.fixture(scope="module")
def score_examples(model: Any, example: Any) -> Callable[..., list[float]]:
    def run(*rows: dict[str, list[Any]]) -> list[float]:
        serialized = tf.constant([example(row) for row in rows], tf.string)
        return model.signatures[SERVING](examples=serialized)["score"].numpy().tolist()

    return run


# The serving default of place is 1 (id 1), that of rank is 2; a missing price has a flag of 1.
EMPTY = pytest.approx(10_000 + 0.003)


def test_three_signatures(model: Any):
    assert set(model.signatures) == {SERVING, ROWS, TRANSFORM}
    _, inputs = model.signatures[ROWS].structured_input_signature
    assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in inputs.items()} == {
        "user": (tf.string, [None]),
        "items": (tf.string, [None]),
        "price": (tf.float32, [None]),
        "ts": (tf.int64, [None]),
    }
    for name in (SERVING, ROWS):
        assert model.signatures[name].structured_outputs["score"].dtype == tf.float32


def test_by_hand(score: Any):
    # a, i and j, 05:00, price 4 and rank 2
    found = score(1, user=["a"], items=["i|j"], price=[4.0], ts=[5 * 3600])
    assert found == [pytest.approx(10_000 + 600 + 30 + 1 + 0.006)]


def test_rows_that_lack_something(score: Any):
    assert score(3, user=["a", "", "b"]) == pytest.approx([10_001.003, 10_000.003, 10_002.003])
    assert score(1) == [EMPTY]


def test_unknown_categories(score: Any):
    assert score(2, user=["new", "other"]) == pytest.approx([10_003.003] * 2)
    assert score(1, items=["new"]) == pytest.approx([10_030.003])


def test_no_number(score: Any):
    assert score(3, price=[math.nan, math.inf, -math.inf]) == [EMPTY] * 3


def test_several_items(score: Any):
    rows = ["i", "i|j", "i||j", "|i|", "i|j|i|i|i", "|"]
    wanted = [10, 30, 30, 10, 40, 0]
    assert score(6, items=rows) == pytest.approx([10_000.003 + x for x in wanted])


@pytest.mark.parametrize("size", [0, 1, 3])
def test_batches_of_any_size(score: Any, score_examples: Any, size: int):
    assert score(size, user=["a"] * size) == pytest.approx([10_001.003] * size)
    assert score_examples(*[{"user": ["a"]}] * size) == pytest.approx([10_001.003] * size)


def test_examples_and_rows_agree(score: Any, score_examples: Any):
    rows: list[dict[str, list[Any]]] = [
        {"user": ["a"], "items": ["i", "j"], "price": [4.0], "timestamp": [7200]},
        {"user": ["new"], "items": ["i", "", "j", "j", "i"], "price": [math.nan]},
        {"items": ["new"], "price": [math.inf], "timestamp": [-1]},
        {"user": [""], "items": [""]},
        {},
    ]
    columns = {
        "user": ["a", "new", "", "", ""],
        "items": ["i|j", "i||j|j|i", "new", "", ""],
        "price": [4.0, math.nan, math.inf, math.nan, math.nan],
        "ts": [7200, NO_TIME, -1, NO_TIME, NO_TIME],
    }
    found = score_examples(*rows)
    assert found == score(5, **columns)
    assert np.isfinite(found).all()


def test_what_training_knows_is_not_taken_from_the_request(score_examples: Any):
    extra = {"place": ["7"], "rank": [99.0], "label": [0.0], "sample_weight": [5.0]}
    assert score_examples({"user": ["a"], **extra}) == score_examples({"user": ["a"]})


def test_transformed_examples(model: Any, example: Any):
    rows = [{"user": ["b"], "items": ["j"], "price": [4.0]}, {"items": ["i", "j"]}]
    found = model.signatures[TRANSFORM](examples=tf.constant([example(row) for row in rows]))
    assert {name: tensor.numpy().tolist() for name, tensor in found.items()} == {
        "user": [2, 0],
        "items": [[2, -1], [1, 2]],
        "place": [1, 1],
        "hour": [0, 0],
        "dense_features": [[4, 0, 2, 0], [0, 1, 2, 0]],
    }


def test_description_of_rows(path: Path):
    assert RowsDescription.load(path) == RowsDescription(
        task="ranking",
        signature=ROWS,
        output="score",
        columns=(
            RowColumn(name="user", kind="text"),
            RowColumn(name="items", kind="text", separator="|"),
            RowColumn(name="price", kind="number"),
            RowColumn(name="ts", kind="time", feature="timestamp"),
        ),
        missing_values=("", "NA", "NaN", "nan", "null", "NULL", "\\N"),
    )


def test_predictor(path: Path):
    rows = [
        {"user": "a", "items": ["i", "j"], "price": 4, "ts": "1970-01-01T05:00:00Z"},
        {"user": "new", "place": 7},
        {},
    ]
    found = [row["score"] for row in Predictor(path.parent).predict(map(json.dumps, rows))]
    assert found == pytest.approx([10_631.006, 10_003.003, 10_000.003])
