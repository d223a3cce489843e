"""What BabelRank asks of Kubeflow Pipelines: pipelines, runs and recurring runs.

A thin layer over `kfp_server_api`, the generated client on which `kfp.Client` stands too. It is
used directly because `kfp.Client` prints, reads and writes ~/.config/kfp/context.json, asks the
server from its constructor, and knows no time limits. Arguments go by position: their names
differ between the versions of the two stacks.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3

from babelrank.components.errors import ConfigError
from babelrank.pipelines.kubeflow.connection import PREFIX, Connection
from babelrank.pipelines.kubeflow.records import Recurring, Run, Version, Wanted
from babelrank.pipelines.kubeflow.refusal import RefusedError, refusal, silence

CONNECT_SECONDS, READ_SECONDS = 10, 60
"""How long an answer may take."""
_PAGE = 100


class Client:
    """Kubeflow Pipelines, asked once whether it is there and has several users.

    Args:
        connection: How it is reached.

    Raises:
        UnreachableError: It does not answer.
        RefusedError: It does not know or accept who asks, or something else answers.
        ConfigError: It has several users, and there is no namespace.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._api = kfp_server_api.ApiClient(_configuration(connection))
        self._experiments = kfp_server_api.ExperimentServiceApi(self._api)
        self._pipelines = kfp_server_api.PipelineServiceApi(self._api)
        self._uploads = kfp_server_api.PipelineUploadServiceApi(self._api)
        self._runs = kfp_server_api.RunServiceApi(self._api)
        self._recurring = kfp_server_api.RecurringRunServiceApi(self._api)
        health = self._ask(kfp_server_api.HealthzServiceApi(self._api).healthz_service_get_healthz)
        if health.multi_user and not connection.namespace:
            raise ConfigError(
                f"--namespace: missing, and {PREFIX}NAMESPACE is not set; {connection.endpoint} "
                f"has several users, so experiments and runs need the namespace of one of them."
            )
        self._namespace = connection.namespace if health.multi_user else None

    def experiment(self, name: str) -> str:
        """Id of an experiment that takes runs; it is made if there is none.

        Raises:
            RefusedError: It is archived.
        """
        found = self._experiment(name)
        if found is None:
            body = kfp_server_api.V2beta1Experiment(display_name=name, namespace=self._namespace)
            found = self._ask(self._experiments.experiment_service_create_experiment, body)
        elif found.storage_state == "ARCHIVED":
            raise RefusedError(
                f"experiment {name}: is archived, so it takes no runs. Restore it in the user "
                f"interface, or choose another --experiment."
            )
        identity: str = found.experiment_id
        return identity

    def find_experiment(self, name: str) -> str | None:
        """Id of an experiment, if there is one of this name."""
        found = self._experiment(name)
        return None if found is None else found.experiment_id

    def _experiment(self, name: str) -> Any:
        found = self._ask(
            self._experiments.experiment_service_list_experiments,
            filter=_named(name),
            page_size=_PAGE,
            **self._within(),
        )
        return next(iter(found.experiments or ()), None)

    def upload(self, pipeline: str, version: str, text: str) -> Version:
        """Uploads a compiled pipeline as a version, unless the version is there.

        Args:
            pipeline: Name of the pipeline, which is made if there is none.
            version: Name of the version, other for each other text.
            text: The compiled pipeline, YAML.
        """
        identity = self._pipeline(pipeline)
        found = self._ask(
            self._pipelines.pipeline_service_list_pipeline_versions,
            identity,
            filter=_named(version),
            page_size=_PAGE,
        )
        for one in found.pipeline_versions or ():
            return Version(identity, one.pipeline_version_id, version, new=False)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pipeline.yaml"
            path.write_text(text, encoding="utf-8")
            made = self._ask(
                self._uploads.upload_pipeline_version,
                str(path),
                name=version,
                pipelineid=identity,
            )
        return Version(identity, made.pipeline_version_id, version, new=True)

    def _pipeline(self, name: str) -> str:
        """Id of a pipeline, which is made without a version if there is none."""
        found = self._ask(
            self._pipelines.pipeline_service_list_pipelines,
            filter=_named(name),
            page_size=_PAGE,
            **self._within(),
        )
        if not found.pipelines:
            body = kfp_server_api.V2beta1Pipeline(display_name=name, namespace=self._namespace)
            made = self._ask(self._pipelines.pipeline_service_create_pipeline, body)
        else:
            made = found.pipelines[0]
        identity: str = made.pipeline_id
        return identity

    def start(self, wanted: Wanted) -> Run:
        """Starts a run."""
        body = kfp_server_api.V2beta1Run(**_fields(wanted))
        return Run.of(self._ask(self._runs.run_service_create_run, body))

    def run(self, identity: str) -> Run:
        """A run as it is now."""
        return Run.of(self._ask(self._runs.run_service_get_run, identity))

    def runs(self, *, experiment: str | None = None, name: str | None = None) -> Iterator[Run]:
        """The runs, the newest first.

        Args:
            experiment: Id of the experiment; None: of all.
            name: Name of the runs; None: any.
        """
        narrowed: dict[str, Any] = {} if name is None else {"filter": _named(name)}
        narrowed |= self._within() if experiment is None else {"experiment_id": experiment}
        method = self._runs.run_service_list_runs
        for one in self._pages(method, "runs", sort_by="created_at desc", **narrowed):
            yield Run.of(one)

    def recurring(self, name: str) -> list[Recurring]:
        """The recurring runs of a name, in all experiments."""
        method = self._recurring.recurring_run_service_list_recurring_runs
        found = self._pages(method, "recurring_runs", **self._within())
        return [Recurring.of(one) for one in found if one.display_name == name]

    def create_recurring(self, wanted: Wanted, cron: str, no_catchup: bool) -> Recurring:
        """Makes a recurring run, switched off.

        Args:
            wanted: The run.
            cron: When, six fields with the seconds first.
            no_catchup: Whether runs that were missed are left out.
        """
        schedule = kfp_server_api.V2beta1CronSchedule(cron=cron)
        body = kfp_server_api.V2beta1RecurringRun(
            **_fields(wanted),
            trigger=kfp_server_api.V2beta1Trigger(cron_schedule=schedule),
            mode=kfp_server_api.RecurringRunMode.DISABLE,
            max_concurrency="1",
            no_catchup=no_catchup,
        )
        method = self._recurring.recurring_run_service_create_recurring_run
        return Recurring.of(self._ask(method, body))

    def enable(self, identity: str) -> None:
        """Switches a recurring run on."""
        self._ask(self._recurring.recurring_run_service_enable_recurring_run, identity)

    def disable(self, identity: str) -> None:
        """Switches a recurring run off; what runs goes on."""
        self._ask(self._recurring.recurring_run_service_disable_recurring_run, identity)

    def delete(self, identity: str) -> None:
        """Removes a recurring run; its runs stay."""
        self._ask(self._recurring.recurring_run_service_delete_recurring_run, identity)

    def _within(self) -> dict[str, str]:
        return {} if self._namespace is None else {"namespace": self._namespace}

    def _pages(self, method: Callable[..., Any], field: str, **given: Any) -> Iterator[Any]:
        """The entries of a list, page after page."""
        token = ""
        while True:
            page = self._ask(method, page_size=_PAGE, page_token=token, **given)
            yield from getattr(page, field) or ()
            token = page.next_page_token
            if not token:
                return

    def _ask(self, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """One request.

        Raises:
            UnreachableError: No answer, or one that says that the server is not well.
            RefusedError: An answer that says no, or that is no answer of Kubeflow Pipelines.
        """
        endpoint = self.connection.endpoint
        try:
            found = method(*given, **named, _request_timeout=(CONNECT_SECONDS, READ_SECONDS))
        except kfp_server_api.ApiException as error:
            raise refusal(error, self.connection) from None
        except urllib3.exceptions.HTTPError as error:
            raise silence(error, self.connection) from None
        kind = self._api.last_response.getheader("content-type") or ""
        if "json" not in kind:
            raise RefusedError(
                f"{endpoint}: answered with {kind or 'nothing'} and not with JSON. If a login page "
                f"stands before it, give a token (--token-file) or go around it with "
                f"`kubectl port-forward`."
            )
        return found


def _configuration(connection: Connection) -> Any:
    """The settings of the generated client."""
    made = kfp_server_api.Configuration(host=connection.endpoint)
    made.retries = urllib3.Retry(total=2, backoff_factor=0.5, status=0)
    if connection.ca_file is not None:
        made.ssl_ca_cert = str(connection.ca_file)
    made.api_key_prefix["authorization"] = "Bearer"
    if connection.token is not None:
        made.api_key["authorization"] = connection.token
    elif connection.token_file is not None:
        file = connection.token_file

        def refresh(configuration: Any) -> None:
            token = file.read_text(encoding="utf-8").strip()
            configuration.api_key["authorization"] = token

        refresh(made)
        made.refresh_api_key_hook = refresh  # asked before each request
    return made


def _fields(wanted: Wanted) -> dict[str, Any]:
    """What runs and recurring runs have in common."""
    return {
        "display_name": wanted.name,
        "description": wanted.description,
        "experiment_id": wanted.experiment,
        "pipeline_version_reference": kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=wanted.version.pipeline, pipeline_version_id=wanted.version.version
        ),
        "runtime_config": kfp_server_api.V2beta1RuntimeConfig(parameters=wanted.parameters),
        "service_account": wanted.service_account,
    }


def _named(name: str) -> str:
    """A filter for entries of this name."""
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})
