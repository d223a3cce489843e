"""Tests of how Kubeflow Pipelines is reached and asked, against a double of its API."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.pipelines.kubeflow import client as module
from babelrank.pipelines.kubeflow.client import Client
from babelrank.pipelines.kubeflow.connection import IN_CLUSTER, Connection, connection
from babelrank.pipelines.kubeflow.records import Version, Wanted
from babelrank.pipelines.kubeflow.refusal import RefusedError, UnreachableError
from tests.kubeflow.api import Api, serving

SPEC = """
pipelineInfo: {name: p}
root: {inputDefinitions: {parameters: {span: {parameterType: NUMBER_INTEGER}}}}
"""


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as found:
        yield found


def client(api: Api, **given: object) -> Client:
    return Client(Connection(endpoint=api.endpoint, **given))  # type: ignore[arg-type]


def wanted(kfp: Client, name: str = "r") -> Wanted:
    version = kfp.upload("p", "p-1", SPEC)
    return Wanted(
        name=name, version=version, experiment=kfp.experiment("e"), parameters={"span": 7}
    )


def test_options_come_before_the_environment():
    environment = {
        "BABELRANK_KFP_ENDPOINT": "http://env",
        "BABELRANK_KFP_NAMESPACE": "of-env",
        "BABELRANK_KFP_TOKEN": " secret\n",
    }
    found = connection(environment=environment)
    assert (found.endpoint, found.namespace, found.token) == ("http://env", "of-env", "secret")
    assert "secret" not in repr(found)
    found = connection(endpoint="https://kfp/pipeline/#/runs", ui="http://ui/", environment={})
    assert (found.endpoint, found.namespace, found.token) == ("https://kfp/pipeline", None, None)
    assert found.run_link("7") == "http://ui/#/runs/details/7"


def test_a_token_file_comes_before_the_token_of_the_environment(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("x")
    environment = {"BABELRANK_KFP_ENDPOINT": "http://env", "BABELRANK_KFP_TOKEN": "y"}
    found = connection(token_file=file, environment=environment)
    assert (found.token, found.token_file) == (None, file)


def test_a_pod_needs_nothing(tmp_path: Path):
    for name, text in (
        ("kubernetes.io/serviceaccount/namespace", "team\n"),
        ("kubeflow/pipelines/token", "t"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    found = connection(environment={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, secrets=tmp_path)
    assert (found.endpoint, found.namespace) == (IN_CLUSTER, "team")
    assert found.token_file == tmp_path / "kubeflow/pipelines/token"
    outside = connection(endpoint="http://h", environment={}, secrets=tmp_path)
    assert (outside.namespace, outside.token_file) == (None, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "--endpoint: missing, and BABELRANK_KFP_ENDPOINT is not set; takes the address"),
        ({"endpoint": "localhost:80"}, "--endpoint: got localhost:80; takes an address with http"),
        ({"endpoint": "http://h", "ui": "h"}, "--ui: got h; takes"),
        ({"endpoint": "http://h", "token_file": Path("/no")}, "--token-file: there is no file /no"),
        ({"endpoint": "http://h", "ca_file": Path("/no")}, "--ca-file: there is no file /no"),
    ],
)
def test_a_wrong_connection(given: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        connection(environment={}, **given)  # type: ignore[arg-type]


def test_the_first_request_asks_for_health_and_no_more(api: Api):
    client(api)
    assert api.requests == ["GET /apis/v2beta1/healthz"]


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="does not answer: .*refused. Check --endpoint"):
            Client(Connection(endpoint=endpoint))


def test_an_answer_that_does_not_come(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "READ_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="does not answer: Read timed out"):
            Client(Connection(endpoint=endpoint))


def test_without_a_token(api: Api):
    api.token = "right"
    with pytest.raises(RefusedError, match="does not know who asks .401: Unauthenticated.*--token"):
        client(api)
    with pytest.raises(RefusedError, match="does not accept the token; it may have ended .401"):
        client(api, token="wrong")
    assert list(client(api, token="right").runs()) == []


def test_a_token_file_is_read_anew(api: Api, tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("first\n")
    api.token = "first"
    kfp = client(api, token_file=file)
    file.write_text("second\n")
    api.token = "second"
    assert list(kfp.runs()) == []


def test_several_users(api: Api):
    api.multi_user = True
    with pytest.raises(ConfigError, match="--namespace: missing.*has several users"):
        client(api)
    kfp = client(api, namespace="team")
    kfp.start(wanted(kfp))
    assert [one["namespace"] for one in (*api.experiments, *api.pipelines)] == ["team", "team"]
    assert kfp.recurring("r") == []
    assert len(list(kfp.runs())) == 1
    with pytest.raises(RefusedError, match="no permission for namespace other .403.*kubeflow-edit"):
        list(client(api, namespace="other").runs())


def test_a_namespace_is_nothing_where_there_is_one_user(api: Api):
    kfp = client(api, namespace="kubeflow")
    assert list(kfp.runs()) == []


def test_a_login_page_is_no_answer(api: Api):
    api.faults = [(200, "text/html; charset=utf-8", "<html>Log in</html>")]
    with pytest.raises(RefusedError, match="answered with text/html.*login page.*--token-file"):
        client(api)


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (503, "no healthy upstream", UnreachableError, "is not well .503: Service Unavailable"),
        (409, '{"message": "a\\nb"}', RefusedError, r"refused .409.: a b"),
        (404, "null", RefusedError, r"refused .404.: Not Found"),
    ],
)
def test_other_refusals(api: Api, status: int, body: str, kind: type[BabelRankError], message: str):
    kfp = client(api)
    api.faults = [(status, "application/json", body)]
    with pytest.raises(kind, match=message):
        kfp.run("x")


def test_a_certificate_of_our_own(api: Api, tmp_path: Path):
    if shutil.which("openssl") is None:
        pytest.fail("openssl is needed")
    pem, key = tmp_path / "ca.pem", tmp_path / "ca.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(key), "-out", str(pem), "-days", "2", "-subj", "/CN=test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    api.socket = context.wrap_socket(api.socket, server_side=True)
    endpoint = api.endpoint.replace("http:", "https:")
    with pytest.raises(RefusedError, match="cannot be trusted: .*--ca-file"):
        Client(Connection(endpoint=endpoint))
    assert list(Client(Connection(endpoint=endpoint, ca_file=pem)).runs()) == []


def test_the_same_version_is_uploaded_once(api: Api):
    kfp = client(api)
    assert kfp.upload("p", "p-1", SPEC) == Version("pipeline-1", "version-2", "p-1", new=True)
    assert kfp.upload("p", "p-1", SPEC) == Version("pipeline-1", "version-2", "p-1", new=False)
    assert kfp.upload("p", "p-2", SPEC) == Version("pipeline-1", "version-3", "p-2", new=True)
    assert len(api.made("POST")) == 3
    assert api.versions[0]["spec"]["pipelineInfo"] == {"name": "p"}


def test_an_experiment_is_made_once(api: Api):
    kfp = client(api)
    assert kfp.find_experiment("e") is None
    assert kfp.experiment("e") == kfp.experiment("e") == kfp.find_experiment("e")
    api.experiments[0]["storage_state"] = "ARCHIVED"
    with pytest.raises(RefusedError, match="experiment e: is archived.*--experiment"):
        kfp.experiment("e")
    assert kfp.find_experiment("e") == "experiment-1"  # its runs can still be listed


def test_a_run(api: Api):
    kfp = client(api)
    run = kfp.start(wanted(kfp))
    assert (run.name, run.state, run.finished, run.tasks) == ("r", "PENDING", None, ())
    assert (run.parameters, run.reads, run.ended) == ({"span": 7}, "span 7", False)
    assert "service_account" not in api.runs[0]
    detail = {
        "task_id": "1",
        "display_name": "ingest",
        "state": "FAILED",
        "start_time": "2026-01-01T00:00:00Z",
        "end_time": "2026-01-01T00:01:30Z",
        "error": {"message": "out\nof memory"},
    }
    api.progress["r"] = [{"state": "FAILED", "run_details": {"task_details": [detail]}}]
    run = kfp.run(run.identity)
    (task,) = run.tasks
    assert (task.name, task.state, task.seconds) == ("ingest", "FAILED", 90.0)
    assert task.error == "out of memory"
    assert run.ended and run.finished is not None


@pytest.mark.parametrize(
    ("parameters", "reads"),
    [
        ({}, "newest"),
        ({"span": -1, "scheduled": ""}, "newest"),
        ({"span": 0}, "span 0"),
        ({"span": -1, "scheduled": "20260102030405"}, "scheduled 2026-01-02 03:04"),
        ({"scheduled": "[[ScheduledTime]]"}, "newest"),
        ({"span": "monday"}, "newest"),  # of somebody else's pipeline
    ],
)
def test_what_a_run_reads(api: Api, parameters: dict[str, object], reads: str):
    kfp = client(api)
    made = api.add_run(display_name="r", runtime_config={"parameters": parameters})
    assert kfp.run(made["run_id"]).reads == reads


def test_runs_come_page_after_page_the_newest_first(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_PAGE", 2)
    kfp = client(api)
    for number in range(5):
        api.add_run(display_name="even" if number % 2 == 0 else "odd", experiment_id="e")
    assert [run.identity for run in kfp.runs()] == [f"run-{n}" for n in (5, 4, 3, 2, 1)]
    assert [run.identity for run in kfp.runs(name="even")] == ["run-5", "run-3", "run-1"]
    assert list(kfp.runs(experiment="none")) == []
    asked = len(api.requests)
    assert len(list(itertools.islice(kfp.runs(), 2))) == 2
    assert len(api.requests) == asked + 1


def test_kfps_own_client_asks_for_the_same(api: Api, monkeypatch: pytest.MonkeyPatch):
    import kfp

    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", "/nowhere/context.json")
    ours, theirs = client(api), kfp.Client(host=api.endpoint)
    asked = dataclasses.replace(wanted(ours), service_account="me", description="why")
    place = {
        "experiment_id": theirs.get_experiment(experiment_name="e").experiment_id,
        "pipeline_id": theirs.get_pipeline_id("p"),
    }
    versions = theirs.list_pipeline_versions(place["pipeline_id"]).pipeline_versions
    place["version_id"] = versions[0].pipeline_version_id
    named = {"job_name": "r", "params": {"span": 7}, "service_account": "me"}
    ours.start(dataclasses.replace(asked, description=None))
    theirs.run_pipeline(**place, **named)
    ours.create_recurring(asked, "0 0 3 * * *", no_catchup=True)
    theirs.create_recurring_run(
        **place,
        **named,
        description="why",
        cron_expression="0 0 3 * * *",
        max_concurrency=1,
        no_catchup=True,
        enabled=False,
    )
    ignored = {"run_id", "recurring_run_id", "created_at"}
    for first, second in (api.runs, api.recurring):
        same = [
            {key: str(value) for key, value in one.items() if key not in ignored}
            for one in (first, second)
        ]
        assert same[0] == same[1]
