"""The Pusher: pushes a blessed SavedModel to the folder that a model server watches.

`versions` does the work; this is its TFX component. A model that the serving check refused is not
pushed, nor one that was rolled back, and with `enabled: false` none is; the artifact `pushed_model`
says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.components.pusher import executor as tfx_executor
from tfx.components.util import model_utils
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import json_utils, proto_utils

from babelrank.components.lineage import FORCED, METRICS, SPANS
from babelrank.components.serving.check.report import FILE, CheckReport
from babelrank.components.serving.manifest import WARMUP, Manifest, digest
from babelrank.components.serving.versions import Ledger, RolledBack, push

ENABLED = "enabled"
WARMUP_FILE = Path(WARMUP).name
DIGEST, NOT_PUSHED = "digest", "not_pushed"
"""Properties of `pushed_model`: the model's digest, and why it was not pushed although blessed."""


class Executor(tfx_executor.Executor):
    """TFX's Pusher executor with `push` in place of its copying."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if it is blessed; see `tfx.components.Pusher`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        custom = exec_properties.get(standard_component_specs.CUSTOM_CONFIG_KEY) or "null"
        if not self.CheckBlessing(input_dict):
            self._refuse(pushed, self._unservable(input_dict))
            return
        if not (json_utils.loads(custom) or {}).get(ENABLED, True):
            self._refuse(pushed, "push.enabled is false.")
            return
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination
        )
        folder = Path(destination.filesystem.base_directory)
        model = Path(self.GetModelPath(input_dict))
        about = self._about(model, input_dict)
        pushed.set_string_custom_property(DIGEST, about.digest)
        bad = Ledger.load(folder).rolled_back.get(about.digest)
        if bad is not None:
            self._refuse(pushed, rolled_back_sentence(bad))
            return
        version, new = push(model, folder, about, self._warmup(input_dict))
        pushed.set_int_custom_property("new_version", int(new))
        self._MarkPushed(pushed, pushed_destination=str(version), pushed_version=version.name)

    def _refuse(self, pushed: types.Artifact, reason: str) -> None:
        """Notes why a model is not pushed; what the gate refused has its verdict for that."""
        self._MarkNotPushed(pushed)
        if reason:
            pushed.set_string_custom_property(NOT_PUSHED, reason)

    def _unservable(self, input_dict: Mapping[str, list[types.Artifact]]) -> str:
        """Why the serving check refused a model that the gate passed; empty: the gate did not."""
        gates = input_dict.get(standard_component_specs.MODEL_BLESSING_KEY, [])
        if not all(map(model_utils.is_model_blessed, gates)):
            return ""
        (check,) = input_dict[standard_component_specs.INFRA_BLESSING_KEY]
        if not (Path(check.uri) / FILE).exists():
            return "the infra validator refused it."  # TFX's, in a pipeline of somebody's own
        report = CheckReport.load(Path(check.uri))
        reasons = [finding.text for finding in report.findings if not finding.ok]
        return f"the serving check refused it: {reasons[0]} Repeat it: {report.command}"

    def _warmup(self, input_dict: Mapping[str, list[types.Artifact]]) -> Path | None:
        """Requests that the serving check left for the server, if there are any."""
        for check in input_dict.get(standard_component_specs.INFRA_BLESSING_KEY, []):
            path = Path(check.uri) / WARMUP_FILE
            if path.exists():
                return path
        return None

    def _about(self, model: Path, input_dict: Mapping[str, list[types.Artifact]]) -> Manifest:
        """What the gate left to know about the model, in the properties of its blessing."""
        spans: list[int] = []
        metrics: dict[str, float] = {}
        forced = ""
        for blessing in input_dict.get(standard_component_specs.MODEL_BLESSING_KEY, []):
            spans = json.loads(blessing.get_string_custom_property(SPANS) or "[]")
            metrics = json.loads(blessing.get_string_custom_property(METRICS) or "{}")
            forced = blessing.get_string_custom_property(FORCED)
        run_id = self._context.pipeline_run_id if self._context else None
        return Manifest(
            digest=digest(model),
            source=str(model),
            run_id=run_id or "",
            spans=tuple(spans),
            metrics=metrics,
            forced=forced,
        )


def rolled_back_sentence(bad: RolledBack) -> str:
    """Why a model that was rolled back does not come back."""
    return (
        f"version {bad.version} with this very model was rolled back at {bad.when}: {bad.reason}. "
        f"`babelrank rollback --to {bad.version}` would bring it back."
    )


class Pusher(tfx.components.Pusher):  # type: ignore[misc]
    """TFX's Pusher; a push is atomic, durable, and not repeated.

    `custom_config={"enabled": False}` keeps it from pushing.
    """

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
