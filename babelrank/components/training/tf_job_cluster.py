"""A TFJob and its pods in a Kubernetes cluster: made, looked at, deleted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from babelrank.components.errors import BabelRankError, DeviceError
from babelrank.components.training.tf_job import CONTAINER, FOLDER, JOB_LABEL, folder_label

T = TypeVar("T")
POD, UID = "BABELRANK_POD", "BABELRANK_POD_UID"
"""Environment variables with the name of this pod, and what only it is called."""
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_RESOURCE = {"group": "kubeflow.org", "version": "v1", "plural": "tfjobs"}
_ANSWER = (10, 30)  # seconds for a connection, and for the next bytes of an answer
_SILENCE = (10, 60)  # the same for a log
_BUSY = (408, 429)


class Unreachable(Exception):
    """The cluster did not answer, or not now; asking again may help."""


class Existing(Exception):
    """There is a TFJob of this name already."""


@dataclass(frozen=True)
class Pod:
    """A pod as the cluster describes it.

    Attributes:
        name: Its name; a pod that is started again has the same one.
        uid: What only this one is called.
        chief: Whether it writes the model.
        started: Whether its container runs or has run.
        exit_code: Of its container, if that has ended.
        state: What it is doing or waiting for, for people.
    """

    name: str
    uid: str
    chief: bool
    started: bool
    exit_code: int | None
    state: str


class Cluster:
    """TFJobs in one namespace.

    Args:
        api: The client.
        namespace: The namespace.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self.namespace = namespace
        self._jobs, self._core = client.CustomObjectsApi(api), client.CoreV1Api(api)
        self._api = api

    def job(self, name: str) -> dict[str, Any] | None:
        """A TFJob; None: there is none.

        Raises:
            Unreachable: No answer.
            BabelRankError: We may not ask.
        """
        return _or_none(lambda: self._call(self._jobs.get_namespaced_custom_object, name=name))

    def jobs(self, label: str) -> list[str]:
        """Names of the TFJobs that have a label, `key=value`.

        Raises:
            Unreachable: No answer.
            BabelRankError: We may not ask.
        """
        call = self._jobs.list_namespaced_custom_object
        found = _or_none(lambda: self._call(call, label_selector=label)) or {"items": []}
        return [job["metadata"]["name"] for job in found["items"]]

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Makes a TFJob.

        Raises:
            Existing: There is one of this name.
            Unreachable: No answer; it may be there now.
            DeviceError: The cluster has no training operator.
            BabelRankError: We may not, or the cluster does not take it.
        """
        try:
            self._call(self._jobs.create_namespaced_custom_object, body=dict(manifest))
        except _Missing as error:
            raise DeviceError(
                f"training.workers: the cluster knows no TFJob (kubeflow.org/v1), or has no "
                f"namespace {self.namespace}. Install Kubeflow's training operator, version 1, or "
                f"take workers: 1."
            ) from error

    def own(self, name: str, owner: Mapping[str, str]) -> None:
        """Makes a pod the only owner of a TFJob, which is deleted with it.

        Raises:
            Unreachable: No answer.
            BabelRankError: We may not.
        """
        body = {"metadata": {"ownerReferences": [dict(owner)]}}
        _or_none(
            lambda: self._call(self._jobs.patch_namespaced_custom_object, name=name, body=body)
        )

    def delete(self, name: str) -> None:
        """Deletes a TFJob, which goes when its pods are gone; they get SIGTERM first.

        Raises:
            Unreachable: No answer.
            BabelRankError: We may not.
        """
        call = self._jobs.delete_namespaced_custom_object
        _or_none(lambda: self._call(call, name=name, propagation_policy="Foreground"))

    def pods(self, job: str) -> list[Pod]:
        """The pods of a TFJob, in the order of their names.

        Raises:
            Unreachable: No answer.
            BabelRankError: We may not ask.
        """
        label = f"{JOB_LABEL}={job}"
        found = _asked(
            lambda: self._core.list_namespaced_pod(
                self.namespace, label_selector=label, _request_timeout=_ANSWER
            )
        )
        return sorted((_pod(one) for one in found.items), key=lambda pod: pod.name)

    def pod(self, name: str) -> Pod | None:
        """A pod; None: there is none.

        Raises:
            Unreachable: No answer.
            BabelRankError: We may not ask.
        """
        read = self._core.read_namespaced_pod
        found = _or_none(lambda: read(name, self.namespace, _request_timeout=_ANSWER))
        return None if found is None else _pod(found)

    def log(self, pod: str, since: str) -> Iterator[str]:
        """The lines of a pod's log, each with its time before it, until the pod or the answer ends.

        Args:
            pod: Name of the pod.
            since: The time from which on, as before a line; "": from the beginning.

        Raises:
            Unreachable: No answer, or none any more.
            BabelRankError: We may not ask.
        """
        query = [("container", CONTAINER), ("follow", "true"), ("timestamps", "true")]
        query += [("sinceTime", since)] if since else []
        # Not by `read_namespaced_pod_log`, which knows no sinceTime.
        answer = _or_none(
            lambda: self._api.call_api(
                "/api/v1/namespaces/{namespace}/pods/{name}/log",
                "GET",
                path_params={"namespace": self.namespace, "name": pod},
                query_params=query,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=_SILENCE,
            )
        )
        if answer is None:
            return
        try:
            for line in answer:
                yield line.decode("utf-8", "replace").rstrip("\r\n")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(str(error)) from error
        finally:
            answer.close()

    def _call(self, call: Callable[..., Any], **arguments: Any) -> Any:
        """Asks something of the TFJobs of the namespace."""
        fixed = {**_RESOURCE, "namespace": self.namespace, "_request_timeout": _ANSWER}
        return _asked(lambda: call(**fixed, **arguments))


def connect() -> Cluster:
    """The cluster that this pod is in, or else the one that the kubeconfig file names.

    Raises:
        DeviceError: There is neither.
    """
    settings = client.Configuration()
    try:
        try:
            config.load_incluster_config(settings)
            namespace = _NAMESPACE.read_text(encoding="utf-8").strip()
        except (config.ConfigException, OSError):
            config.load_kube_config(client_configuration=settings)
            _, active = config.list_kube_config_contexts()
            namespace = active["context"].get("namespace", "default")
    except config.ConfigException as error:
        raise DeviceError(
            f"training.workers: no Kubernetes cluster can be reached from here ({error}). Run the "
            f"step in a pod with a service account, or take workers: 1."
        ) from error
    return Cluster(client.ApiClient(settings), namespace)


def delete_all(folder: str) -> list[str]:
    """Deletes the TFJobs of the trainings in a folder; returns their names.

    Raises:
        Unreachable: No answer.
        BabelRankError: There is no cluster, or we may not.
    """
    cluster = connect()
    names = cluster.jobs(f"{FOLDER}={folder_label(folder)}")
    for name in names:
        cluster.delete(name)
    return names


def this_pod() -> dict[str, str] | None:
    """A reference to the pod that this process is in, if the environment tells it."""
    name, uid = os.environ.get(POD), os.environ.get(UID)
    if not (name and uid):
        return None
    return {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}


class _Missing(Exception):
    """There is no such thing in the cluster."""


def _asked(ask: Callable[[], T]) -> T:
    """What the cluster answers, with its errors as ours."""
    try:
        return ask()
    except ApiException as error:
        if error.status == 404:
            raise _Missing(str(error.body)) from error
        if error.status == 409:
            raise Existing from error
        if error.status in (401, *_BUSY) or not error.status or error.status >= 500:
            raise Unreachable(f"{error.status} {error.reason}") from error
        if error.status == 400 and "waiting to start" in str(error.body):
            raise Unreachable("the container is waiting to start") from error
        raise BabelRankError(
            f"training.workers: the cluster answered {error.status} {error.reason}: "
            f"{str(error.body)[:1000]}{_REMEDY if error.status == 403 else ''}"
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(str(error)) from error


_REMEDY = (
    "\nThe service account of the Trainer step needs the rights to get, list, create, patch and "
    "delete tfjobs (kubeflow.org), to get and list pods, and to get pods/log in its namespace; "
    "k8s/ has a Role for that."
)


def _or_none(ask: Callable[[], Any]) -> Any:
    """What the cluster answers; None when there is no such thing."""
    try:
        return _asked(ask)
    except _Missing:
        return None


def _pod(found: Any) -> Pod:
    states = found.status.container_statuses or []
    state = next((one.state for one in states if one.name == CONTAINER), None)
    ended = state.terminated if state else None
    labels = found.metadata.labels or {}
    return Pod(
        name=found.metadata.name,
        uid=found.metadata.uid,
        chief=labels.get("training.kubeflow.org/job-role") == "master",
        started=bool(state and (state.running or ended)),
        exit_code=ended.exit_code if ended else None,
        state=_state(found, state),
    )


def _state(found: Any, state: Any) -> str:
    """What a pod is doing, in a few words."""
    if state and state.terminated:
        code, reason = state.terminated.exit_code, state.terminated.reason
        return f"ended with exit code {code}" + (f" ({reason})" if reason else "")
    if state and state.running:
        return "running"
    if found.status.reason:  # such as Evicted
        return ": ".join(filter(None, (found.status.reason, found.status.message)))
    if state and state.waiting and state.waiting.reason:
        return ": ".join(filter(None, (state.waiting.reason, state.waiting.message)))
    for condition in found.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return ": ".join(filter(None, (condition.reason, condition.message)))
    return str(found.status.phase or "Pending").lower()
