"""Runs one try of a task, as kubelet and the launcher of Kubeflow Pipelines do.

The command line is the task's own, with its placeholders filled in; `python` is the Python that
runs the tests. It is a process of this machine, in an empty folder, with only those environment
variables that the image and the pod have.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as spec

from tests.kubeflow import backend_driver as driver
from tests.kubeflow.backend_spec import PodConfig, SpecError

ROOT = Path(__file__).parents[2]
STORE = "minio://mlpipeline/v2/artifacts"
TIMEOUT = 900


@dataclass(frozen=True)
class Artifact:
    """An output artifact.

    Attributes:
        path: Where the task was to write it.
        kind: Its type, such as system.HTML.
        metadata: What the task said of it.
    """

    path: Path
    kind: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """One try.

    Attributes:
        code: Exit code; negative: the signal that ended it.
        log: Its standard output and error.
        command: The command line, with everything filled in.
        parameters: Output parameters.
        artifacts: Output artifacts.
    """

    code: int
    log: Path
    command: list[str]
    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """What the pods find.

    Attributes:
        secrets: Values, by secret and key: `metadata-db/password`.
        claims: Where each volume claim really is; a pod must mount it there.
        image: Environment variables of the image.
    """

    secrets: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, Path] = field(default_factory=dict)
    image: Mapping[str, str] = field(default_factory=dict)


Disturbance = Callable[[str, int, int, Path], None]
"""Told of each try, once it runs: task, number of the try from 0, process group, log."""


@dataclass(frozen=True)
class Pod:
    """A task whose inputs are known.

    Attributes:
        name: Of the task.
        run_id: Of the run.
        component: Its component.
        container: What it runs.
        kubernetes: What Kubernetes gets beyond it.
        inputs: Input parameters.
        folder: For everything that it writes, but for the volumes.
    """

    name: str
    run_id: str
    component: Any
    container: Any
    kubernetes: PodConfig
    inputs: dict[str, Any]
    folder: Path

    def run(self, number: int, cluster: Cluster, disturb: Disturbance | None = None) -> Attempt:
        """One try, to its end.

        Raises:
            SpecError: Something in the command line, the pod or the outputs is not as KFP has it.
        """
        scratch = self.folder / f"try-{number}"
        scratch.mkdir(parents=True)
        environment = self._environment(cluster)
        outputs = self._outputs(scratch)
        command = self._command(outputs, environment)
        log = scratch / "log"
        code = self._process(command, environment, scratch, number, disturb)
        if code != 0:
            return Attempt(code, log, command)
        return Attempt(code, log, command, *self._collected(outputs))

    def _environment(self, cluster: Cluster) -> dict[str, str]:
        given = {entry.name: entry.value for entry in self.container.env}
        for secret in self.kubernetes.config.secret_as_env:
            for pair in secret.key_to_env:
                key = f"{secret.secret_name}/{pair.secret_key}"
                if key in cluster.secrets:
                    given[pair.env_var] = cluster.secrets[key]
                elif secret.secret_name not in self.kubernetes.optional:
                    raise SpecError(f"{self.name}: there is no secret {key}.")
        fields = {"metadata.name": f"{self.name}-pod", "metadata.uid": str(uuid.uuid4())}
        for entry in self.kubernetes.config.field_path_as_env:
            given[entry.name] = fields[entry.field_path]
        self._check_mounts(cluster)
        machine = {"PATH": os.environ["PATH"], "HOME": str(self.folder.parent), "LANG": "C.UTF-8"}
        return {**machine, "PYTHONPATH": str(ROOT), **cluster.image, **given}

    def _check_mounts(self, cluster: Cluster) -> None:
        for mount in self.kubernetes.config.pvc_mount:
            place = cluster.claims.get(mount.constant)
            if place is None or str(place) != mount.mount_path:
                raise SpecError(
                    f"{self.name}: mounts {mount.constant} at {mount.mount_path}; here is {place}."
                )

    def _outputs(self, scratch: Path) -> Any:
        """Where outputs go. Only the folders above them exist, as on KFP."""
        outputs = spec.ExecutorInput.Outputs(output_file=str(scratch / "kfp_outputs.json"))
        base = f"{self.run_id}/{self.name}/{uuid.uuid4()}"
        for name, artifact in self.component.output_definitions.artifacts.items():
            made = outputs.artifacts[name].artifacts.add(uri=f"{STORE}/{base}/{name}", name=name)
            made.type.CopyFrom(artifact.artifact_type)
            self._path(made.uri).parent.mkdir(parents=True, exist_ok=True)
        for name in self.component.output_definitions.parameters:
            file = scratch / "outputs" / name
            file.parent.mkdir(exist_ok=True)
            outputs.parameters[name].output_file = str(file)
        return outputs

    def _path(self, uri: str) -> Path:
        return self.folder / "minio" / uri.removeprefix("minio://")

    def _command(self, outputs: Any, environment: Mapping[str, str]) -> list[str]:
        values = driver.with_defaults(self.inputs, self.component)
        executor_input = spec.ExecutorInput(outputs=outputs)
        json_format.ParseDict({"parameterValues": values}, executor_input.inputs)
        replacements = {f"{{{{$.inputs.parameters['{k}']}}}}": v for k, v in values.items()}
        for name, artifacts in outputs.artifacts.items():
            (artifact,) = artifacts.artifacts
            replacements[f"{{{{$.outputs.artifacts['{name}'].uri}}}}"] = artifact.uri
            path = str(self._path(artifact.uri))
            replacements[f"{{{{$.outputs.artifacts['{name}'].path}}}}"] = path
        for name, parameter in outputs.parameters.items():
            key = f"{{{{$.outputs.parameters['{name}'].output_file}}}}"
            replacements[key] = parameter.output_file
        whole = json.dumps(json_format.MessageToDict(executor_input))
        words = (*self.container.command, *self.container.args)
        expanded = [_expanded(word, environment) for word in words]
        filled = [_filled(self.name, word, {"{{$}}": whole, **replacements}) for word in expanded]
        return [sys.executable if filled[0] == "python" else filled[0], *filled[1:]]

    def _process(
        self,
        command: list[str],
        environment: Mapping[str, str],
        scratch: Path,
        number: int,
        disturb: Disturbance | None,
    ) -> int:
        limit = self.kubernetes.config.active_deadline_seconds
        work = scratch / "work"
        work.mkdir()
        with (scratch / "log").open("wb") as log, ThreadPoolExecutor(1) as pool:
            process = subprocess.Popen(
                command,
                cwd=work,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                if disturb is not None:
                    path = scratch / "log"
                    disturbed = pool.submit(disturb, self.name, number, process.pid, path)
                    process.wait(limit or TIMEOUT)
                    disturbed.result()
                return process.wait(limit or TIMEOUT)
            except subprocess.TimeoutExpired:
                if not limit:
                    raise
                return -signal.SIGKILL
            finally:
                _end(process)

    def _collected(self, outputs: Any) -> tuple[dict[str, Any], dict[str, Artifact]]:
        said = spec.ExecutorOutput()
        file = Path(outputs.output_file)
        if file.exists():
            json_format.Parse(file.read_text(encoding="utf-8"), said)
        for name in (*said.artifacts, *said.parameter_values):
            if name not in outputs.artifacts and name not in outputs.parameters:
                raise SpecError(f"{self.name}: {file} names {name}, which is no output.")
        parameters: dict[str, Any] = json_format.MessageToDict(said).get("parameterValues", {})
        for name, output in outputs.parameters.items():
            if name not in parameters:
                kind = self.component.output_definitions.parameters[name].parameter_type
                parameters[name] = driver.parsed(Path(output.output_file).read_text(), kind)
        artifacts = {}
        for name, made in outputs.artifacts.items():
            (artifact,) = made.artifacts
            metadata = {}
            if name in said.artifacts:
                (update,) = said.artifacts[name].artifacts
                metadata = json_format.MessageToDict(update.metadata)
            path = self._path(artifact.uri)
            artifacts[name] = Artifact(path, artifact.type.schema_title, metadata)
        return parameters, artifacts


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends what is left of a try: a container takes all its processes with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _expanded(word: str, environment: Mapping[str, str]) -> str:
    """$(NAME) and $$, as kubelet expands them in command and arguments."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return environment.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", value, word)


def _filled(task: str, word: str, replacements: Mapping[str, Any]) -> str:
    # In one pass, so that what looks like a placeholder within a value stays what it is.
    pattern = "|".join(map(re.escape, replacements))
    left = re.sub(pattern, "", word)
    if "{{$" in left:
        raise SpecError(f"{task}: the launcher knows no value for {left!r}.")
    return re.sub(pattern, lambda match: driver.text(replacements[match[0]]), word)
