"""The translation model through TensorFlow Serving's REST interface: signatures and formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babelrank.components.serving.translate import Translator
from tests.contract.asking import encoded, get, post, refusal
from tests.contract.conftest import BEAM_SIZE
from tests.contract.model_server import ModelServer

SENTENCES = [
    "a red house",
    "",
    '\N{GRINNING FACE} \u202eשלום\u202c\0 unseen \\ " \u2028',
    "the house and the car",
]


def plain(array: Any) -> Any:
    """An array as JSON says it."""
    return np.vectorize(lambda one: one.decode() if isinstance(one, bytes) else one)(array).tolist()


@pytest.fixture(scope="module")
def expected(direct_translation: Any) -> dict[str, Any]:
    """The translations of `SENTENCES`."""
    found = direct_translation("translate", source=SENTENCES)
    assert found["nbest"].shape == found["scores"].shape == (4, BEAM_SIZE)
    assert all(found["translation"][[0, 2, 3]])
    return {name: plain(array) for name, array in found.items()}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {**found, "scores": None} == {**expected, "scores": None}
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-5)


def test_columns(translation_server: ModelServer, expected: dict[str, Any]) -> None:
    for inputs in (SENTENCES, {"source": SENTENCES}):
        answer = post(translation_server, signature_name="translate", inputs=inputs)
        assert list(answer) == ["outputs"]
        assert_same(answer["outputs"], expected)


def test_rows(translation_server: ModelServer, expected: dict[str, Any]) -> None:
    for rows in (SENTENCES, [{"source": sentence} for sentence in SENTENCES]):
        answer = post(translation_server, signature_name="translate", instances=rows)
        assert list(answer) == ["predictions"]
        for number, row in enumerate(answer["predictions"]):
            assert len(row["nbest"]) == len(row["scores"]) == BEAM_SIZE
            assert_same(row, {name: values[number] for name, values in expected.items()})


def test_one_sentence(translation_server: ModelServer, expected: dict[str, Any]) -> None:
    answer = post(translation_server, signature_name="translate", instances=SENTENCES[:1])
    [row] = answer["predictions"]
    assert row["nbest"] == expected["nbest"][0]
    np.testing.assert_allclose(row["scores"], expected["scores"][0], rtol=1e-3)


def test_no_sentences(translation_server: ModelServer) -> None:
    answer = post(translation_server, signature_name="translate", inputs=[])
    assert answer == {"outputs": {"translation": [], "nbest": [], "scores": []}}


def test_examples(translation_server: ModelServer, expected: dict[str, Any], example: Any) -> None:
    texts = [encoded(example({"source": [sentence]})) for sentence in SENTENCES]
    assert_same(post(translation_server, inputs=texts)["outputs"], expected)
    [row] = post(translation_server, instances=[encoded(example({}))])["predictions"]
    assert row["translation"] == ""  # a sentence that is missing


def test_the_same_as_babelrank_predict(translation_server: ModelServer, translation: Path) -> None:
    answers = Translator(translation).translate(SENTENCES, nbest=BEAM_SIZE)
    rows = post(translation_server, signature_name="translate", instances=SENTENCES)["predictions"]
    for answer, row in zip(answers, rows, strict=True):
        assert row["translation"] == answer.best
        assert row["nbest"][: len(answer.translations)] == list(answer.translations)


def test_bytes_that_are_no_utf8_are_answered_in_utf8(translation_server: ModelServer) -> None:
    """Such an answer would be no JSON; `json.load` in `post` would refuse it."""
    raw = b'{"signature_name": "translate", "instances": ["a \xff house"]}'
    code, answer = get(translation_server, "translation:predict", raw)
    assert code == 200
    coded = post(
        translation_server, signature_name="translate", instances=[encoded(b"a \xff house")]
    )
    assert answer == coded


def test_long_input(translation_server: ModelServer) -> None:
    answer = post(translation_server, signature_name="translate", instances=["house " * 1700])
    assert isinstance(answer["predictions"][0]["translation"], str)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"instances": [["a", "b"], ["c"]]}, "Expecting shape [2] but got: [1]"),
        ({"inputs": [["a"], "b"]}, "found at incorrect level"),
        ({"inputs": [["a", "b"], ["c"]]}, "list at unexpected size: 1"),
        ({"instances": [7]}, "not of expected type: string"),
        ({"instances": [{"text": "a"}]}, "does not have named input: text"),
        ({"inputs": {"text": ["a"]}}, "Missing named input: source in 'inputs' object."),
        ({"inputs": ["a"], "instances": ["a"]}, "expecting only one of 'inputs' or 'instances'"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": "a"}, "to be an list/array"),
    ],
)
def test_refused(translation_server: ModelServer, body: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(translation_server, {"signature_name": "translate", **body})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"inputs": ["\\ud800"]}', b'{"inputs": 1e999}']
)
def test_no_json_object(translation_server: ModelServer, body: bytes) -> None:
    assert "JSON" in refusal(translation_server, body)


def test_requests_of_another_rank(translation_server: ModelServer, example: Any) -> None:
    """One sentence in a list for each row, or no list: TensorFlow Serving lets both through."""
    for inputs in ("a red house", [["a"], ["red"]], [[]]):
        request = {"signature_name": "translate", "inputs": inputs}
        assert "shape" in refusal(translation_server, request).lower()
    text = encoded(example({"source": ["a"]}))
    for examples in (text, [[text]]):
        assert refusal(translation_server, {"inputs": {"examples": examples}})


def test_paths(translation_server: ModelServer) -> None:
    body = json.dumps({"signature_name": "translate", "instances": ["a"]}).encode()
    version = translation_server.versions.available()[0]
    for path, code in {
        f"translation/versions/{version}:predict": 200,
        "translation/versions/7:predict": 404,
        "other:predict": 404,
        "translation:classify": 400,
        "translation:translate": 400,
        "translation/labels/stable:predict": 400,
        "translation": 400,
    }.items():
        assert get(translation_server, path, body)[0] == code, path
    answer = get(translation_server, "other:predict", body)
    assert answer == (404, {"error": "Servable not found for request: Latest(other)"})
    sentence = refusal(translation_server, {"signature_name": "translte", "instances": ["a"]})
    assert sentence == 'Serving signature name: "translte" not found in signature def'


def test_status(translation_server: ModelServer) -> None:
    version = translation_server.versions.available()[0]
    available = {
        "version": str(version),
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    for path in ("translation", f"translation/versions/{version}"):
        assert get(translation_server, path) == (200, {"model_version_status": [available]})
    assert get(translation_server, "translation/versions/7")[0] == 404
    assert get(translation_server, "other")[0] == 404
    assert get(translation_server, "other/metadata")[0] == 404
