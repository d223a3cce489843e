"""A Kubernetes API on 127.0.0.1 with Kubeflow's training operator, as strict as the real ones.

It knows what the TFJob executor needs: TFJobs, their pods, the pods' logs. What a pod's container
does is a function of the test. The operator does what version 1.9 of the real one does with
restartPolicy ExitCode and cleanPodPolicy Running.
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

NAMESPACE = "research"
_JOBS = re.compile(rf"/apis/kubeflow\.org/v1/namespaces/{NAMESPACE}/tfjobs(?:/([a-z0-9-]+))?")
_PODS = re.compile(rf"/api/v1/namespaces/{NAMESPACE}/pods(?:/([a-z0-9-]+)(/log)?)?")
_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_OFTEN = 0.02
_LINGER = 0.3  # seconds

POLICY = {
    "activeDeadlineSeconds": int,
    "backoffLimit": int,
    "cleanPodPolicy": ("All", "Running", "None"),
    "schedulingPolicy": dict,
    "suspend": bool,
    "ttlSecondsAfterFinished": int,
}
REPLICA = {
    "replicas": int,
    "restartPolicy": ("Always", "OnFailure", "Never", "ExitCode"),
    "template": dict,
}
SPEC = {
    "enableDynamicWorker": bool,
    "runPolicy": dict,
    "successPolicy": ("", "AllWorkers"),
    "tfReplicaSpecs": dict,
}
KINDS = ("Chief", "Evaluator", "Master", "PS", "Worker")


class Pod:
    """A pod; the test's function runs as its container.

    Attributes:
        name: Its name.
        uid: What only it is called.
        kind: worker, chief or ps.
        index: Number among its kind.
        command: Of the container.
        environment: Of the container, TF_CONFIG included.
        number: How many pods of this name there were before.
        terminated: Set by what SIGTERM is to a real one.
        exit_code: Set when the container has ended.
        lines: Its log: times and lines.
    """

    def __init__(self, job: Any, kind: str, index: int, number: int, config: dict[str, Any]):
        template = job["spec"]["tfReplicaSpecs"][kind]["template"]
        (container,) = template["spec"]["containers"]
        self.kind, self.index, self.number = kind.lower(), index, number
        self.name = f"{job['metadata']['name']}-{self.kind}-{index}"
        self.uid, self.job = str(uuid.uuid4()), job["metadata"]["uid"]
        self.command: list[str] = container["command"]
        self.environment = {one["name"]: one["value"] for one in container.get("env", ())}
        self.environment["TF_CONFIG"] = json.dumps({**config, "environment": "cloud"})
        master = self.kind == "chief" or ("chief" not in config["cluster"] and not index)
        self.labels = {
            **template["metadata"]["labels"],
            "training.kubeflow.org/job-name": job["metadata"]["name"],
            "training.kubeflow.org/replica-type": self.kind,
            "training.kubeflow.org/replica-index": str(index),
            **({"training.kubeflow.org/job-role": "master"} if master else {}),
        }
        self.lines: list[tuple[str, str]] = []
        self.terminated, self.gone = threading.Event(), threading.Event()
        self.exit_code: int | None = None
        self.ended = 0.0
        self.thread: threading.Thread | None = None

    def write(self, text: str, stamp: str | None = None) -> None:
        """Writes a line into the log."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        self.lines.append((stamp or f"{now}{next(_COUNTER) % 1000:03d}Z", text))

    def start(self, run: Callable[[Pod], int]) -> None:
        """Starts the container."""

        def container() -> None:
            code = run(self)
            self.ended = time.monotonic()
            self.exit_code = code

        self.thread = threading.Thread(target=container, daemon=True)
        self.thread.start()

    def described(self) -> dict[str, Any]:
        """The pod as the API describes it."""
        code = self.exit_code
        state: dict[str, Any] = {"running": {}}
        if code is not None:
            state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        status = {"name": "tensorflow", "image": "i", "imageID": "i", "ready": True}
        return {
            "metadata": {"name": self.name, "uid": self.uid, "labels": self.labels},
            "status": {
                "phase": "Running" if code is None else "Failed" if code else "Succeeded",
                "containerStatuses": [{**status, "restartCount": 0, "state": state}],
            },
        }


_COUNTER = itertools.count()


class TrainingOperator:
    """The API and the operator; within `with`, they run.

    Args:
        run: What the container of a pod does: takes the pod, returns the exit code.
        address: Gives the address that a pod named so gets in TF_CONFIG.

    Attributes:
        jobs: The TFJobs by name.
        pods: The pods by name.
        made: All pods that there ever were, in order.
        created: Names of the TFJobs that there ever were, in order.
        down: While set, the API answers 503.
        refused: Status by which requests for TFJobs are refused, if any.
        cut: Lines after which an answer with a log breaks off.
    """

    def __init__(
        self, run: Callable[[Pod], int], address: Callable[[str], str] = lambda name: f"{name}:2222"
    ) -> None:
        self.jobs: dict[str, Any] = {}
        self.pods: dict[str, Pod] = {}
        self.made: list[Pod] = []
        self.created: list[str] = []
        self.down = threading.Event()
        self.refused: int | None = None
        self.cut: int | None = None
        self._run, self._address = run, address
        self._addresses: dict[str, str] = {}
        self._over = threading.Event()
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def client(self) -> client.ApiClient:
        """A client of the API."""
        return client.ApiClient(client.Configuration(host=self.url))

    def write_kubeconfig(self, path: Path) -> None:
        """Writes the file by which others find the API."""
        context = {"cluster": "c", "user": "u", "namespace": NAMESPACE}
        settings = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": context}],
            "current-context": "x",
        }
        path.write_text(json.dumps(settings))

    def __enter__(self) -> TrainingOperator:
        for work in (self._server.serve_forever, self._reconcile):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for pod in self.made:
            pod.terminated.set()
        for pod in self.made:
            if pod.thread:
                pod.thread.join(30)
        self._server.shutdown()
        self._server.server_close()

    # The operator

    def _reconcile(self) -> None:
        while not self._over.wait(_OFTEN):
            with self._lock:
                for name, job in list(self.jobs.items()):
                    self._reconcile_job(name, job)

    def _reconcile_job(self, name: str, job: Any) -> None:
        mine = [pod for pod in self.pods.values() if pod.job == job["metadata"]["uid"]]
        if "deletionTimestamp" in job["metadata"]:
            if not mine:
                del self.jobs[name]
            for pod in mine:
                self._delete(pod)
            return
        if holds(job, "Succeeded") or holds(job, "Failed"):
            for pod in mine:
                if pod.exit_code is None:
                    self._delete(pod)
            return
        for kind, index in self._wanted(job):
            self._reconcile_pod(job, kind, index)

    def _reconcile_pod(self, job: Any, kind: str, index: int) -> None:
        pod = self.pods.get(f"{job['metadata']['name']}-{kind.lower()}-{index}")
        if pod is None:
            self._make(job, kind, index)
        elif pod.job != job["metadata"]["uid"] or pod.exit_code is None:
            pass  # of an older job, or busy
        elif pod.exit_code >= 128:
            self._delete(pod)
            condition(job, "Restarting", "a replica failed.")
        elif pod.exit_code:
            condition(job, "Failed", f'job is failing because "{kind}" replica(s) failed.')
        elif pod.labels.get("training.kubeflow.org/job-role"):
            condition(job, "Succeeded", "successfully completed.")

    def _wanted(self, job: Any) -> Iterator[tuple[str, int]]:
        for kind, replica in job["spec"]["tfReplicaSpecs"].items():
            for index in range(replica["replicas"]):
                yield kind, index

    def _make(self, job: Any, kind: str, index: int) -> None:
        cluster: dict[str, list[str]] = {}
        for other, number in self._wanted(job):
            name = f"{job['metadata']['name']}-{other.lower()}-{number}"
            address = self._addresses.setdefault(name, self._address(name))
            cluster.setdefault(other.lower(), []).append(address)
        name = f"{job['metadata']['name']}-{kind.lower()}-{index}"
        number = sum(one.name == name for one in self.made)
        config = {"cluster": cluster, "task": {"type": kind.lower(), "index": index}}
        pod = self.pods[name] = Pod(job, kind, index, number, config)
        self.made.append(pod)
        pod.start(self._run)

    def _delete(self, pod: Pod) -> None:
        """SIGTERM; the pod goes a little after its container has ended."""
        pod.terminated.set()
        if pod.exit_code is not None and time.monotonic() - pod.ended > _LINGER:
            self.pods.pop(pod.name)
            pod.gone.set()

    # The API

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and body of an answer."""
        if self.down.is_set():
            return 503, {"message": "down"}
        with self._lock:
            if match := _JOBS.fullmatch(path):
                if self.refused:
                    return self.refused, {"message": "refused"}
                if match[1]:
                    return self._job(method, match[1], query, body)
                if method == "POST":
                    return self._create(body)
                key, _, value = query["labelSelector"].partition("=")
                jobs = self.jobs.values()
                found = [j for j in jobs if j["metadata"]["labels"].get(key) == value]
                return 200, {"items": found}
            match = _PODS.fullmatch(path)
            if match and method == "GET" and not match[1]:
                key, _, value = query["labelSelector"].partition("=")
                pods = [p.described() for p in self.pods.values() if p.labels.get(key) == value]
                return 200, {"items": pods}
            if match and method == "GET" and match[1] in self.pods:
                return 200, self.pods[match[1]].described()
            return 404, {"message": f"{method} {path}: not found"}

    def _create(self, job: Any) -> tuple[int, Any]:
        wrong = list(violations(job))
        if wrong:
            return 422, {"message": "; ".join(wrong)}
        name = job["metadata"]["name"]
        if name in self.jobs:
            return 409, {"message": "AlreadyExists"}
        job["metadata"]["uid"] = str(uuid.uuid4())
        self.jobs[name] = job
        self.created.append(name)
        return 201, job

    def _job(self, method: str, name: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if name not in self.jobs:
            return 404, {"message": f"tfjobs {name} not found"}
        job = self.jobs[name]
        if method == "DELETE":
            if query.get("propagationPolicy") != "Foreground":
                return 422, {"message": "this double deletes in the foreground only"}
            job["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
        elif method == "PATCH":
            job["metadata"].update(body["metadata"])
        return 200, job

    def follow(self, name: str, query: dict[str, str]) -> Iterator[str]:
        """The lines of a pod's log, until it ends or the connection is to break."""
        pod = self.pods[name]
        since = query.get("sinceTime", "")[:19]  # the kubelet looks at whole seconds
        given = 0
        for number in itertools.count():
            while number >= len(pod.lines):
                ended = pod.exit_code is not None or pod.gone.is_set() or self._over.is_set()
                if ended and number >= len(pod.lines):
                    return
                time.sleep(_OFTEN / 2)
            stamp, text = pod.lines[number]
            if stamp[:19] >= since:
                yield f"{stamp} {text}\n"
                given += 1
                if given == self.cut:
                    raise ConnectionError

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        operator = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                split = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(split.query).items()}
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                log = _PODS.fullmatch(split.path)
                if log and log[2] and log[1] in operator.pods and not operator.down.is_set():
                    self._stream(operator.follow(log[1], query))
                    return
                body = json.loads(text) if text else None
                status, answer = operator.answer(self.command, split.path, query, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _stream(self, lines: Iterator[str]) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                try:
                    for line in lines:
                        data = line.encode()
                        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                    self.wfile.write(b"0\r\n\r\n")
                except ConnectionError:
                    self.close_connection = True  # in the middle of an answer

            def log_message(self, *_: object) -> None:
                pass

            do_GET = do_POST = do_PATCH = do_DELETE = _any

        return Handler


def holds(job: Any, kind: str) -> bool:
    """Whether a TFJob has a condition."""
    return any(one["type"] == kind for one in job.get("status", {}).get("conditions", ()))


def condition(job: Any, kind: str, message: str) -> None:
    """Gives a TFJob a condition."""
    if not holds(job, kind):
        one = {"type": kind, "status": "True", "reason": f"TFJob{kind}", "message": message}
        job.setdefault("status", {}).setdefault("conditions", []).append(one)


def violations(job: Any) -> Iterator[str]:
    """What the CRD, the operator's webhook and Kubernetes would not take, or would drop."""
    if set(job) != {"apiVersion", "kind", "metadata", "spec"}:
        yield f"fields: {sorted(job)}"
        return
    if (job["apiVersion"], job["kind"]) != ("kubeflow.org/v1", "TFJob"):
        yield "apiVersion and kind: take kubeflow.org/v1 and TFJob"
    if not _LABEL.fullmatch(job["metadata"].get("name", "")):
        yield f"metadata.name: {job['metadata'].get('name')} is no DNS-1035 label"
    yield from dropped(job["metadata"], "V1ObjectMeta", "metadata")
    yield from typed(job["spec"], SPEC, "spec")
    if "runPolicy" not in job["spec"]:
        yield "spec.runPolicy: missing"
    yield from typed(job["spec"].get("runPolicy", {}), POLICY, "spec.runPolicy")
    for kind, replica in job["spec"].get("tfReplicaSpecs", {}).items():
        where = f"spec.tfReplicaSpecs.{kind}"
        if kind not in KINDS:
            yield f"{where}: unknown"
        yield from typed(replica, REPLICA, where)
        yield from _pods(job["metadata"]["name"], kind, replica, where)


def _pods(job: str, kind: str, replica: Any, where: str) -> Iterator[str]:
    template = replica["template"]
    yield from dropped(template, "V1PodTemplateSpec", f"{where}.template")
    if not _LABEL.fullmatch(f"{job}-{kind.lower()}-{replica['replicas'] - 1}"):
        yield f"{where}: the name of a pod would be too long for a service"
    containers = template["spec"]["containers"]
    if not any(one["name"] == "tensorflow" for one in containers):
        yield f"{where}: no container is called tensorflow"
    if not all(one.get("image") for one in containers):
        yield f"{where}: a container without image"
    if "restartPolicy" in template["spec"]:
        yield f"{where}: restartPolicy in the template, where the operator overwrites it"


def typed(given: Any, fields: dict[str, Any], where: str) -> Iterator[str]:
    """Unknown fields, and values that are not of the type or not among the choices."""
    for name, value in given.items():
        takes = fields.get(name)
        if takes is None:
            yield f"{where}.{name}: unknown"
        elif isinstance(takes, tuple):
            if value not in takes:
                yield f"{where}.{name}: got {value}"
        elif type(value) is not takes:
            yield f"{where}.{name}: got {value!r}, takes {takes.__name__}"


def dropped(given: Any, model: str, where: str) -> Iterator[str]:
    """What is lost on the way through Kubernetes' own model of an object."""
    api = client.ApiClient()
    answer = type("Answer", (), {"data": json.dumps(given)})
    back = api.sanitize_for_serialization(api.deserialize(answer, model))
    if back != given:
        yield f"{where}: {json.dumps(given)} would become {json.dumps(back)}"
