"""Tests of what is known about TensorFlow Serving's operations."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelrank.components.errors import ConfigError, ModelError
from babelrank.components.serving import operations, tf_serving
from babelrank.components.serving.config import ServingConfig
from babelrank.components.serving.tf_serving import CORE, TEXT, Missing
from tests.components.serving.check import models as check_models
from tests.components.serving.check.models import Model, sound

SUBWORDS = {"NormalizeUTF8", "SentencepieceOp", "SentencepieceTokenizeOp"}


def test_what_versions_have():
    assert {"MatMul", "ParseExampleV2", "StatefulPartitionedCall"} <= tf_serving.registered(
        CORE, "2.14"
    )
    assert "RFFTND" not in tf_serving.registered(CORE, "2.14")
    assert "RFFTND" in tf_serving.registered(CORE, "2.15")
    assert "TfLiteSubgraphExecute" in tf_serving.registered(CORE, "2.18")
    assert "TfLiteSubgraphExecute" not in tf_serving.registered(CORE, "2.19")
    assert tf_serving.registered(TEXT, "2.12.1") >= SUBWORDS
    assert tf_serving.registered(TEXT, "2.20.0") >= SUBWORDS


def test_what_a_server_lacks():
    names = {"MatMul", "RFFTND", "TFText>RoundRobinTrim", "Mine", *SUBWORDS}
    assert tf_serving.missing(names, "2.14.1") == (
        Missing("Mine", ""),
        Missing("RFFTND", "TensorFlow 2.15"),
        Missing("TFText>RoundRobinTrim", "tensorflow-text 2.20.0"),
    )
    assert tf_serving.missing(names - {"Mine"}, "2.19.1") == (
        Missing("TFText>RoundRobinTrim", "tensorflow-text 2.20.0"),
    )
    assert tf_serving.missing(names - {"Mine"}, "2.20.0") == ()


def test_which_models_need_tensorflow_text():
    assert tf_serving.needs_text({"MatMul", "SentencepieceOp"})
    assert not tf_serving.needs_text({"MatMul"})


@pytest.mark.parametrize("version", ["2.13.0", "2.99.0", "1.15.0"])
def test_versions_that_are_not_known(version: str):
    known = r"takes a version from 2\.14 to 2\.21, whose operations BabelRank knows, or null"
    with pytest.raises(ConfigError, match=rf"tf_serving: got {version}; {known}"):
        ServingConfig(tf_serving=version)


def test_the_operations_of_a_model(tmp_path: Path):
    found = operations.used(check_models.save(Model(sound), tmp_path))
    # RaggedFeature and strings.split are in functions, not in the graph itself.
    assert {"ParseExampleV2", "StringSplitV2", "StatefulPartitionedCall"} <= found
    assert not any(name.startswith("__inference") for name in found)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff")
    with pytest.raises(ModelError, match=r"cannot read the model"):
        operations.used(tmp_path)
