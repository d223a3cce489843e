"""Tests of ML Metadata's store; `tests/kubeflow/test_databases.py` has those on real databases."""

from __future__ import annotations

from typing import Any

import pytest
from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

from babelrank.pipelines.metadata_store import MySQLStore, join, replace, split


def test_a_character_is_replaced_in_all_texts_and_nowhere_else():
    request = metadata_store_service_pb2.PutExecutionsRequest()
    execution = request.executions.add(name=r"a\b", id=0x5C)
    execution.properties["config"].string_value = r'{"a": "\"b\\c"}'
    execution.properties["plain"].string_value = "plain"
    execution.properties["number"].int_value = 92
    execution.properties["struct"].struct_value["inside"] = r"\n"
    kept = metadata_store_service_pb2.PutExecutionsRequest()
    kept.CopyFrom(request)

    replace(request, "\\", "\ue05c")
    (found,) = request.executions
    assert found.name == "a\ue05cb"
    assert found.id == 0x5C
    assert found.properties["config"].string_value == '{"a": "\ue05c"b\ue05c\ue05cc"}'
    assert found.properties["number"].int_value == 92
    assert found.properties["struct"].struct_value["inside"] == "\ue05cn"
    assert found.properties["plain"].string_value == "plain"

    replace(request, "\ue05c", "\\")
    assert request == kept


def test_texts_in_lists():
    request = metadata_store_service_pb2.GetArtifactsByURIRequest(uris=[r"a\b", "c"])
    replace(request, "\\", "/")
    assert list(request.uris) == ["a/b", "c"]
    types = metadata_store_pb2.ArtifactType(name="x")
    types.properties["spam"] = metadata_store_pb2.STRING
    types.description = "\\"
    replace(types, "\\", "/")
    assert types.description == "/"


def test_long_texts_are_split_and_joined():
    request = metadata_store_service_pb2.PutExecutionsRequest()
    execution = request.executions.add()
    execution.properties["config"].string_value = "x" * 600 + "y" * 600 + "z"
    execution.custom_properties["config"].string_value = "c" * 601
    execution.properties["short"].string_value = "s" * 600
    kept = metadata_store_service_pb2.PutExecutionsRequest()
    kept.CopyFrom(request)

    split(request)
    (found,) = request.executions
    assert {name: len(value.string_value) for name, value in found.properties.items()} == {
        "config": 600,
        "short": 600,
    }
    lengths = [len(value.string_value) for value in found.custom_properties.values()]
    assert sorted(lengths) == [1, 1, 600, 600]

    join(request)
    assert request == kept


@pytest.mark.parametrize(
    ("message", "calls"), [("Record has changed since last read in table 'Type'", 2), ("other", 1)]
)
def test_conflicts_are_tried_again(message: str, calls: int, monkeypatch: pytest.MonkeyPatch):
    made = []

    def call_method(self: Any, *arguments: Any) -> None:
        made.append(arguments)
        if len(made) == 1:
            raise errors.InternalError(message)

    monkeypatch.setattr(MetadataStore, "_call_method", call_method)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    memory = metadata_store_pb2.ConnectionConfig()
    memory.fake_database.SetInParent()
    store = MySQLStore(memory)
    if calls == 1:
        with pytest.raises(errors.InternalError, match=message):
            store.get_artifacts()
    else:
        assert store.get_artifacts() == []
    assert len(made) == calls
