"""Which Beam runner does the work of a step, and the arguments that it takes.

The first two runners work where the step runs. The others send the work elsewhere: to a job service
(`portable`; Flink's and Spark's have names of their own) or to Google Cloud. Their workers start as
an `environment` says, need this package and its dependencies (which is what the image is for), and
read and write the same paths as the steps.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from typing import Literal

from babelrank.components.config import option
from babelrank.components.errors import ConfigError

IN_MEMORY, MULTI_PROCESSING = "in_memory", "multi_processing"
PORTABLE, FLINK, SPARK, DATAFLOW = "portable", "flink", "spark", "dataflow"

_WORKERS = ("environment", "environment_config", "image", "workers")
_SERVERS = ("job_endpoint", "master", "job_server_jar")

_NEEDS = {
    PORTABLE: ("job_endpoint", "environment"),
    FLINK: ("environment",),
    SPARK: ("environment",),
    DATAFLOW: ("project", "region", "temp_location", "image"),
}
_TAKES = {
    IN_MEMORY: (),
    MULTI_PROCESSING: ("workers",),
    PORTABLE: ("job_endpoint", *_WORKERS),
    FLINK: (*_SERVERS, *_WORKERS, "parallelism"),
    SPARK: (*_SERVERS, *_WORKERS),
    DATAFLOW: (
        *("project", "region", "temp_location", "image", "service_account", "machine_type"),
        *("workers", "max_workers", "autoscaling", "subnetwork"),
    ),
}
_ENVIRONMENTS = {  # what each of them needs
    "EXTERNAL": "environment_config",
    "PROCESS": "environment_config",
    "DOCKER": "image",
    "LOOPBACK": None,
}

# No image is used; but where none is named, TFX packs itself up for each step.
_NO_IMAGE = "--sdk_container_image=none"
# Workers that Beam's own entry starts import it before TensorFlow, which it switches to Keras 2.
_FIRST_IMPORT = "--beam_plugin=babelrank"


@dataclass(frozen=True, kw_only=True)
class BeamConfig:
    """Where Beam runs."""

    runner: Literal["in_memory", "multi_processing", "portable", "flink", "spark", "dataflow"] = (
        option(
            IN_MEMORY,
            "in_memory: in the step's own process; multi_processing: in several; portable: on any "
            "Beam job service; flink, spark: on a cluster of theirs; dataflow: on Google Cloud. "
            "Workers must reach the data and the output folder under the same paths as the step.",
        )
    )
    workers: int | None = option(
        None,
        "multi_processing: processes (null: one for each processor); portable, flink, spark: "
        "worker processes on each of their machines (null: 1); dataflow: machines at first.",
    )
    job_endpoint: str | None = option(
        None, "HOST:PORT of a Beam job service: for portable, and instead of master."
    )
    master: str | None = option(
        None,
        "flink, spark: the cluster, as http://HOST:8081 or spark://HOST:7077, if the step itself "
        "is to start the job service (that takes Java).",
    )
    job_server_jar: str | None = option(
        None, "With master: Beam's job server; null: Beam downloads it from Maven."
    )
    environment: Literal["EXTERNAL", "PROCESS", "DOCKER", "LOOPBACK"] | None = option(
        None,
        "portable, flink, spark: how workers start. EXTERNAL: by a Beam worker pool beside each "
        "task manager; PROCESS: by a command there; DOCKER: from `image`; LOOPBACK: in the step's "
        "own process, for one machine only.",
    )
    environment_config: str | None = option(
        None, "EXTERNAL: HOST:PORT of the worker pool, as task managers see it; PROCESS: command."
    )
    image: str | None = option(None, "Image of the workers, for dataflow and DOCKER.")
    parallelism: int | None = option(None, "flink: parts that work is divided into.")
    project: str | None = option(None, "dataflow: project.")
    region: str | None = option(None, "dataflow: region.")
    temp_location: str | None = option(None, "dataflow: gs://… for its temporary files.")
    service_account: str | None = option(None, "dataflow: account that its machines act as.")
    machine_type: str | None = option(None, "dataflow: machines such as n1-standard-4.")
    max_workers: int | None = option(None, "dataflow: machines at the most.")
    autoscaling: bool | None = option(
        None, "dataflow: whether the number of machines follows the work; null: as it decides."
    )
    subnetwork: str | None = option(None, "dataflow: regions/REGION/subnetworks/NAME.")
    args: tuple[str, ...] = option(
        (), "More arguments, passed to Beam as they are; they win over what the keys above say."
    )

    def __post_init__(self) -> None:
        self._check_keys()
        self._check_servers()
        self._check_environment()
        for name in ("workers", "parallelism", "max_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: got {value}; takes 1 or more, or null.")
        if self.temp_location is not None and not self.temp_location.startswith("gs://"):
            raise ConfigError(f"temp_location: got {self.temp_location}; takes gs://BUCKET/….")
        for arg in self.args:
            if not arg.startswith("--"):
                raise ConfigError(f"args: got {arg!r}; takes --name=value, each with its value.")

    def _check_keys(self) -> None:
        """Keys that mean nothing to the runner, and those that it cannot do without."""
        takes = _TAKES[self.runner]
        for field in fields(self):
            if field.name in ("runner", "args", *takes):
                continue
            if getattr(self, field.name) is not None:
                known = f"takes {', '.join(takes)} and args" if takes else "takes only args"
                raise ConfigError(f"{field.name}: means nothing to {self.runner}, which {known}.")
        for name in _NEEDS.get(self.runner, ()):
            if getattr(self, name) is None:
                raise ConfigError(f"{name}: missing; runner: {self.runner} needs it.")

    def _check_servers(self) -> None:
        if self.runner in (FLINK, SPARK) and (self.job_endpoint is None) == (self.master is None):
            raise ConfigError(
                f"job_endpoint: runner: {self.runner} takes either it or master, and not both."
            )
        if self.job_server_jar is not None and self.master is None:
            raise ConfigError("job_server_jar: goes with master; job_endpoint has its own server.")
        if self.job_endpoint is not None:
            _check_address("job_endpoint", self.job_endpoint)

    def _check_environment(self) -> None:
        if self.environment is None:
            return
        needed = _ENVIRONMENTS[self.environment]
        for name in ("environment_config", "image"):
            value = getattr(self, name)
            if name == needed and value is None:
                raise ConfigError(f"{name}: missing; environment: {self.environment} needs it.")
            if name != needed and value is not None:
                raise ConfigError(f"{name}: means nothing to environment: {self.environment}.")
        if self.environment == "EXTERNAL":
            _check_address("environment_config", self.environment_config or "")


def arguments(config: BeamConfig) -> list[str]:
    """The arguments of Beam; of one that stands twice, Beam takes the last."""
    if config.runner in (IN_MEMORY, MULTI_PROCESSING):
        made = _direct(config)
    elif config.runner == DATAFLOW:
        made = _dataflow(config)
    else:
        made = [*_server(config), *_workers(config)]
    return [*made, *config.args]


def _direct(config: BeamConfig) -> list[str]:
    several = config.runner == MULTI_PROCESSING
    return [
        # Beam's in-memory runner by its own name: `DirectRunner` first tries to download another.
        "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        f"--direct_running_mode={config.runner}",
        f"--direct_num_workers={config.workers or 0 if several else 1}",  # 0: as many as processors
        _NO_IMAGE,
    ]


def _server(config: BeamConfig) -> list[str]:
    """Who takes the job."""
    if config.master is None:
        made = ["--runner=PortableRunner", f"--job_endpoint={config.job_endpoint}"]
    elif config.runner == FLINK:
        made = ["--runner=FlinkRunner", f"--flink_master={config.master}"]
    else:
        made = ["--runner=SparkRunner", f"--spark_master_url={config.master}"]
    return [
        *made,
        *_given(f"{config.runner}_job_server_jar", config.job_server_jar),
        *_given("parallelism", config.parallelism),
    ]


def _workers(config: BeamConfig) -> list[str]:
    """Who does the work, for a job service."""
    start = config.image if config.environment == "DOCKER" else config.environment_config
    if config.environment == "PROCESS":
        start = json.dumps({"command": start, "env": {"TF_USE_LEGACY_KERAS": "1"}})
    return [
        f"--environment_type={config.environment}",
        *_given("environment_config", start),
        f"--sdk_worker_parallelism={config.workers or 1}",
        f"--sdk_container_image={config.image}" if config.image else _NO_IMAGE,
        _FIRST_IMPORT,
    ]


def _dataflow(config: BeamConfig) -> list[str]:
    scaling = {None: None, True: "THROUGHPUT_BASED", False: "NONE"}[config.autoscaling]
    return [
        "--runner=DataflowRunner",
        f"--project={config.project}",
        f"--region={config.region}",
        f"--temp_location={config.temp_location}",
        f"--sdk_container_image={config.image}",
        *_given("service_account_email", config.service_account),
        *_given("machine_type", config.machine_type),
        *_given("num_workers", config.workers),
        *_given("max_num_workers", config.max_workers),
        *_given("autoscaling_algorithm", scaling),
        *_given("subnetwork", config.subnetwork),
        # What runs is installed in the image: the step's own __main__ is nothing to workers.
        "--no_save_main_session",
        _FIRST_IMPORT,
    ]


def _given(name: str, value: str | int | None) -> list[str]:
    return [] if value is None else [f"--{name}={value}"]


def _check_address(name: str, address: str) -> None:
    if not re.fullmatch(r"[^\s/]+:\d+", address):
        raise ConfigError(f"{name}: got {address}; takes HOST:PORT.")
