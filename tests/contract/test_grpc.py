"""Both models through TensorFlow Serving's gRPC services."""

from __future__ import annotations

import math
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from babelrank.components.serving.model_rows import NO_TIME
from tests.contract.asking import SECONDS, arrays, call, request_for
from tests.contract.conftest import BEAM_SIZE
from tests.contract.model_server import ModelServer

SENTENCES = ["a red house", "", "\N{GRINNING FACE} שלום unseen"]


def columns(size: int) -> dict[str, Any]:
    """Rows of ranking as [size] columns."""
    return {
        "user": np.array([b"a", "שלום".encode(), b""] * size, object)[:size],
        "items": np.array([b"i|j", b"", b"\xff"] * size, object)[:size],
        "price": np.array([4.5, math.nan, -1e30] * size, np.float32)[:size],
        "ts": np.array([5 * 3600, NO_TIME, -1] * size, np.int64)[:size],
    }


def error(server: ModelServer, request: Any) -> tuple[grpc.StatusCode, str]:
    """Code and sentence with which a request is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(server, request)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("size", [0, 1, 3, 5000])
def test_rows(ranking_server: ModelServer, direct_ranking: Any, size: int) -> None:
    response = call(ranking_server, request_for("ranking", "predict_rows", **columns(size)))
    expected = direct_ranking("predict_rows", **columns(size))["score"]
    np.testing.assert_allclose(arrays(response)["score"], expected, rtol=1e-5)
    assert arrays(response)["score"].shape == (size,)
    assert np.isfinite(expected).all()
    # In the typed field, as some clients read it; they must not come as `tensor_content`.
    assert len(response.outputs["score"].float_val) == size
    assert response.model_spec.name == "ranking"
    assert response.model_spec.signature_name == "predict_rows"
    assert response.model_spec.version.value == ranking_server.versions.available()[0]


def test_examples(ranking_server: ModelServer, direct_ranking: Any, example: Any) -> None:
    """Optional features may be absent; so may be all of them."""
    rows: list[dict[str, list[Any]]] = [
        {"user": ["a"], "items": ["i", "j"], "price": [4.5], "timestamp": [5 * 3600]},
        {"items": []},
        {},
    ]
    examples = np.array([example(row) for row in rows], object)
    for signature in ("", "serving_default", "transform_features"):
        found = arrays(call(ranking_server, request_for("ranking", signature, examples=examples)))
        expected = direct_ranking(signature or "serving_default", examples=examples)
        assert set(found) == set(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-5)
            assert found[name].dtype == array.dtype


def test_sentences(translation_server: ModelServer, direct_translation: Any) -> None:
    request = request_for("translation", "translate", source=SENTENCES)
    found = arrays(call(translation_server, request))
    expected = direct_translation("translate", source=SENTENCES)
    assert found["nbest"].shape == found["scores"].shape == (3, BEAM_SIZE)
    np.testing.assert_array_equal(found["nbest"], expected["nbest"])
    np.testing.assert_array_equal(found["translation"], expected["translation"])
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-5)
    assert all(text.decode() is not None for text in found["translation"])


def test_sentences_in_examples(translation_server: ModelServer, example: Any) -> None:
    examples = [example({"source": [sentence]}) for sentence in SENTENCES] + [example({})]
    found = arrays(call(translation_server, request_for("translation", "", examples=examples)))
    request = request_for("translation", "translate", source=[*SENTENCES, ""])
    np.testing.assert_array_equal(
        found["nbest"], arrays(call(translation_server, request))["nbest"]
    )


def test_no_sentences(translation_server: ModelServer) -> None:
    request = request_for("translation", "translate", source=np.array([], object))
    request.inputs["source"].dtype = tf.string.as_datatype_enum
    found = arrays(call(translation_server, request))
    assert found["nbest"].shape == (0, BEAM_SIZE)


def test_chosen_outputs(translation_server: ModelServer) -> None:
    request = request_for("translation", "translate", source=SENTENCES)
    request.output_filter.append("nbest")
    assert list(call(translation_server, request).outputs) == ["nbest"]
    request.output_filter.append("best")
    code, sentence = error(translation_server, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert sentence.startswith("output tensor alias not found in signature: best")


def test_a_version_by_number(ranking_server: ModelServer) -> None:
    request = request_for("ranking", "predict_rows", **columns(1))
    request.model_spec.version.value = 7
    assert error(ranking_server, request) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Specific(ranking, 7)",
    )


def test_refused(ranking_server: ModelServer) -> None:
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    rows = columns(2)
    assert error(ranking_server, request_for("other", "predict_rows", **rows)) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(other)",
    )
    assert error(ranking_server, request_for("ranking", "rows", **rows)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "rows" not found.',
    )
    assert error(ranking_server, request_for("", "predict_rows", **rows))[0] == invalid
    less = {name: value for name, value in rows.items() if name != "price"}
    code, sentence = error(ranking_server, request_for("ranking", "predict_rows", **less))
    assert (code, "Missing but required: {price}" in sentence) == (invalid, True)
    wrong = {**less, "prize": rows["price"]}
    assert error(ranking_server, request_for("ranking", "predict_rows", **wrong))[0] == invalid
    for column, value in {
        "price": np.array([1.0, 2.0], np.float64),
        "ts": np.array([1, 2], np.int32),
        "user": np.array([1, 2], np.int64),
    }.items():
        request = request_for("ranking", "predict_rows", **{**rows, column: value})
        assert error(ranking_server, request)[0] == invalid, column
    for column, value in columns(3).items():
        request = request_for("ranking", "predict_rows", **{**rows, column: value})
        assert error(ranking_server, request)[0] == invalid, column


def test_bytes_that_are_no_example(
    ranking_server: ModelServer, translation_server: ModelServer
) -> None:
    for server in (ranking_server, translation_server):
        request = request_for(server.versions.name, "", examples=[b"no example"])
        code, sentence = error(server, request)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "Could not parse example input" in sentence


def test_metadata(translation_server: ModelServer) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "translation"
    with grpc.insecure_channel(translation_server.target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.GetModelMetadata(request, timeout=SECONDS)
        with pytest.raises(grpc.RpcError, match="Metadata field labels is not supported"):
            request.metadata_field[:] = ["labels"]
            stub.GetModelMetadata(request, timeout=SECONDS)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    translate = signatures.signature_def["translate"]
    assert {name: info.dtype for name, info in translate.inputs.items()} == {
        "source": tf.string.as_datatype_enum
    }
    assert [one.size for one in translate.outputs["nbest"].tensor_shape.dim] == [-1, BEAM_SIZE]
    assert set(translate.outputs) == {"translation", "nbest", "scores"}


def test_status(ranking_server: ModelServer) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "ranking"
    with grpc.insecure_channel(ranking_server.target) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        response = stub.GetModelStatus(request, timeout=SECONDS)
    [version] = response.model_version_status
    assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
