"""ClickLogExampleGen in a pipeline of one's own. Arguments: ratings file, output folder."""

import sys

import babelrank.components.ranking.example_gen as clicks  # before TensorFlow
from babelrank.components.ingest.config import SplitsConfig
from babelrank.components.ranking.config import DataConfig, LabelConfig
from tfx import v1 as tfx
from tfx.components import SchemaGen, StatisticsGen, Transform


def preprocessing_fn(inputs):
    import tensorflow_transform as tft

    user = tft.compute_and_apply_vocabulary(inputs["userId"])
    return {"user": user, "label": inputs["label"]}


if __name__ == "__main__":
    log, out = sys.argv[1:]
    liked = LabelConfig(column="rating", positive=">= 4")
    data = DataConfig(path=log, label=liked, categorical=("userId", "movieId"))
    example_gen = clicks.ClickLogExampleGen(data, SplitsConfig(by="userId"))
    examples = example_gen.outputs["examples"]
    statistics = StatisticsGen(examples)
    schema = SchemaGen(statistics.outputs["statistics"])
    ...
