"""Pushed versions in a folder that TensorFlow Serving watches: which is served, and when."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from tensorflow_serving.apis import prediction_service_pb2_grpc

from babelrank.components.serving.versions import LEDGER, Ledger, all_versions, push, remove
from tests.contract.asking import SECONDS, get, post, request_for
from tests.contract.model_server import ModelServer
from tests.contract.status import StatusError

SERVING = Path(__file__).parents[2] / "k8s/components/serving"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "serving"


@pytest.fixture
def server(models: list[Path], base: Path) -> Iterator[ModelServer]:
    """A server of the first model."""
    push(models[0], base)
    with ModelServer("numbers", base) as running:
        yield running


def states(server: ModelServer) -> list[str]:
    """The states of all versions that were seen, the newest first."""
    code, answer = get(server, "numbers")
    assert code == 200
    return [one["state"] for one in answer["model_version_status"]]


def answer(server: ModelServer) -> int:
    [number] = post(server, instances=["a"])["predictions"]
    assert isinstance(number, int)
    return number


def test_a_push_takes_the_place_of_the_version_before(
    server: ModelServer, models: list[Path], base: Path
) -> None:
    assert answer(server) == 0
    version, _ = push(models[1], base)
    assert answer(server) == 0  # not looked yet
    server.poll()
    assert (answer(server), states(server)) == (1, ["AVAILABLE", "END"])
    assert server.versions.available() == [int(version.name)]


def test_what_else_lies_there_is_no_version(
    server: ModelServer, models: list[Path], base: Path
) -> None:
    newest = server.versions.available()
    Ledger().save(base)
    shutil.copytree(models[1], base / f".pushing-{newest[0] + 9}-77")
    shutil.copytree(models[1], base / f".{LEDGER}-12")
    server.poll()
    assert (answer(server), states(server)) == (0, ["AVAILABLE"])
    # What the double calls a version is what the rest of BabelRank does.
    assert [int(one.name) for one in all_versions(base)] == newest


def test_a_version_that_cannot_be_loaded_leaves_the_one_before(
    server: ModelServer, models: list[Path], base: Path
) -> None:
    version, _ = push(models[1], base)
    (version / "saved_model.pb").write_bytes(b"\xff")
    server.poll()
    assert (answer(server), states(server)) == (0, ["END", "AVAILABLE"])
    code, status = get(server, f"numbers/versions/{version.name}")
    assert code == 200
    assert status["model_version_status"][0]["status"]["error_code"] != "OK"
    assert get(server, f"numbers/versions/{version.name}:predict", b'{"inputs": ["a"]}')[0] == 404
    push(models[2], base)
    server.poll()
    assert (answer(server), states(server)) == (2, ["AVAILABLE", "END", "END"])


def test_a_removed_version_changes_nothing(
    server: ModelServer, models: list[Path], base: Path
) -> None:
    push(models[1], base)
    server.poll()
    remove(base, all_versions(base)[0])
    server.poll()
    assert (answer(server), states(server)) == (1, ["AVAILABLE", "END"])


def test_a_folder_that_is_away_for_a_while(server: ModelServer, base: Path) -> None:
    away = base.rename(base.with_name("away"))
    with pytest.raises(StatusError, match="Could not find base path"):
        server.poll()
    assert answer(server) == 0
    away.rename(base)
    server.poll()
    assert (answer(server), states(server)) == (0, ["AVAILABLE"])


def test_no_port_before_the_first_version(base: Path) -> None:
    base.mkdir()
    with pytest.raises(StatusError, match="no version of numbers"):
        ModelServer("numbers", base)


class Clients:
    """Threads that ask without a pause, half of them by REST; what they were answered."""

    def __init__(self, server: ModelServer, count: int) -> None:
        self.answers: Counter[int] = Counter()
        self.failures: list[BaseException] = []
        self._server, self._stop, self._lock = server, threading.Event(), threading.Lock()
        kinds = [self._rest, self._grpc]
        self._threads = [
            threading.Thread(target=self._run, args=(kinds[number % 2],)) for number in range(count)
        ]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, number: int) -> None:
        """Returns once that answer came."""
        end = time.monotonic() + SECONDS
        while not self.answers[number] and not self.failures:
            assert time.monotonic() < end, f"no answer {number}: {self.answers}"
            time.sleep(0.01)

    def _run(self, ask: Any) -> None:
        try:
            ask()
        except BaseException as error:
            self.failures.append(error)

    def _rest(self) -> None:
        while not self._stop.is_set():
            self._count(answer(self._server))

    def _grpc(self) -> None:
        request = request_for("numbers", "", text=["a"])
        with grpc.insecure_channel(self._server.target) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not self._stop.is_set():
                response = stub.Predict(request, timeout=SECONDS)
                self._count(response.outputs["number"].int64_val[0])

    def _count(self, number: int) -> None:
        with self._lock:
            self.answers[number] += 1


def test_no_request_is_lost_while_versions_change(models: list[Path], base: Path) -> None:
    push(models[0], base)
    with ModelServer("numbers", base, poll_seconds=0.05) as server, Clients(server, 4) as clients:
        for number in range(4):
            if number:
                push(models[number], base)
            clients.wait_for(number)
    assert not clients.failures
    assert set(clients.answers) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["ranking", "translation"])
def test_manifests(name: str, models: list[Path], tmp_path: Path) -> None:
    """The command line of our manifests, with the volume and the monitoring file in place."""
    documents = list(yaml.safe_load_all((SERVING / f"{name}.yaml").read_text()))
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    kustomization = yaml.safe_load((SERVING / "kustomization.yaml").read_text())
    [literal] = kustomization["configMapGenerator"][0]["literals"]
    file, text = literal.split("=", 1)
    for mount in container["volumeMounts"]:
        (tmp_path / mount["mountPath"].lstrip("/")).mkdir(parents=True)
    (tmp_path / "etc/monitoring" / file).write_text(text)
    push(models[0], tmp_path / "mnt/babelrank" / name / "serving")
    probe = container["readinessProbe"]["httpGet"]
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    with ModelServer.of_flags(container["args"], tmp_path) as server:
        with urllib.request.urlopen(server.url + probe["path"], timeout=SECONDS) as ready:
            assert ready.status == 200
        metrics = server.url + annotations["prometheus.io/path"]
        with urllib.request.urlopen(metrics, timeout=SECONDS) as found:
            assert found.headers["Content-Type"] == "text/plain"
        assert post(server, instances=["a"]) == {"predictions": [0]}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "grpc": 8500,
        "http": 8501,
    }
    assert {"--port=8500", "--rest_api_port=8501"} <= set(container["args"])
