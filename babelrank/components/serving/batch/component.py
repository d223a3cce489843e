"""`BatchPredict`: a model's answers to all rows of some files or examples, with a quarantine.

Beside TFX's BulkInferrer: bad rows go to a quarantine with file, line and reason instead of ending
the run; it reads raw rows and lines of text as well as examples; and models with operations of
tensorflow-text load. Example of use beside stock TFX components:

    predictions = BatchPredict(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        path="logs/day={SPAN}/*.csv.gz",
        config=BatchConfig(keep=("request_id",)),
    )
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from pathlib import Path
from typing import Any

from apache_beam.io.filesystems import FileSystems
from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import data_types as portable_data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts
from tfx.utils import path_utils

from babelrank.components.artifacts import Predictions, Quarantine
from babelrank.components.config import from_dict, to_dict
from babelrank.components.errors import ConfigError, ModelError
from babelrank.components.ingest import driver
from babelrank.components.ingest.config import SpansConfig
from babelrank.components.ingest.executor import FILES
from babelrank.components.ingest.spans import Inputs
from babelrank.components.serving.batch import job as batch_job
from babelrank.components.serving.batch import model as batch_model
from babelrank.components.serving.batch.config import BatchConfig
from babelrank.components.serving.batch.job import Job
from babelrank.components.serving.batch.shards import InputFile, Shards
from babelrank.components.serving.batch.writer import PREDICTED
from babelrank.components.serving.manifest import verify_if_sealed

MODEL, PUSHED_MODEL, BLESSING, EXAMPLES = "model", "pushed_model", "model_blessing", "examples"
PREDICTIONS, QUARANTINE = "predictions", "quarantine"
NOT_PREDICTED = "not_predicted"
_PUSHED, _DESTINATION = "pushed", "pushed_destination"

Artifacts = dict[str, list[types.Artifact]]


class Driver(driver.IngestDriver):
    """Finds the files of a `path` before caching is decided; examples need no driver."""

    def run(
        self, execution_info: portable_data_types.ExecutionInfo
    ) -> driver_output_pb2.DriverOutput:
        """Resolves the input.

        Raises:
            InputError: No file matches, or the wanted span is not there.
        """
        if driver.INPUTS in json.loads(execution_info.exec_properties["config"]):
            return super().run(execution_info)
        output = driver_output_pb2.DriverOutput()
        for name, value in execution_info.exec_properties.items():
            data_types_utils.set_metadata_value(output.exec_properties[name], value)
        for key, artifacts in execution_info.output_dict.items():
            output.output_artifacts[key].artifacts.append(artifacts[0].mlmd_artifact)
        return output


class Executor(base_beam_executor.BaseBeamExecutor):
    """Predicts by Beam; see `job`."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]
    ) -> None:
        """Writes the predictions and the quarantine.

        Raises:
            InputError: A file cannot be read.
            BadRowsError: Too many rows are bad.
            ModelError: BabelRank did not export the model, or it was altered after its push.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        config = json.loads(exec_properties["config"])
        predictions = artifact_utils.get_single_instance(output_dict[PREDICTIONS])
        quarantine = artifact_utils.get_single_instance(output_dict[QUARANTINE])
        for artifact in (predictions, quarantine):
            os.makedirs(artifact.uri, exist_ok=True)
        reason = _refusal(input_dict)
        if reason:
            logging.getLogger("babelrank").warning("No predictions: %s", reason)
            predictions.set_string_custom_property(NOT_PREDICTED, reason)
            return
        batch = from_dict(BatchConfig, config["batch"], "config")
        files = _files(input_dict, config["splits"], exec_properties)
        if input_dict.get(EXAMPLES):
            batch = dataclasses.replace(batch, format="tfrecord")
        model = _model(input_dict)
        verify_if_sealed(model)
        task = batch_model.check(model, batch)
        shards = Shards(predictions.uri, quarantine.uri, batch.output)
        job = Job(str(model), task, batch, shards)
        batch_job.work(batch_job.to_do(files, job, batch.workers), job, self._make_beam_pipeline())
        summary = batch_job.outcome(files, job)
        FileSystems.delete([shards.parts])
        predictions.set_int_custom_property(PREDICTED, summary.written[PREDICTED])
        summary.check_bad_fraction(batch.max_bad_fraction, "config.max_bad_fraction", "the input")


def _refusal(input_dict: Artifacts) -> str:
    """Why there is no model to ask; empty when there is."""
    if BLESSING in input_dict and not input_dict[BLESSING]:
        return "there is no blessing."
    for blessing in input_dict.get(BLESSING, []):
        if not model_utils.is_model_blessed(blessing):
            return "the model is not blessed."
    for pushed in input_dict.get(PUSHED_MODEL, []):
        if pushed.get_int_custom_property(_PUSHED) != 1:
            return "the model was not pushed."
    return ""


def _model(input_dict: Artifacts) -> Path:
    """Folder of the SavedModel."""
    if input_dict.get(PUSHED_MODEL):
        pushed = artifact_utils.get_single_instance(input_dict[PUSHED_MODEL])
        return Path(pushed.get_string_custom_property(_DESTINATION))
    if not input_dict.get(MODEL):
        raise ModelError("the input `model` resolved to nothing; there must be a model to ask.")
    model = artifact_utils.get_single_instance(input_dict[MODEL])
    old = path_utils.is_old_model_artifact(model)
    return Path(path_utils.serving_model_path(model.uri, old))


def _files(
    input_dict: Artifacts, splits: list[str], exec_properties: dict[str, Any]
) -> list[InputFile]:
    """The files of the examples' splits, or those that the driver found."""
    if not input_dict.get(EXAMPLES):
        found = json.loads(exec_properties[FILES])
        return batch_job.files_of([file["path"] for file in found])
    files: list[InputFile] = []
    for examples in input_dict[EXAMPLES]:
        names = artifact_utils.decode_split_names(examples.split_names)
        for split in splits or names:
            if split not in names:
                raise ConfigError(f"splits: got {split}; the examples have {', '.join(names)}.")
            folder = artifact_utils.get_split_uri([examples], split)
            files += batch_job.find(f"{folder}/*")
    return files


class BatchPredictSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of `BatchPredict`."""

    INPUTS = {
        MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
        PUSHED_MODEL: component_spec.ChannelParameter(
            type=standard_artifacts.PushedModel, optional=True
        ),
        BLESSING: component_spec.ChannelParameter(
            type=standard_artifacts.ModelBlessing, optional=True
        ),
        EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS = {
        PREDICTIONS: component_spec.ChannelParameter(type=Predictions),
        QUARANTINE: component_spec.ChannelParameter(type=Quarantine),
    }
    PARAMETERS = {"config": component_spec.ExecutionParameter(type=str)}


class BatchPredict(base_beam_component.BaseBeamComponent):
    """Asks a model that BabelRank exported about all rows of some files, or of examples.

    Outputs:
        predictions: `Predictions`, in the order of the rows of each file.
        quarantine: `Quarantine`, the refused rows with file, position and reason.

    Args:
        model: The model of a Trainer, or
        pushed_model: of a Pusher.
        model_blessing: Without a blessing nothing is predicted, as in TFX's BulkInferrer.
        examples: Raw examples, or
        path: files, as `ClickLogExampleGen` takes them: a glob, `{SPAN}` and dates included.
        splits: Splits of the examples; none: all.
        spans: Which spans of `path` are read.
        config: How to read and what to write.

    Raises:
        ConfigError: Not one model, or not one input.
    """

    SPEC_CLASS = BatchPredictSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        model: types.BaseChannel | None = None,
        *,
        pushed_model: types.BaseChannel | None = None,
        model_blessing: types.BaseChannel | None = None,
        examples: types.BaseChannel | None = None,
        path: str | None = None,
        splits: tuple[str, ...] = (),
        spans: SpansConfig | None = None,
        config: BatchConfig | None = None,
    ) -> None:
        if (model is None) == (pushed_model is None):
            raise ConfigError("BatchPredict: takes either model or pushed_model.")
        if (examples is None) == (path is None):
            raise ConfigError("BatchPredict: takes either examples or path.")
        whole: dict[str, Any] = {
            "batch": to_dict(config or BatchConfig()),
            "splits": list(splits),
        }
        if path is not None:
            whole["spans"] = to_dict(spans or SpansConfig())
            whole[driver.INPUTS] = driver.inputs_section([Inputs(path=path, keys=("path",))])
        spec = BatchPredictSpec(
            model=model,
            pushed_model=pushed_model,
            model_blessing=model_blessing,
            examples=examples,
            config=json.dumps(whole, sort_keys=True),
            predictions=channel.Channel(type=Predictions),
            quarantine=channel.Channel(type=Quarantine),
        )
        super().__init__(spec=spec)
