"""`SubwordTransform`: TFX's Transform, which can also read a `SubwordModel`.

What TFX's own cannot do is to hand an artifact to `preprocessing_fn`; here the artifact's folder
stands in its `custom_config`. The models are copied beside the transform graph, so that the
Trainer, which gets only the graph, has the tokenizers that the ids were made with.
"""

from __future__ import annotations

import os
from typing import Any

from tfx import types
from tfx.components.transform import executor as tfx_executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.io import fileio
from tfx.proto import transform_pb2
from tfx.types import (
    artifact_utils,
    channel,
    component_spec,
    standard_artifacts,
    standard_component_specs,
)
from tfx.utils import json_utils

from babelrank.components.artifacts import SubwordModel
from babelrank.components.ingest.config import EVAL, TRAIN
from babelrank.components.translation import preprocessing, subwords

SUBWORDS = preprocessing.SUBWORDS


class Executor(tfx_executor.Executor):
    """TFX's, with the subwords' folder in `custom_config`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs Transform; see `tfx.components.Transform`."""
        inputs = dict(input_dict)
        folder = artifact_utils.get_single_uri(inputs.pop(SUBWORDS))
        key = standard_component_specs.CUSTOM_CONFIG_KEY
        config = json_utils.loads(exec_properties.get(key) or "null") or {}
        config[SUBWORDS] = folder
        super().Do(inputs, output_dict, {**exec_properties, key: json_utils.dumps(config)})
        graph = artifact_utils.get_single_uri(
            output_dict[standard_component_specs.TRANSFORM_GRAPH_KEY]
        )
        copies = os.path.join(graph, subwords.FOLDER)
        fileio.makedirs(copies)
        for path in subwords.model_paths(folder):
            fileio.copy(path, os.path.join(copies, os.path.basename(path)), overwrite=True)


class SubwordTransformSpec(standard_component_specs.TransformSpec):
    """TFX's, and the subwords."""

    INPUTS = {
        **standard_component_specs.TransformSpec.INPUTS,
        SUBWORDS: component_spec.ChannelParameter(type=SubwordModel),
    }


class SubwordTransform(base_beam_component.BaseBeamComponent):
    """Turns raw sentence pairs into subword ids.

    Outputs:
        transform_graph: `TransformGraph`; beside the graph, the folder `subwords` holds the models.
        transformed_examples: `Examples` with `inputs`, `targets` and their lengths.

    Args:
        examples: Raw sentence pairs.
        schema: Their schema.
        subwords: `SubwordModel`, what the sentences are cut into.
        splits_config: Splits to analyze and to transform; None: train and eval are transformed.
        preprocessing_fn: Dotted path of another function; it takes `custom_config`, whose
            "subwords" is the folder of the artifact.
        custom_config: What else that function is to know.
    """

    SPEC_CLASS = SubwordTransformSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        schema: types.BaseChannel,
        subwords: types.BaseChannel,
        splits_config: transform_pb2.SplitsConfig | None = None,
        preprocessing_fn: str | None = None,
        custom_config: dict[str, Any] | None = None,
    ) -> None:
        transformed = channel.Channel(type=standard_artifacts.Examples)
        function = preprocessing.preprocessing_fn
        spec = SubwordTransformSpec(
            examples=examples,
            schema=schema,
            subwords=subwords,
            preprocessing_fn=preprocessing_fn or f"{function.__module__}.{function.__qualname__}",
            splits_config=splits_config or _splits(learns=preprocessing_fn is not None),
            custom_config=json_utils.dumps(custom_config),
            force_tf_compat_v1=0,
            disable_statistics=1,
            transform_graph=channel.Channel(type=standard_artifacts.TransformGraph),
            transformed_examples=transformed,
        )
        super().__init__(spec=spec)


def _splits(learns: bool) -> transform_pb2.SplitsConfig:
    """Ours learns nothing from the data: TFX is given the smallest split to read for that."""
    analyzed = TRAIN if learns else EVAL
    return transform_pb2.SplitsConfig(analyze=[analyzed], transform=[TRAIN, EVAL])
