"""The ranking model through TensorFlow Serving's REST interface: every signature, both formats."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.serving.model_rows import NO_TIME
from babelrank.components.serving.predict import Predictor
from tests.contract.asking import encoded, get, post, refusal
from tests.contract.model_server import ModelServer

FACE, HELLO = "\N{GRINNING FACE}", "שלום"
ROWS: list[dict[str, Any]] = [
    {"user": "a", "items": "i|j", "price": 4.5, "ts": 5 * 3600},
    {"user": HELLO, "items": "", "price": math.nan, "ts": NO_TIME},
    {"user": FACE, "items": "new|i", "price": -1.5, "ts": 1_704_312_900},
    {"user": "never seen\0\u2028", "items": "|", "price": 7, "ts": -1},
]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
# The same rows as examples, in which what is missing is left out.
EXAMPLES: list[dict[str, list[Any]]] = [
    {"user": ["a"], "items": ["i", "j"], "price": [4.5], "timestamp": [5 * 3600]},
    {"user": [HELLO]},
    {"user": [FACE], "items": ["new", "i"], "price": [-1.5], "timestamp": [ROWS[2]["ts"]]},
    {"user": ["never seen\0\u2028"], "price": [7.0], "timestamp": [-1]},
]
ROW = dict(ROWS[0])


@pytest.fixture(scope="module")
def expected(direct_ranking: Any) -> list[float]:
    """The scores of `ROWS`, each another one."""
    scores: list[float] = direct_ranking("predict_rows", **COLUMNS)["score"].tolist()
    assert len({round(score, 4) for score in scores}) == len(ROWS)
    return scores


@pytest.fixture(scope="module")
def serialized(example: Any) -> list[bytes]:
    return [example(row) for row in EXAMPLES]


@pytest.mark.parametrize("size", [1, 4])
def test_rows(ranking_server: ModelServer, expected: list[float], size: int) -> None:
    answer = post(ranking_server, signature_name="predict_rows", instances=ROWS[:size])
    assert answer == {"predictions": pytest.approx(expected[:size], rel=1e-6)}


def test_columns(ranking_server: ModelServer, expected: list[float]) -> None:
    answer = post(ranking_server, signature_name="predict_rows", inputs=COLUMNS)
    assert answer == {"outputs": pytest.approx(expected, rel=1e-6)}


def test_the_same_as_babelrank_predict(ranking_server: ModelServer, ranking: Path) -> None:
    rows = [{**row, "price": None if math.isnan(row["price"]) else row["price"]} for row in ROWS]
    rows[1].pop("ts")
    found = [row["score"] for row in Predictor(ranking).predict(map(json.dumps, rows))]
    answer = post(ranking_server, signature_name="predict_rows", instances=ROWS)
    assert answer["predictions"] == pytest.approx(found, rel=1e-6)


def test_no_rows(ranking_server: ModelServer) -> None:
    nothing: dict[str, list[Any]] = {name: [] for name in ROW}
    answer = post(ranking_server, signature_name="predict_rows", inputs=nothing)
    assert answer == {"outputs": []}
    sentence = refusal(ranking_server, {"signature_name": "predict_rows", "instances": []})
    assert sentence == "No values in 'instances' array"


def test_examples(
    ranking_server: ModelServer, expected: list[float], serialized: list[bytes]
) -> None:
    wanted = pytest.approx(expected, rel=1e-6)
    texts = [encoded(one) for one in serialized]
    assert post(ranking_server, instances=texts) == {"predictions": wanted}
    named = [{"examples": text} for text in texts]
    assert post(ranking_server, instances=named) == {"predictions": wanted}
    assert post(ranking_server, inputs=texts) == {"outputs": wanted}
    assert post(ranking_server, inputs={"examples": texts}) == {"outputs": wanted}
    assert post(ranking_server, inputs={"examples": []}) == {"outputs": []}


def test_transformed_examples(
    ranking_server: ModelServer, direct_ranking: Any, serialized: list[bytes]
) -> None:
    expected = direct_ranking("transform_features", examples=serialized)
    texts = [encoded(one) for one in serialized]
    answer = post(ranking_server, signature_name="transform_features", inputs=texts)["outputs"]
    assert answer == {name: array.tolist() for name, array in expected.items()}
    rows = post(ranking_server, signature_name="transform_features", instances=texts)
    assert rows["predictions"][2] == {name: array.tolist()[2] for name, array in expected.items()}
    # Ids are whole numbers and dense features decimal ones, also where they are whole.
    assert {type(one) for one in answer["user"]} == {int}
    assert {type(one) for row in answer["dense_features"] for one in row} == {float}


def test_time_is_exact(ranking_server: ModelServer) -> None:
    """A float would take the last second of an hour beyond 2**53 for the first of the next."""
    hour = 2**53 // 3600 * 3600 + 7200
    assert float(hour - 1) == hour
    rows = [{**ROW, "ts": ts} for ts in (hour - 3600, hour - 1, hour)]
    answer = post(ranking_server, signature_name="predict_rows", instances=rows)
    first, last, following = answer["predictions"]
    assert first == last != following


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("price", None, r"JSON Value: None .*not of expected type: float"),
        ("price", "4.5", "not of expected type: float"),
        ("price", 20_000_001, "20000001 to float without loss of precision"),
        ("price", 1e39, "to float without loss of precision"),
        ("ts", 5.0, "not of expected type: int64"),
        ("ts", None, "not of expected type: int64"),
        ("ts", "2024-01-03T20:15:00Z", "not of expected type: int64"),
        ("ts", -9223372036854776000, "not of expected type: int64"),  # NO_TIME by JavaScript
        ("user", 7, "not of expected type: string"),
        ("user", None, "not of expected type: string"),
        ("user", {"b64": "?"}, "Unable to base64 decode"),
        ("user", {"b64": "AA==", "more": 1}, "not formatted correctly for base64"),
    ],
)
def test_values_of_another_type(
    ranking_server: ModelServer, column: str, value: Any, sentence: str
) -> None:
    request = {"signature_name": "predict_rows", "instances": [{**ROW, column: value}]}
    assert re.search(sentence, refusal(ranking_server, request))


def test_large_numbers_are_written_with_a_point(ranking_server: ModelServer) -> None:
    rows = [{**ROW, "price": value} for value in (20_000_001.0, 16_777_215, math.inf)]
    answer = post(ranking_server, signature_name="predict_rows", instances=rows)
    assert all(0 <= score <= 1 for score in answer["predictions"])


def test_all_columns_in_every_row(ranking_server: ModelServer) -> None:
    """What is missing cannot be left out: TensorFlow Serving knows no optional inputs."""
    less = {name: value for name, value in ROW.items() if name != "price"}
    rows = {"signature_name": "predict_rows", "instances": [ROW, less]}
    assert "keys must be equal to: items,price,ts,user" in refusal(ranking_server, rows)
    columns = {name: [value] for name, value in less.items()}
    sentence = refusal(ranking_server, {"signature_name": "predict_rows", "inputs": columns})
    assert sentence == "Missing named input: price in 'inputs' object."
    more = {"signature_name": "predict_rows", "instances": [{**ROW, "label": 1}]}
    assert "does not have named input: label" in refusal(ranking_server, more)


def test_lists_where_a_value_belongs(ranking_server: ModelServer) -> None:
    """Several categories are one text, not a list: none is answered with a wrong score."""
    rows = [{**ROW, "items": ["i", "j"]}, {**ROW, "items": ["i"]}]
    request = {"signature_name": "predict_rows", "instances": rows}
    assert "Expecting shape [2] but got: [1]" in refusal(ranking_server, request)
    for column, value in {"items": ["i", "j"], "user": ["a"], "price": [1.5], "ts": [5]}.items():
        request["instances"] = [{**ROW, column: value}] * 2
        assert refusal(ranking_server, request), column


def test_requests_of_another_rank(ranking_server: ModelServer, serialized: list[bytes]) -> None:
    """One value in a list for each row, or no list at all: TensorFlow Serving lets both through."""
    lists = [{name: [value] for name, value in row.items()} for row in ROWS]
    request = {"signature_name": "predict_rows", "instances": lists}
    assert "shape" in refusal(ranking_server, request).lower()
    request = {"signature_name": "predict_rows", "inputs": ROW}
    assert "shape" in refusal(ranking_server, request).lower()
    for signature in ("serving_default", "transform_features"):
        nested = [[encoded(one)] for one in serialized]
        for inputs in (nested, {"examples": encoded(serialized[0])}):
            request = {"signature_name": signature, "inputs": inputs}
            assert refusal(ranking_server, request), inputs


def test_columns_of_unequal_length(ranking_server: ModelServer) -> None:
    for column in ROW:
        columns = {**COLUMNS, column: COLUMNS[column][:1]}
        request = {"signature_name": "predict_rows", "inputs": columns}
        assert refusal(ranking_server, request), column


def test_metadata_tells_the_columns(ranking_server: ModelServer) -> None:
    code, answer = get(ranking_server, "ranking/metadata")
    assert code == 200
    version = str(ranking_server.versions.available()[0])
    assert answer["model_spec"] | {"version_label": ""} == {
        "name": "ranking",
        "version": version,
        "signature_name": "",
        "version_label": "",
    }
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "predict_rows", "transform_features"} <= set(signatures)
    inputs = signatures["predict_rows"]["inputs"]
    assert {name: info["dtype"] for name, info in inputs.items()} == {
        "user": "DT_STRING",
        "items": "DT_STRING",
        "price": "DT_FLOAT",
        "ts": "DT_INT64",
    }
    assert inputs["user"]["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }
    assert list(signatures["predict_rows"]["outputs"]) == ["score"]
