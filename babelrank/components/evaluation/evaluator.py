"""The Evaluator: TFMA measures through the exported signature, our gate judges.

The component is TFX's, with one difference: the blessing comes from `verdict.judge`, which can
explain itself, knows a policy for the first run, and refuses metrics that are not finite. All that
speaks for or against a push comes together here: metrics, data, drift and skew, a rollback, and a
person's word. The evaluation artifact also holds `verdict.json`.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import types
from tfx.components.evaluator import executor as tfx_executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.io import fileio
from tfx.types import (
    artifact_utils,
    channel,
    component_spec,
    standard_artifacts,
    standard_component_specs,
)
from tfx.utils import proto_utils

from babelrank.components.artifacts import DriftMeasures, Quarantine
from babelrank.components.evaluation import data_facts, drift_component, verdict
from babelrank.components.evaluation import gate as rules
from babelrank.components.evaluation.blessing import bless
from babelrank.components.evaluation.data_gate import judge_data
from babelrank.components.evaluation.force import force
from babelrank.components.evaluation.gate import EvaluationConfig
from babelrank.components.evaluation.verdict import OVERALL, Finding, judge, values
from babelrank.components.lineage import ROLLED_BACK

VERDICT_FILE = "verdict.json"
DRIFT = "drift"
CANDIDATE, BASELINE = tfma.CANDIDATE_KEY, tfma.BASELINE_KEY
_TOO_SMALL = "__ERROR__"
"""TFMA puts this in place of the metrics of a slice below `min_slice_examples`."""
_FEATURE = re.compile(r'[^\s="]+')
_VALUE = re.compile(rf"({_FEATURE.pattern}( {_FEATURE.pattern})*)?")
"""What stands in the name of a slice as it is; all else is quoted."""
_MEASURED = ("candidate", "baseline")
"""Fields of a verdict that hold metrics."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate said.

    Attributes:
        blessed: True when the model may be pushed.
        split: Split that the metrics were taken on.
        findings: Why, in sentences.
        candidate: Slice to metric to value; NaN for what could not be computed.
        baseline: The same of the last blessed model; None without one.
        forced: Why the model is blessed although the gate refused it; empty: it is not.
    """

    blessed: bool
    split: str
    findings: tuple[Finding, ...]
    candidate: dict[str, dict[str, float]]
    baseline: dict[str, dict[str, float]] | None
    forced: str = ""

    @classmethod
    def load(cls, evaluation_uri: str) -> Verdict:
        """Reads the verdict of an evaluation artifact."""
        with fileio.open(os.path.join(evaluation_uri, VERDICT_FILE)) as file:
            data = json.loads(file.read())
        data["findings"] = tuple(Finding(**finding) for finding in data["findings"])
        for name in _MEASURED:
            data[name] = data[name] and _each(data[name], _number)
        return cls(**data)

    def save(self, evaluation_uri: str) -> None:
        """Writes the verdict into an evaluation artifact; numbers that are not finite are null."""
        data = asdict(self)
        for name in _MEASURED:
            data[name] = data[name] and _each(data[name], _finite)
        with fileio.open(os.path.join(evaluation_uri, VERDICT_FILE), "w") as file:
            file.write(json.dumps(data, indent=1, allow_nan=False))


def _each(metrics: Mapping[str, Mapping[str, Any]], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Metrics by slice with every value changed."""
    return {
        name: {metric: change(value) for metric, value in values.items()}
        for name, values in metrics.items()
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def eval_config(
    config: EvaluationConfig,
    metric: tfma.MetricConfig,
    label: str,
    prediction: str,
    weight: str | None,
) -> tfma.EvalConfig:
    """TFMA's configuration: which metrics, on which slices, through which signature.

    Args:
        config: Names the slices.
        metric: What to compute.
        label: Name of the label in the examples.
        prediction: Name of the signature's output.
        weight: Name of the sample weight in the examples, if there is one.
    """
    slices = [tfma.SlicingSpec()]
    slices += [tfma.SlicingSpec(feature_keys=name.split("*")) for name in config.slices]
    model = tfma.ModelSpec(
        signature_name="serving_default", label_key=label, prediction_key=prediction
    )
    if weight is not None:
        model.example_weight_key = weight
    evaluation = tfma.EvalConfig(
        model_specs=[model],
        slicing_specs=slices,
        metrics_specs=[tfma.MetricsSpec(metrics=[metric])],
    )
    evaluation.options.min_slice_size.value = config.min_slice_examples
    return evaluation


def slice_metrics(evaluation_uri: str, model_name: str) -> dict[str, dict[str, float]]:
    """Metrics by slice of one of the models that TFMA measured; too small slices are left out.

    No two slices have the same name, whatever their values hold.
    """
    result = tfma.load_eval_result(evaluation_uri, model_name=model_name)
    table: dict[str, dict[str, float]] = {}
    for key, outputs in result.slicing_metrics:
        values = next(iter(outputs.values()))[""]
        if _TOO_SMALL in values:
            continue
        name = " ".join(f"{feature}={value}" for feature, value in map(_named, key)) or OVERALL
        table[name] = {
            metric: float(value["doubleValue"])
            for metric, value in values.items()
            if "doubleValue" in value and not metric.endswith("_diff")
        }
    return table


def slice_arrays(evaluation_uri: str, model_name: str) -> dict[str, list[float]]:
    """The curves of the whole split, flat and without their NaN padding, of one of the models."""
    result = tfma.load_eval_result(evaluation_uri, model_name=model_name)
    for key, outputs in result.slicing_metrics:
        if not key:
            values = next(iter(outputs.values()))[""]
            return {
                metric: [n for n in map(float, value["arrayValue"]["float64Values"]) if n == n]
                for metric, value in values.items()
                if "arrayValue" in value and not metric.endswith("_diff")
            }
    return {}


def overall_texts(evaluation_uri: str, model_name: str) -> dict[str, str]:
    """The metrics of the whole split that are texts, such as JSON, of one of the models."""
    result = tfma.load_eval_result(evaluation_uri, model_name=model_name)
    for key, outputs in result.slicing_metrics:
        if not key:
            values = next(iter(outputs.values()))[""]
            return {
                metric: base64.b64decode(value["bytesValue"]).decode()
                for metric, value in values.items()
                if "bytesValue" in value
            }
    return {}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _named(part: tuple[str, Any]) -> tuple[str, str]:
    """A feature and its value as in the name of a slice: no other parts can be read into them."""
    feature, value = part[0], _text(part[1])
    return (
        feature if _FEATURE.fullmatch(feature) else json.dumps(feature, ensure_ascii=False),
        value if _VALUE.fullmatch(value) else json.dumps(value, ensure_ascii=False),
    )


class Executor(tfx_executor.Executor):
    """Measures with TFMA, judges with our gate, writes the verdict and the blessing."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the evaluation; see `tfx.components.Evaluator`."""
        super().Do(input_dict, output_dict, exec_properties)
        config = rules.from_json(exec_properties["gate"])
        uri = artifact_utils.get_single_uri(output_dict[standard_component_specs.EVALUATION_KEY])
        compared = bool(input_dict.get(standard_component_specs.BASELINE_MODEL_KEY))
        candidate = slice_metrics(uri, CANDIDATE if compared else "")
        baseline = slice_metrics(uri, BASELINE) if compared else None
        findings = _findings(config, candidate, baseline, input_dict, exec_properties)
        forced, said = force(config.force_bless, findings)
        blessed = bool(forced) or all(finding.ok for finding in findings)
        (split,) = json.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY])
        Verdict(
            blessed=blessed,
            split=split,
            findings=(*findings, *said),
            candidate=candidate,
            baseline=baseline,
            forced=forced,
        ).save(uri)
        measured = {n: v for n, v in values(candidate.get(OVERALL, {})).items() if math.isfinite(v)}
        bless(blessed, forced, measured, input_dict, output_dict)


def _findings(
    config: EvaluationConfig,
    candidate: verdict.Metrics,
    baseline: verdict.Metrics | None,
    input_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
) -> tuple[Finding, ...]:
    """All that speaks for or against a push: of the model, its data, their drift, a rollback."""
    measured = tfma.EvalConfig()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.EVAL_CONFIG_KEY], measured)
    facts = data_facts.read(input_dict, measured.model_specs[0].label_key)
    findings = [*judge(config, candidate, baseline)[1], *judge_data(config.data, facts)]
    for drift in input_dict.get(DRIFT, []):
        findings += drift_component.load(drift.uri).findings()
    (model,) = input_dict[standard_component_specs.MODEL_KEY]
    bad = model.get_string_custom_property(ROLLED_BACK)
    if bad:
        text = f"This very model was rolled back: {bad}."
        findings.append(Finding(ok=False, text=text, kind=verdict.ROLLED_BACK))
    return tuple(findings)


class EvaluatorSpec(standard_component_specs.EvaluatorSpec):
    """TFX's, the gate's rules, and what is known about the data."""

    INPUTS = {
        **standard_component_specs.EvaluatorSpec.INPUTS,
        DRIFT: component_spec.ChannelParameter(type=DriftMeasures, optional=True),
        data_facts.QUARANTINE: component_spec.ChannelParameter(type=Quarantine, optional=True),
        data_facts.ANOMALIES: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleAnomalies, optional=True
        ),
        data_facts.STATISTICS: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        ),
        data_facts.SERVING_STATISTICS: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        ),
    }
    PARAMETERS = {
        **standard_component_specs.EvaluatorSpec.PARAMETERS,
        "gate": component_spec.ExecutionParameter(type=str),
    }


class Evaluator(base_beam_component.BaseBeamComponent):
    """Measures a model on one split, compares it with a baseline, and blesses or refuses it.

    Args:
        examples: The raw examples.
        model: The candidate.
        split: Split to measure on.
        eval_config: TFMA's configuration, without thresholds.
        gate: The rules.
        baseline_model: The last blessed model; may resolve to nothing.
        drift: What `Drift` found; its findings join the verdict.
        data: For the gate on data, any of ingest's `quarantine`, ExampleValidator's `anomalies`,
            and `statistics` and `serving_statistics`: of these examples, and of those that the
            serving model was trained on.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        split: str,
        eval_config: tfma.EvalConfig,
        gate: EvaluationConfig,
        baseline_model: types.BaseChannel | None = None,
        drift: types.BaseChannel | None = None,
        data: Mapping[str, types.BaseChannel] | None = None,
    ) -> None:
        spec = EvaluatorSpec(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            drift=drift,
            example_splits=json.dumps([split]),
            eval_config=eval_config,
            gate=rules.to_json(gate),
            evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
            **(data or {}),
        )
        super().__init__(spec=spec)
