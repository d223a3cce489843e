"""What the ExampleGens of all tasks share as TFX components."""

from __future__ import annotations

import json
from typing import Any

from tfx.dsl.components.base import base_beam_component
from tfx.types import channel, component_spec, standard_artifacts

from babelrank.components.artifacts import Quarantine
from babelrank.components.ingest import driver, executor


class IngestSpec(component_spec.ComponentSpec):
    """Execution properties and outputs of an ExampleGen."""

    INPUTS: dict[str, Any] = {}
    OUTPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.QUARANTINE: component_spec.ChannelParameter(type=Quarantine),
    }
    PARAMETERS = {"config": component_spec.ExecutionParameter(type=str)}


class IngestComponent(base_beam_component.BaseBeamComponent):
    """Base of the ExampleGens; a task's own names its executor and makes the configuration.

    Args:
        config: Plain data, as the driver and the executor read it.
    """

    SPEC_CLASS = IngestSpec
    DRIVER_CLASS = driver.IngestDriver

    def __init__(self, config: dict[str, Any]) -> None:
        spec = IngestSpec(
            config=json.dumps(config, sort_keys=True),
            examples=channel.Channel(type=standard_artifacts.Examples),
            quarantine=channel.Channel(type=Quarantine),
        )
        super().__init__(spec=spec)
