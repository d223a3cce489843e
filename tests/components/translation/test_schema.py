"""Tests of the schema of sentence pairs."""

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from babelrank.components.translation.schema import schema_text


def test_four_texts_each_there_once():
    schema = text_format.Parse(schema_text(), schema_pb2.Schema())
    assert [feature.name for feature in schema.feature] == [
        "source",
        "target",
        "origin",
        "source_length",
    ]
    for feature in schema.feature:
        assert feature.type == schema_pb2.BYTES
        assert [dim.size for dim in feature.shape.dim] == [1]
        assert feature.presence.min_fraction == 1.0
