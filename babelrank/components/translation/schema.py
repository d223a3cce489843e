"""The schema of sentence pairs: what every example of the translation task holds."""

from __future__ import annotations

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from babelrank.components.translation.records import ORIGIN, SOURCE, SOURCE_LENGTH, TARGET


def schema_text() -> str:
    """The schema in protobuf's text format: four texts, each there once in every example."""
    schema = schema_pb2.Schema()
    for name in (SOURCE, TARGET, ORIGIN, SOURCE_LENGTH):
        feature = schema.feature.add(name=name, type=schema_pb2.BYTES)
        feature.shape.dim.add(size=1)
        feature.presence.min_fraction = 1.0
    text: str = text_format.MessageToString(schema)
    return text
