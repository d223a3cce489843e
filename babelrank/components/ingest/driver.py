"""The driver of our ExampleGens: resolves files, spans and windows before caching is decided.

TFX's own input processor resolves one span; this one resolves a window of them into one
Examples artifact, whose properties name the newest span, all spans and a fingerprint of every
file (joined and explicit split files included), so that a cache hits only when nothing changed.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from tfx.components.example_gen import utils
from tfx.dsl.components.base import base_driver as dsl_base_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver
from tfx.orchestration.portable import data_types as portable_data_types
from tfx.proto.orchestration import driver_output_pb2

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.ingest.config import SpansConfig
from babelrank.components.ingest.executor import EXAMPLES, FILES, SPANS, files_property
from babelrank.components.ingest.spans import InputFile, Inputs, fingerprint_of, resolve_inputs

INPUTS = "inputs"
"""Section of a component's configuration that says what is read."""


class IngestDriver(dsl_base_driver.BaseDriver, base_driver.BaseDriver):
    """Fills in the execution properties `files`, `spans`, `span`, `version` and the fingerprint.

    How the spans were asked for is taken out of `config`: it is part of the cache's key, and the
    same files are the same examples, whether they were the newest ones or named.
    Components must name a driver of the one base class, the launcher runs the other's `run`.
    """

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        dsl_base_driver.BaseDriver.__init__(self, metadata_handle)
        base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(
        self, execution_info: portable_data_types.ExecutionInfo
    ) -> driver_output_pb2.DriverOutput:
        """Resolves the input.

        Raises:
            InputError: No file matches, or the wanted span is not there.
        """
        config = json.loads(execution_info.exec_properties["config"])
        properties = resolve_properties(config) | {"config": without_spans(config)}
        output = driver_output_pb2.DriverOutput()
        for name, value in (execution_info.exec_properties | properties).items():
            if value is not None:
                data_types_utils.set_metadata_value(output.exec_properties[name], value)
        for key, artifacts in execution_info.output_dict.items():
            artifact = copy.deepcopy(artifacts[0].mlmd_artifact)
            if key == EXAMPLES:
                for name in (utils.SPAN_PROPERTY_NAME, utils.VERSION_PROPERTY_NAME):
                    if properties[name] is not None:
                        artifact.custom_properties[name].int_value = properties[name]
                for name in (SPANS, utils.FINGERPRINT_PROPERTY_NAME):
                    artifact.custom_properties[name].string_value = properties[name]
            output.output_artifacts[key].artifacts.append(artifact)
        return output


def resolve_properties(config: dict[str, Any]) -> dict[str, Any]:
    """What an ExampleGen of this configuration would read now.

    Args:
        config: The component's configuration. Its section `inputs` says what is read; see
            `inputs_section`.

    Returns:
        Execution properties: `files` and `spans` (JSON), `span`, `version` (or None) and
        `input_fingerprint`.
    """
    wanted = config[INPUTS]
    inputs = [Inputs(**{**one, "keys": tuple(one["keys"])}) for one in wanted["files"]]
    resolved = resolve_inputs(inputs[0], from_dict(SpansConfig, config["spans"], "spans"))
    files: tuple[InputFile, ...] = resolved.files
    prints = [resolved.fingerprint]
    for one in inputs[1:]:
        explicit = resolve_inputs(one, SpansConfig())
        _check_apart(files, explicit.files, one.keys, inputs[0].keys)
        files += explicit.files
        prints.append(explicit.fingerprint)
    prints += [fingerprint_of(path) for path in wanted["joined"]]
    return {
        FILES: files_property(files),
        SPANS: json.dumps(resolved.spans),
        utils.SPAN_PROPERTY_NAME: resolved.spans[-1],
        utils.VERSION_PROPERTY_NAME: resolved.version,
        utils.FINGERPRINT_PROPERTY_NAME: hashlib.sha256("".join(prints).encode()).hexdigest()[:32],
    }


def without_spans(config: dict[str, Any]) -> str:
    """The configuration (JSON) as the executor needs it, which is told the files."""
    rest = {name: section for name, section in config.items() if name != "spans"}
    return json.dumps(rest, sort_keys=True)


def inputs_section(inputs: Sequence[Inputs], joined: Sequence[str] = ()) -> dict[str, Any]:
    """The section `inputs` of a component's configuration, as plain data.

    Args:
        inputs: What is read, the data first and then the files of explicit splits.
        joined: Paths or globs of files that are not rows, but that a cache must depend on.
    """
    return {"files": [dataclasses.asdict(one) for one in inputs], "joined": list(joined)}


def _check_apart(
    files: Sequence[InputFile],
    explicit: Sequence[InputFile],
    keys: Sequence[str],
    data_keys: Sequence[str],
) -> None:
    read = {path for file in files for path in (file.path, file.beside) if path}
    both = [path for file in explicit for path in (file.path, file.beside) if path in read]
    if both:
        raise ConfigError(
            f"{', '.join(keys)}: {both[0]} is also read by {', '.join(data_keys)} (or the other "
            "split); its rows would be on two sides. Narrow one of the patterns."
        )
