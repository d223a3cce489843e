"""TensorFlow Transform in memory, for the tests of preprocessing and of the exported model."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.options.pipeline_options import PipelineOptions
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

from babelrank.components.ranking.preprocessing import Columns, preprocessing_fn
from babelrank.components.ranking.schema import schema_text

BEAM = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
Rows = list[dict[str, list[Any]]]
Analyze = Callable[[Columns, Rows], tuple[tft.TFTransformOutput, list[dict[str, Any]]]]


@pytest.fixture(scope="session")
def analyze(tmp_path_factory: pytest.TempPathFactory) -> Analyze:
    """From train rows to what Transform puts out, and the rows as it writes them."""

    def run(columns: Columns, train: Rows) -> tuple[tft.TFTransformOutput, list[dict[str, Any]]]:
        folder = tmp_path_factory.mktemp("transform")
        schema = text_format.Parse(schema_text(columns), schema_pb2.Schema())
        metadata = dataset_metadata.DatasetMetadata(schema)
        metadata_io.write_metadata(metadata, str(folder / "output" / "metadata"))
        absent: dict[str, Any] = {feature.name: [] for feature in schema.feature}
        # The label, of fixed shape, is no list.
        rows = [{**absent, **row, "label": row["label"][0]} for row in train]
        function = functools.partial(preprocessing_fn, custom_config=columns.to_custom_config())
        with (
            beam.Pipeline(options=PipelineOptions(BEAM)) as pipeline,
            tft_beam.Context(str(folder / "temporary")),
        ):
            source = (pipeline | beam.Create(rows, reshuffle=False), metadata)
            (written, _), fn = source | tft_beam.AnalyzeAndTransformDataset(function)
            _ = fn | tft_beam.WriteTransformFn(str(folder / "output"))
            _ = (
                written
                | beam.Map(lambda row: repr({k: np.asarray(v).tolist() for k, v in row.items()}))
                | beam.io.WriteToText(str(folder / "rows"), shard_name_template="")
            )
        lines = (folder / "rows").read_text().splitlines()
        return tft.TFTransformOutput(str(folder / "output")), list(map(ast.literal_eval, lines))

    return run


@pytest.fixture(scope="session")
def example() -> Callable[[dict[str, list[Any]]], bytes]:
    """A row as a serialized `tf.Example`."""

    def make(row: dict[str, list[Any]]) -> bytes:
        made = tf.train.Example()
        for name, values in row.items():
            feature = made.features.feature[name]
            for value in values:
                if isinstance(value, str):
                    feature.bytes_list.value.append(value.encode())
                elif isinstance(value, float):
                    feature.float_list.value.append(value)
                else:
                    feature.int64_list.value.append(value)
        serialized: bytes = made.SerializeToString()
        return serialized

    return make
