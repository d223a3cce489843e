"""What a task gets, as the driver of Kubeflow Pipelines works it out.

A placeholder such as {{$.pipeline_job_uuid}} is replaced only where it is the whole constant;
within a longer text it stays, as it does there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as spec

from tests.kubeflow.backend_spec import SpecError

_TYPES = spec.ParameterType.ParameterTypeEnum
_PYTHON: dict[int, tuple[type, ...]] = {
    _TYPES.STRING: (str,),
    _TYPES.NUMBER_INTEGER: (float, int),
    _TYPES.NUMBER_DOUBLE: (float, int),
    _TYPES.BOOLEAN: (bool,),
    _TYPES.LIST: (list,),
    _TYPES.STRUCT: (dict,),
}


@dataclass(frozen=True)
class RunInfo:
    """What the placeholders of a run stand for.

    Attributes:
        run_id: {{$.pipeline_job_uuid}}.
        display_name: {{$.pipeline_job_name}}.
        resource_name: {{$.pipeline_job_resource_name}}, the Argo workflow.
        created: {{$.pipeline_job_create_time_utc}}, such as 2026-01-09T13:00:00Z.
        scheduled: {{$.pipeline_job_schedule_time_utc}}; `created` when nobody scheduled it.
    """

    run_id: str
    display_name: str
    resource_name: str
    created: str
    scheduled: str


def run_parameters(root: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a run: what is given, and the defaults of the rest.

    Raises:
        SpecError: There is no such parameter, or one has no value, or one of another type.
    """
    takes = root.input_definitions.parameters
    for name in given:
        if name not in takes:
            raise SpecError(f"the pipeline has no parameter {name}; takes {sorted(takes)}.")
    values: dict[str, Any] = {}
    for name, parameter in takes.items():
        if name in given:
            values[name] = _checked(name, given[name], parameter.parameter_type)
        elif parameter.HasField("default_value"):
            values[name] = _value(parameter.default_value)
        elif not parameter.is_optional:
            raise SpecError(f"parameter {name}: neither a value nor a default.")
        else:
            values[name] = None
    return values


def inputs(
    task: Any,
    component: Any,
    outside: Mapping[str, Any],
    produced: Mapping[str, Mapping[str, Any]],
    info: RunInfo,
) -> dict[str, Any]:
    """The input parameters of a task.

    Args:
        task: The task.
        component: Its component.
        outside: Input parameters of the graph that the task is in.
        produced: Output parameters of the tasks of that graph that have ended, by name.
        info: The run.

    Raises:
        SpecError: A value is missing or of another type.
    """
    values: dict[str, Any] = {}
    takes = component.input_definitions.parameters
    for name, source in task.inputs.parameters.items():
        kind = source.WhichOneof("kind")
        if kind == "component_input_parameter":
            value = outside[source.component_input_parameter]
        elif kind == "runtime_value":
            constant = _value(source.runtime_value.constant)
            value = _replaced(constant, task.task_info.name, info)
        else:
            output = source.task_output_parameter
            value = produced[output.producer_task][output.output_parameter_key]
        if value is None:
            if not takes[name].is_optional:
                raise SpecError(f"{task.task_info.name}: input {name} is null.")
            continue
        values[name] = _checked(name, value, takes[name].parameter_type)
    return values


def with_defaults(values: Mapping[str, Any], component: Any) -> dict[str, Any]:
    """The same with the component's own defaults, which the launcher adds."""
    defaults = {
        name: _value(parameter.default_value)
        for name, parameter in component.input_definitions.parameters.items()
        if parameter.HasField("default_value")
    }
    return {**defaults, **values}


def text(value: Any) -> str:
    """A value as it stands in a command line."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | int):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return json.dumps(value)


def parsed(written: str, kind: int) -> Any:
    """An output parameter from the file that a task wrote.

    Raises:
        SpecError: It is not of that type.
    """
    value = written if kind == _TYPES.STRING else json.loads(written)
    return _checked("output parameter", value, kind)


def _replaced(constant: Any, task_name: str, info: RunInfo) -> Any:
    placeholders = {
        "{{$.pipeline_job_uuid}}": info.run_id,
        "{{$.pipeline_job_name}}": info.display_name,
        "{{$.pipeline_job_resource_name}}": info.resource_name,
        "{{$.pipeline_job_create_time_utc}}": info.created,
        "{{$.pipeline_job_schedule_time_utc}}": info.scheduled,
        "{{$.pipeline_task_name}}": task_name,
    }
    if not isinstance(constant, str):
        return constant
    if "{{$" in constant and constant not in placeholders:
        raise SpecError(f"{task_name}: the driver replaces nothing within {constant!r}.")
    return placeholders.get(constant, constant)


def _checked(name: str, value: Any, kind: int) -> Any:
    if kind == _TYPES.STRING and not isinstance(value, str):
        return text(value)
    is_bool = isinstance(value, bool)
    if not isinstance(value, _PYTHON.get(kind, ())) or is_bool != (kind == _TYPES.BOOLEAN):
        raise SpecError(f"{name}: got {value!r}; takes {_TYPES.Name(kind)}.")
    return value


def _value(message: Any) -> Any:
    return json_format.MessageToDict(message)
