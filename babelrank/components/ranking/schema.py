"""The schema of click-log examples, derived from the configuration."""

from __future__ import annotations

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from babelrank.components.ranking import records
from babelrank.components.ranking.preprocessing import Columns


def schema_text(columns: Columns) -> str:
    """The schema in protobuf's text format.

    The label is there once in every example; all other features may be missing.
    """
    schema = schema_pb2.Schema()
    label = schema.feature.add(name=records.LABEL, type=schema_pb2.FLOAT)
    label.shape.SetInParent()
    label.presence.min_fraction = 1.0
    kinds = {name: schema_pb2.BYTES for name in columns.data.categorical}
    kinds |= {name: schema_pb2.FLOAT for name in columns.data.dense}
    if columns.data.timestamp is not None:
        kinds[records.TIMESTAMP] = schema_pb2.INT
    if columns.has_weight:
        kinds[records.WEIGHT] = schema_pb2.FLOAT
    for name, kind in kinds.items():
        schema.feature.add(name=name, type=kind).value_count.max = 1
    for name in columns.data.multivalent:
        schema.feature.add(name=name, type=schema_pb2.BYTES)
    text: str = text_format.MessageToString(schema)
    return text
