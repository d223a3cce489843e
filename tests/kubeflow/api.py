"""A double of the REST API v2beta1 of Kubeflow Pipelines, on 127.0.0.1.

Strict: a path, a field of a body, a query parameter or a filter that Kubeflow Pipelines does not
know is an error, and so are two enabled recurring runs of one name. `errors` collects them.
"""

from __future__ import annotations

import email
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

NEVER = "1970-01-01T00:00:00Z"
_LIST = {"page_size", "page_token", "sort_by", "filter"}
_RUN = {
    "display_name",
    "description",
    "experiment_id",
    "pipeline_version_reference",
    "runtime_config",
    "service_account",
}
_RECURRING = {*_RUN, "trigger", "mode", "max_concurrency", "no_catchup"}
_BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


class Refusal(Exception):
    """A request that Kubeflow Pipelines refuses."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Api(ThreadingHTTPServer):
    """The server and what it holds.

    Attributes:
        multi_user: Whether there are several users, each with a namespace.
        token: What a request must bring; None: nothing.
        progress: What a run of a name shows, request after request; the last stays.
        faults: Answers that come in place of the next ones: status, type, body.
        requests: Method and path of all requests.
        errors: What the client did wrong.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.multi_user, self.token = False, None
        self.progress: dict[str, list[dict[str, Any]]] = {}
        self.faults: list[tuple[int, str, str]] = []
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.experiments: list[dict[str, Any]] = []
        self.pipelines: list[dict[str, Any]] = []
        self.versions: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.recurring: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._seconds = itertools.count()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def made(self, method: str) -> list[str]:
        """The paths that were asked with a method."""
        return [one.split(" ")[1] for one in self.requests if one.startswith(method)]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        for pattern, verb, respond in self._routes():
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                return respond(*match.groups(), query, body)
        raise Refusal(f"unknown: {method} {path}", 404)

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        return [
            ("/healthz", "GET", lambda q, b: {"multi_user": self.multi_user}),
            ("/experiments", "GET", self._list_experiments),
            ("/experiments", "POST", self._create_experiment),
            ("/pipelines", "GET", self._list_pipelines),
            ("/pipelines", "POST", self._create_pipeline),
            ("/pipelines/upload_version", "POST", self._upload),
            ("/pipelines/([^/]+)/versions", "GET", self._list_versions),
            ("/runs", "GET", self._list_runs),
            ("/runs", "POST", self._create_run),
            ("/runs/([^/:]+)", "GET", self._get_run),
            ("/recurringruns", "GET", self._list_recurring),
            ("/recurringruns", "POST", self._create_recurring),
            ("/recurringruns/([^/:]+):(enable|disable)", "POST", self._switch),
            ("/recurringruns/([^/:]+)", "DELETE", self._delete),
        ]

    def _list_experiments(self, query: dict[str, str], _: Any) -> Any:
        known(query, {*_LIST, "namespace"})
        self._check_namespace(query)
        return page(self.experiments, "experiments", query)

    def _create_experiment(self, query: dict[str, str], body: dict[str, Any]) -> Any:
        known(body, {"display_name", "description", "namespace"})
        self._check_namespace(body)
        made = {**body, "experiment_id": self._id("experiment"), "storage_state": "AVAILABLE"}
        self.experiments.append(made)
        return made

    def _list_pipelines(self, query: dict[str, str], _: Any) -> Any:
        known(query, {*_LIST, "namespace"})
        self._check_namespace(query)
        return page(self.pipelines, "pipelines", query)

    def _create_pipeline(self, query: dict[str, str], body: dict[str, Any]) -> Any:
        known(body, {"display_name", "description", "namespace"})
        self._check_namespace(body)
        if any(one["display_name"] == body["display_name"] for one in self.pipelines):
            raise Refusal("the name exists", 409)
        made = {**body, "pipeline_id": self._id("pipeline"), "created_at": self._now()}
        self.pipelines.append(made)
        return made

    def _upload(self, query: dict[str, str], body: str) -> Any:
        known(query, {"name", "pipelineid", "description"})
        self._find(self.pipelines, "pipeline_id", query["pipelineid"])
        spec = list(yaml.safe_load_all(body))
        if not 1 <= len(spec) <= 2 or "root" not in spec[0]:
            raise Refusal("invalid pipeline spec")
        made = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": self._id("version"),
            "display_name": query["name"],
            "created_at": self._now(),
        }
        if any(one["display_name"] == query["name"] for one in self.versions):
            raise Refusal("the name exists", 409)
        self.versions.append({**made, "spec": spec[0]})
        return made

    def _list_versions(self, pipeline: str, query: dict[str, str], _: Any) -> Any:
        known(query, _LIST)
        self._find(self.pipelines, "pipeline_id", pipeline)
        of_pipeline = [one for one in self.versions if one["pipeline_id"] == pipeline]
        shown = [{k: v for k, v in one.items() if k != "spec"} for one in of_pipeline]
        return page(shown, "pipeline_versions", query)

    def _list_runs(self, query: dict[str, str], _: Any) -> Any:
        known(query, {*_LIST, "experiment_id", "namespace"})
        found = self.runs
        if "experiment_id" in query:
            found = [one for one in found if one["experiment_id"] == query["experiment_id"]]
        else:
            self._check_namespace(query)
        if query.get("sort_by") not in (None, "", "created_at desc"):
            raise Refusal(f"sort_by: {query['sort_by']}")
        newest = sorted(found, key=lambda one: one["created_at"], reverse=True)
        return page(newest, "runs", query)

    def _create_run(self, query: dict[str, str], body: dict[str, Any]) -> Any:
        known(body, _RUN)
        self._check_job(body)
        return self.add_run(**body)

    def add_run(self, **fields: Any) -> dict[str, Any]:
        """A run as it is when it was just made."""
        made = {
            "run_id": self._id("run"),
            "state": "PENDING",
            "created_at": self._now(),
            "finished_at": NEVER,
            **fields,
        }
        self.runs.append(made)
        return made

    def _get_run(self, identity: str, query: dict[str, str], _: Any) -> Any:
        known(query, {"experiment_id"})
        found = self._find(self.runs, "run_id", identity)
        left = self.progress.setdefault(
            found["display_name"], [{"state": "RUNNING"}, {"state": "SUCCEEDED"}]
        )
        if found["state"] not in ("SUCCEEDED", "FAILED"):
            found.update(left.pop(0) if len(left) > 1 else left[0])
            if found["state"] in ("SUCCEEDED", "FAILED"):
                found["finished_at"] = self._now()
        return found

    def _list_recurring(self, query: dict[str, str], _: Any) -> Any:
        known(query, {*_LIST, "experiment_id", "namespace"})
        self._check_namespace(query)
        return page(self.recurring, "recurringRuns", query)

    def _create_recurring(self, query: dict[str, str], body: dict[str, Any]) -> Any:
        known(body, _RECURRING)
        self._check_job(body)
        known(body["trigger"], {"cron_schedule"})
        known(body["trigger"]["cron_schedule"], {"cron"})
        check_cron(body["trigger"]["cron_schedule"]["cron"])
        if not 1 <= int(body["max_concurrency"]) <= 10:
            raise Refusal("max_concurrency")
        status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[body["mode"]]
        made = {**body, "recurring_run_id": self._id("recurring"), "status": status}
        self.recurring.append(made)
        self._check_enabled()
        return made

    def _switch(self, identity: str, verb: str, query: dict[str, str], _: Any) -> Any:
        found = self._find(self.recurring, "recurring_run_id", identity)
        found["status"] = f"{verb.upper()}D"
        self._check_enabled()
        return {}

    def _delete(self, identity: str, query: dict[str, str], _: Any) -> Any:
        self.recurring.remove(self._find(self.recurring, "recurring_run_id", identity))
        return {}

    def _check_enabled(self) -> None:
        enabled = [one["display_name"] for one in self.recurring if one["status"] == "ENABLED"]
        if len(enabled) != len(set(enabled)):
            self.errors.append(f"two recurring runs are enabled: {enabled}")

    def _check_job(self, body: dict[str, Any]) -> None:
        self._find(self.experiments, "experiment_id", body["experiment_id"])
        reference = body["pipeline_version_reference"]
        known(reference, {"pipeline_id", "pipeline_version_id"})
        version = self._find(self.versions, "pipeline_version_id", reference["pipeline_version_id"])
        if version["pipeline_id"] != reference["pipeline_id"]:
            raise Refusal("the version is another pipeline's")
        known(body["runtime_config"], {"parameters", "pipeline_root"})
        given = version["spec"]["root"].get("inputDefinitions", {}).get("parameters", {})
        types = {"NUMBER_INTEGER": int, "BOOLEAN": bool, "STRING": str}
        for name, value in body["runtime_config"].get("parameters", {}).items():
            if name not in given or type(value) is not types[given[name]["parameterType"]]:
                raise Refusal(f"parameter {name}: {value!r}")

    def _check_namespace(self, given: dict[str, Any]) -> None:
        if self.multi_user and given.get("namespace") != "team":
            raise Refusal("namespace is not yours", 403 if given.get("namespace") else 400)
        if not self.multi_user and given.get("namespace"):
            raise Refusal("In single-user mode, cannot filter by namespace.")

    def _find(self, among: list[dict[str, Any]], key: str, value: str) -> dict[str, Any]:
        for one in among:
            if one[key] == value:
                return one
        raise Refusal(f"{key} {value} not found", 404)

    def _id(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"

    def _now(self) -> str:
        minutes, seconds = divmod(next(self._seconds), 60)
        return f"2026-01-02T03:{minutes:02}:{seconds:02}Z"


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_DELETE = do_GET

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self.server.requests.append(f"{self.command} {url.path}")
        body = self._body()
        if self.server.faults:
            self._send(*self.server.faults.pop(0))
            return
        try:
            content, status = self._content(url.path, url.query, body), 200
        except Refusal as error:
            if error.status in (400, 404, 409):
                self.server.errors.append(f"{self.command} {self.path}: {error}")
            content, status = {"error": str(error), "message": str(error)}, error.status
        except Exception as error:
            self.server.errors.append(f"{self.command} {self.path}: {error!r}")
            content, status = {"message": repr(error)}, 500
        self._send(status, "application/json", json.dumps(content))

    def _content(self, path: str, query: str, body: Any) -> Any:
        if not path.startswith("/apis/v2beta1/"):
            raise Refusal(f"unknown: {path}", 404)
        if self.server.token and self.headers["authorization"] != f"Bearer {self.server.token}":
            raise Refusal("Unauthenticated", 401)
        given = {name: values[0] for name, values in parse_qs(query).items()}
        return self.server.answer(self.command, path.removeprefix("/apis/v2beta1"), given, body)

    def _body(self) -> Any:
        raw = self.rfile.read(int(self.headers["content-length"] or 0))
        kind = self.headers["content-type"] or ""
        if not kind.startswith("multipart/form-data"):
            return json.loads(raw) if raw else None
        message = email.message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + raw)
        (part,) = message.get_payload()
        if part.get_param("name", header="content-disposition") != "uploadfile":
            self.server.errors.append("the file is not in the field uploadfile")
        return part.get_payload(decode=True).decode()

    def _send(self, status: int, kind: str, body: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


def known(given: dict[str, Any], names: set[str]) -> None:
    """Refuses fields that Kubeflow Pipelines does not know."""
    if set(given) - names:
        raise Refusal(f"unknown: {sorted(set(given) - names)}")


def page(entries: list[dict[str, Any]], field: str, query: dict[str, str]) -> dict[str, Any]:
    """A page of a list."""
    if query.get("filter"):
        content = json.loads(query["filter"])
        known(content, {"predicates"})
        (predicate,) = content["predicates"]
        known(predicate, {"operation", "key", "stringValue"})
        equals = predicate["operation"] in ("EQUALS", 1)  # as protobuf's JSON, name or number
        if not equals or predicate["key"] != "display_name":
            raise Refusal(f"filter: {predicate}")
        entries = [one for one in entries if one["display_name"] == predicate["stringValue"]]
    begin, size = int(query.get("page_token") or 0), int(query.get("page_size", 20))
    if not 1 <= size <= 200:
        raise Refusal(f"page_size: {size}")
    rest = {"next_page_token": str(begin + size)} if len(entries) > begin + size else {}
    return {field: entries[begin : begin + size], "total_size": len(entries), **rest}


def check_cron(cron: str) -> None:
    """Refuses what robfig/cron's parser does not read: six fields of numbers, lists, ranges."""
    fields = cron.split()
    if len(fields) != 6:
        raise Refusal(f"cron: {cron}: six fields")
    for field, (low, high) in zip(fields, _BOUNDS, strict=True):
        for part in field.split(","):
            match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/\d+)?", part)
            if match is None:
                raise Refusal(f"cron: {cron}: {part}")
            numbers = [int(one) for one in match.groups() if one is not None]
            if numbers != sorted(numbers) or any(not low <= one <= high for one in numbers):
                raise Refusal(f"cron: {cron}: {part}")


@contextmanager
def serving() -> Iterator[Api]:
    """A server that runs meanwhile, and must have had nothing to complain of."""
    api = Api()
    thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        api.shutdown()
        thread.join()
        api.server_close()
    assert api.errors == []
