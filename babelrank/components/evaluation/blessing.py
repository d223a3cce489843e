"""Writes a blessing: the artifact by which resolvers, the Pusher and people know the verdict."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs

from babelrank.components.lineage import FORCED, METRICS, SPANS


def bless(
    blessed: bool,
    forced: str,
    metrics: Mapping[str, float],
    input_dict: Mapping[str, list[types.Artifact]],
    output_dict: Mapping[str, list[types.Artifact]],
) -> None:
    """Marks the blessing artifact the way TFX's resolvers and Pusher read it.

    Args:
        blessed: The verdict.
        forced: Why the model is blessed although the gate refused it; empty: it is not.
        metrics: What the gate measured; goes along for the manifest of the version that may be
            pushed, as the spans do.
        input_dict: The Evaluator's inputs.
        output_dict: The Evaluator's outputs.
    """
    blessing = artifact_utils.get_single_instance(
        output_dict[standard_component_specs.BLESSING_KEY]
    )
    examples = input_dict[standard_component_specs.EXAMPLES_KEY][0]
    blessing.set_string_custom_property(SPANS, examples.get_string_custom_property(SPANS))
    blessing.set_string_custom_property(METRICS, json.dumps(metrics))
    if forced:
        blessing.set_string_custom_property(FORCED, forced)
    model = input_dict[standard_component_specs.MODEL_KEY][0]
    blessing.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    for baseline in input_dict.get(standard_component_specs.BASELINE_MODEL_KEY, []):
        blessing.set_string_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri
        )
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id
        )
    name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    value = constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE
    fileio.makedirs(blessing.uri)
    with fileio.open(os.path.join(blessing.uri, name), "w") as file:
        file.write("")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
