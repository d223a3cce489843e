"""Tests of the backend that executes compiled pipelines, on small ones made by kfp's SDK."""

# kfp reads annotations as types: no `from __future__ import annotations` here.

import datetime
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl, kubernetes

from tests.kubeflow.backend import FAILED, SKIPPED, SUCCEEDED, Backend, Run, SpecError
from tests.kubeflow.backend_launcher import Cluster

SAY = """
import json, os, sys
open(sys.argv[1], "w").write(json.dumps([sys.argv[2:], dict(os.environ)]))
"""
FAIL_ONCE = """
import pathlib, sys
flag = pathlib.Path(sys.argv[1])
print("try", 2 if flag.exists() else 1)
if not flag.exists():
    flag.touch()
    sys.exit(3)
"""
REPORT = """
import json, pathlib, sys
given = json.loads(sys.argv[1])
pathlib.Path(sys.argv[2]).write_text("<p>well</p>")
said = {"artifacts": {"numbers": {"artifacts": [{"metadata": {"auc": 0.75}}]}}}
pathlib.Path(given["outputs"]["outputFile"]).write_text(json.dumps(said))
print(sorted(given["outputs"]["artifacts"]), given["inputs"]["parameterValues"])
"""


@dsl.container_component
def say(said: dsl.OutputPath(str), text: str, number: int = 7, flag: bool = False):  # type: ignore[valid-type]
    return dsl.ContainerSpec(
        image="image",
        command=["python", "-c", SAY, said],
        args=[text, number, flag, "$(HOME_OF)$$"],
    )


@dsl.container_component
def shell(script: str):
    return dsl.ContainerSpec(image="image", command=["sh", "-c"], args=[script])


@dsl.container_component
def fail_once(flag: str):
    return dsl.ContainerSpec(image="image", command=["python", "-c", FAIL_ONCE], args=[flag])


@dsl.container_component
def report(run_id: str, page: dsl.Output[dsl.HTML], numbers: dsl.Output[dsl.Metrics]):
    return dsl.ContainerSpec(
        image="image", command=["python", "-c", REPORT], args=["{{$}}", page.path]
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Compiles a pipeline into a file."""

    def make(function: Any) -> Path:
        path = tmp_path / "pipeline.yaml"
        compiler.Compiler().compile(dsl.pipeline(name="small")(function), str(path))
        return path

    return make


@pytest.fixture
def execute(tmp_path: Path, write: Callable[[Any], Path]) -> Callable[..., Run]:
    """Compiles a pipeline and runs it."""

    def run(function: Any, cluster: Cluster | None = None, width: int = 1, **given: Any) -> Run:
        disturb = given.pop("disturb", None)
        scheduled = given.pop("scheduled", None)
        backend = Backend(tmp_path / "backend", cluster, width)
        return backend.run(write(function), given, scheduled=scheduled, disturb=disturb)

    return run


def plain(task: Any) -> Any:
    """A task without KFP's cache."""
    return task.set_caching_options(False)


def said(run: Run, task: str) -> Any:
    """Arguments and environment that the component `say` found."""
    return json.loads(run.tasks[task].attempts[-1].parameters["said"])


def test_parameters_placeholders_and_constants(execute: Callable[..., Run]):
    def pipeline(text: str = "none", number: int = 3):
        plain(say(text=text, number=number, flag=True)).set_env_variable("HOME_OF", "here")
        for name in ("JOB_ID", "JOB_NAME", "TASK_NAME", "JOB_SCHEDULE_TIME_UTC"):
            plain(say(text=getattr(dsl, f"PIPELINE_{name}_PLACEHOLDER")))

    due = datetime.datetime(2026, 1, 9, 13, tzinfo=datetime.UTC)
    run = execute(pipeline, text='a "b" {{$}}', scheduled=due)
    assert run.state == SUCCEEDED, run
    assert said(run, "say")[0] == ['a "b" {{$}}', "3", "true", "here$"]
    assert said(run, "say-2")[0] == [run.run_id, "7", "false", "$(HOME_OF)$"]
    assert said(run, "say-3")[0][0].startswith("small 20")
    assert said(run, "say-4")[0][0] == "say-4"
    assert said(run, "say-5")[0][0] == "2026-01-09T13:00:00Z"


def test_what_a_task_says_is_given_to_the_next(execute: Callable[..., Run]):
    def pipeline():
        first = plain(say(text="first"))
        plain(say(text=first.outputs["said"]))

    run = execute(pipeline)
    assert json.loads(said(run, "say-2")[0][0])[0][0] == "first"
    assert list(run.tasks) == ["say", "say-2"]


def test_only_the_environment_of_the_pod(
    execute: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BABELRANK_METADATA", "of the machine")

    def pipeline():
        task = plain(say(text="x")).set_env_variable("OF_THE_STEP", "1")
        kubernetes.use_secret_as_env(task, "db", {"password": "PASSWORD"})
        kubernetes.use_field_path_as_env(task, "POD", "metadata.name")
        kubernetes.mount_pvc(task, "claim", str(tmp_path))

    cluster = Cluster({"db/password": "secret"}, {"claim": tmp_path}, {"OF_THE_IMAGE": "2"})
    found = said(execute(pipeline, cluster), "say")[1]
    assert (found["OF_THE_STEP"], found["OF_THE_IMAGE"], found["PASSWORD"]) == ("1", "2", "secret")
    assert found["POD"] == "say-pod"
    assert "BABELRANK_METADATA" not in found

    with pytest.raises(SpecError, match="there is no secret db/password"):
        execute(pipeline, Cluster({}, {"claim": tmp_path}))
    with pytest.raises(SpecError, match=r"mounts claim at .*; here is None"):
        execute(pipeline, Cluster({"db/password": "secret"}))


def test_an_exit_task_runs_after_a_failure(execute: Callable[..., Run]):
    def pipeline():
        last = plain(report(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER))
        with dsl.ExitHandler(last):
            first = plain(shell(script="echo so far; exit 3"))
            plain(shell(script="true")).after(first)

    run = execute(pipeline)
    assert run.state == FAILED
    states = [(name, task.state) for name, task in run.tasks.items()]
    assert states[:2] == [("shell", FAILED), ("shell-2", SKIPPED)]
    assert states[2:] == [("exit-handler-1", FAILED), ("report", SUCCEEDED)]
    assert run.tasks["shell"].attempts[0].code == 3
    assert "so far" in str(run)
    (attempt,) = run.tasks["report"].attempts
    assert attempt.artifacts["page"].path.read_text() == "<p>well</p>"
    assert attempt.artifacts["page"].kind == "system.HTML"
    assert attempt.artifacts["numbers"].metadata == {"auc": 0.75}
    log = run.tasks["report"].log
    assert "['numbers', 'page']" in log and run.run_id in log


def test_retries(execute: Callable[..., Run], tmp_path: Path):
    def pipeline():
        plain(fail_once(flag=str(tmp_path / "flag"))).set_retry(2, backoff_duration="30s")
        plain(shell(script="exit 4")).set_retry(1)

    run = execute(pipeline)
    assert [attempt.code for attempt in run.tasks["fail-once"].attempts] == [3, 0]
    assert run.tasks["fail-once"].log == "try 2\n"
    assert [attempt.code for attempt in run.tasks["shell"].attempts] == [4, 4]
    assert run.state == FAILED


def test_a_disturbed_task_is_tried_again(execute: Callable[..., Run], tmp_path: Path):
    def pipeline():
        child = f"test -e {tmp_path}/flag && exit; touch {tmp_path}/flag; sleep 600 & wait"
        plain(shell(script=child)).set_retry(1)

    def kill(task: str, number: int, group: int, log: Path) -> None:
        while number == 0 and not (tmp_path / "flag").exists():
            time.sleep(0.01)
        if number == 0:
            os.killpg(group, signal.SIGKILL)

    run = execute(pipeline, disturb=kill)
    assert run.state == SUCCEEDED
    assert [attempt.code for attempt in run.tasks["shell"].attempts] == [-signal.SIGKILL, 0]


def test_tasks_that_need_nothing_run_at_the_same_time(execute: Callable[..., Run], tmp_path: Path):
    def pipeline():
        for mine, other in ("ab", "ba"):
            wait = f"touch {tmp_path}/{mine}; until test -e {tmp_path}/{other}; do sleep 0.05; done"
            kubernetes.set_timeout(plain(shell(script=wait)), 60)

    assert execute(pipeline, width=2).state == SUCCEEDED


def test_a_step_that_takes_too_long(execute: Callable[..., Run]):
    def pipeline():
        kubernetes.set_timeout(plain(shell(script="sleep 600")), 1)

    run = execute(pipeline)
    assert run.tasks["shell"].attempts[0].code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"spam": 1}, r"no parameter spam; takes \['number', 'text'\]"),
        ({}, "parameter text: neither a value nor a default"),
        ({"text": "a", "number": "3"}, "number: got '3'; takes NUMBER_INTEGER"),
        ({"text": "a", "number": True}, "number: got True; takes NUMBER_INTEGER"),
    ],
)
def test_parameters_that_are_refused(
    execute: Callable[..., Run], given: dict[str, Any], message: str
):
    def pipeline(text: str, number: int = 3):
        plain(say(text=text, number=number))

    with pytest.raises(SpecError, match=message):
        execute(pipeline, **given)


def test_a_constant_within_a_longer_text(execute: Callable[..., Run]):
    def pipeline():
        plain(shell(script=f"echo {dsl.PIPELINE_JOB_ID_PLACEHOLDER}"))

    with pytest.raises(SpecError, match="the driver replaces nothing within"):
        execute(pipeline)


@pytest.mark.parametrize("unknown", ["{{$.pipeline_job_uuid}}", "{{$.outputs.output_file}}"])
def test_placeholders_that_the_launcher_does_not_know(execute: Callable[..., Run], unknown: str):
    @dsl.container_component
    def wrong():
        return dsl.ContainerSpec(image="image", command=["echo", unknown])

    def pipeline():
        plain(wrong())

    with pytest.raises(SpecError, match="wrong: the launcher knows no value for"):
        execute(pipeline)


def test_an_optional_secret(execute: Callable[..., Run], write: Callable[[Any], Path]):
    def pipeline():
        kubernetes.use_secret_as_env(plain(say(text="x")), "hook", {"url": "URL"})

    with pytest.raises(SpecError, match="there is no secret hook/url"):
        execute(pipeline)
    file = write(pipeline)
    documents = list(yaml.safe_load_all(file.read_text()))
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["exec-say"]["secretAsEnv"][0]["optional"] = True
    file.write_text(yaml.safe_dump_all(documents))
    run = Backend(file.parent / "optional").run(file)
    assert "URL" not in said(run, "say")[1]


def _set(spec: Any, path: str, value: Any) -> None:
    *folders, last = path.split("/")
    for name in folders:
        spec = spec[name]
    spec[last] = value


@pytest.mark.parametrize(
    ("document", "path", "value", "message"),
    [
        (0, "schemaVersion", "2.0.0", "schemaVersion: got '2.0.0'; takes 2.1.0"),
        (0, "spam", 1, 'PipelineSpec: .*"spam"'),
        (0, "root/dag/outputs", {"parameters": {"x": {}}}, "DagSpec.outputs: not known"),
        (0, "root/dag/tasks/shell/cachingOptions/enableCache", True, "enable_cache: not known"),
        (0, "root/dag/tasks/shell/dependentTasks", ["spam"], "no task spam to wait for"),
        (0, "root/dag/tasks/shell/componentRef/name", "spam", "no component 'spam'"),
        (0, "root/dag/tasks/shell/taskInfo", {}, "taskInfo.name is missing"),
        (0, "root/dag/tasks/shell/inputs", {}, "no value for script"),
        (0, "components/comp-shell/executorLabel", "spam", "there is no executor spam"),
        (0, "pipelineInfo/name", "Small_one", "pipelineInfo.name: got 'Small_one'; Argo takes"),
        (0, "deploymentSpec/executors/exec-shell/container/image", "", "without image or command"),
        (1, "platforms/spam", {}, "takes kubernetes and nothing else"),
        (1, "platforms/kubernetes/deploymentSpec/executors/spam", {}, "spam is no executor"),
        (
            *(1, "platforms/kubernetes/deploymentSpec/executors/exec-shell/securityContext"),
            *({"privileged": True}, "exec-shell.securityContext: privileged: True is not known"),
        ),
        (
            *(1, "platforms/kubernetes/deploymentSpec/executors/exec-shell/imagePullPolicy"),
            *("Often", "exec-shell: imagePullPolicy is none of"),
        ),
        (
            *(1, "platforms/kubernetes/deploymentSpec/executors/exec-shell/emptyDirMounts"),
            *([{"volumeName": "x", "mountPath": "/x"}], "empty_dir_mounts: not known"),
        ),
    ],
)
def test_what_is_refused(
    write: Callable[[Any], Path], tmp_path: Path, document: int, path: str, value: Any, message: str
):
    def pipeline():
        kubernetes.set_image_pull_policy(plain(shell(script="true")), "Never")

    file = write(pipeline)
    backend = Backend(tmp_path / "backend")
    assert backend.run(file).state == SUCCEEDED
    documents = list(yaml.safe_load_all(file.read_text()))
    _set(documents[document], path, value)
    file.write_text(yaml.safe_dump_all(documents))
    with pytest.raises(SpecError, match=message):
        backend.run(file)
