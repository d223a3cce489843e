"""ClickLogExampleGen beside stock TFX. Arguments: a CSV of ratings, and an output folder."""

import sys
from babelrank.components.ingest.config import SplitsConfig  # babelrank before TensorFlow
from babelrank.components.ranking.config import DataConfig, LabelConfig
from babelrank.components.ranking.example_gen import ClickLogExampleGen
import tensorflow_transform as tft
from tfx import v1 as tfx


def preprocessing_fn(inputs):
    return {"user": tft.compute_and_apply_vocabulary(inputs["userId"]), "label": inputs["label"]}


if __name__ == "__main__":
    path, out = sys.argv[1:]
    liked = LabelConfig(column="rating", positive=">= 4")
    data = DataConfig(path=path, label=liked, categorical=("userId", "movieId"))
    clicks = ClickLogExampleGen(data, SplitsConfig(by="userId"))
    examples = clicks.outputs["examples"]
    stats = tfx.components.StatisticsGen(examples)
    schema = tfx.components.SchemaGen(stats.outputs["statistics"], infer_feature_shape=True)
    transform = tfx.components.Transform(
        examples, schema.outputs["schema"], preprocessing_fn="foreign_pipeline.preprocessing_fn"
    )
    parts = [clicks, stats, schema, transform]
    database = tfx.orchestration.metadata.sqlite_metadata_connection_config(f"{out}/metadata.db")
    beam = ["--runner=DirectRunner", "--direct_running_mode=in_memory"]
    pipeline = tfx.dsl.Pipeline("foreign", out, database, parts, beam_pipeline_args=beam)
    tfx.orchestration.LocalDagRunner().run(pipeline)
