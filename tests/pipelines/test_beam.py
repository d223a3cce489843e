"""Tests of the configuration of Beam: what each runner takes, and that Beam knows what it gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from tfx.utils import dependency_utils

from babelrank.components.config import commented_yaml, from_dict, load_yaml
from babelrank.components.errors import ConfigError
from babelrank.pipelines.beam import BeamConfig, arguments

POOL = {"environment": "EXTERNAL", "environment_config": "localhost:50000"}
CLOUD = {
    "project": "p",
    "region": "r",
    "temp_location": "gs://b/tmp",
    "image": "registry/image",
}

RUNNERS: list[dict[str, Any]] = [
    {},
    {"runner": "multi_processing"},
    {"runner": "multi_processing", "workers": 3},
    {"runner": "portable", "job_endpoint": "jobs:8099", **POOL, "workers": 2},
    {"runner": "portable", "job_endpoint": "localhost:8099", "environment": "LOOPBACK"},
    {
        "runner": "portable",
        "job_endpoint": "jobs:8099",
        "environment": "PROCESS",
        "environment_config": "/opt/start",
    },
    {"runner": "portable", "job_endpoint": "jobs:8099", "environment": "DOCKER", "image": "i"},
    {"runner": "flink", "job_endpoint": "jobs:8099", **POOL, "parallelism": 4},
    {"runner": "flink", "master": "http://flink:8081", "job_server_jar": "/a.jar", **POOL},
    {"runner": "spark", "job_endpoint": "jobs:8099", **POOL},
    {"runner": "spark", "master": "spark://spark:7077", "job_server_jar": "/a.jar", **POOL},
    {"runner": "dataflow", **CLOUD},
    {
        "runner": "dataflow",
        **CLOUD,
        "workers": 2,
        "max_workers": 5,
        "autoscaling": True,
        "service_account": "trainer@p.iam.gserviceaccount.com",
        "machine_type": "n1-standard-4",
        "subnetwork": "regions/r/subnetworks/s",
    },
]


def made(**keys: Any) -> list[str]:
    """The arguments of a configuration."""
    return arguments(from_dict(BeamConfig, keys, "beam"))


def parsed(**keys: Any) -> dict[str, Any]:
    """What Beam reads in them."""
    options: dict[str, Any] = pipeline_options.PipelineOptions(made(**keys)).get_all_options()
    return options


@pytest.mark.parametrize("keys", RUNNERS, ids=lambda keys: "-".join(map(str, keys.values()))[:40])
def test_beam_knows_every_argument(keys: dict[str, Any]):
    options = pipeline_options.PipelineOptions(made(**keys))
    known = options.get_all_options()
    assert set(options.get_all_options(retain_unknown_options=True)) == set(known)
    # What needs Google's services cannot be validated here.
    if keys.get("runner") != "dataflow":
        assert PipelineOptionsValidator(options, None).validate() == []


@pytest.mark.parametrize("keys", RUNNERS, ids=lambda keys: "-".join(map(str, keys.values()))[:40])
def test_tfx_does_not_pack_itself_up(keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    def pack() -> str:
        raise AssertionError("TFX makes a package of itself for each step")

    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", pack)
    assert dependency_utils.make_beam_dependency_flags(made(**keys)) == made(**keys)


def test_in_memory():
    options = parsed()
    assert options["runner"].endswith(".FnApiRunner")
    assert (options["direct_running_mode"], options["direct_num_workers"]) == ("in_memory", 1)


def test_several_processes():
    assert parsed(runner="multi_processing")["direct_num_workers"] == 0  # one for each processor
    options = parsed(runner="multi_processing", workers=3)
    assert (options["direct_running_mode"], options["direct_num_workers"]) == (
        *("multi_processing", 3),
    )


def test_a_job_service():
    options = parsed(runner="flink", job_endpoint="jobs:8099", parallelism=4, workers=2, **POOL)
    assert options["runner"] == "PortableRunner"
    assert options["job_endpoint"] == "jobs:8099"
    assert (options["environment_type"], options["environment_config"]) == (
        *("EXTERNAL", "localhost:50000"),
    )
    assert (options["parallelism"], int(options["sdk_worker_parallelism"])) == (4, 2)
    assert options["beam_plugins"] == ["babelrank"]
    spark = parsed(runner="spark", job_endpoint="jobs:8099", **POOL)
    assert (spark["runner"], spark["job_endpoint"]) == ("PortableRunner", "jobs:8099")


def test_a_cluster_without_a_job_service():
    jar = {"job_server_jar": "/a.jar"}
    flink = parsed(runner="flink", master="http://flink:8081", **jar, **POOL)
    assert flink["runner"] == "FlinkRunner"
    assert (flink["flink_master"], flink["flink_job_server_jar"]) == ("http://flink:8081", "/a.jar")
    spark = parsed(runner="spark", master="spark://spark:7077", **jar, **POOL)
    assert spark["runner"] == "SparkRunner"
    assert spark["spark_master_url"] == "spark://spark:7077"
    assert spark["spark_job_server_jar"] == "/a.jar"


def test_workers_that_a_command_starts():
    keys = {"environment": "PROCESS", "environment_config": "/opt/start"}
    options = parsed(runner="portable", job_endpoint="jobs:8099", **keys)
    assert json.loads(options["environment_config"]) == {
        "command": "/opt/start",
        "env": {"TF_USE_LEGACY_KERAS": "1"},
    }


def test_workers_from_an_image():
    keys = {"environment": "DOCKER", "image": "registry/image"}
    options = parsed(runner="portable", job_endpoint="jobs:8099", **keys)
    assert options["environment_config"] == "registry/image"
    assert options["sdk_container_image"] == "registry/image"


def test_google_cloud():
    account = "trainer@p.iam.gserviceaccount.com"
    options = parsed(
        **{"runner": "dataflow", "workers": 2, "max_workers": 5, "autoscaling": False, **CLOUD},
        service_account=account,
        machine_type="n1-standard-4",
        subnetwork="s",
    )
    assert {name: options[name] for name in ("project", "region", "temp_location")} == {
        "project": "p",
        "region": "r",
        "temp_location": "gs://b/tmp",
    }
    assert options["runner"] == "DataflowRunner"
    assert options["sdk_container_image"] == "registry/image"
    assert (options["num_workers"], options["max_num_workers"]) == (2, 5)
    assert options["autoscaling_algorithm"] == "NONE"
    assert (options["machine_type"], options["subnetwork"]) == ("n1-standard-4", "s")
    assert options["service_account_email"] == account
    assert options["save_main_session"] is False
    assert parsed(runner="dataflow", **CLOUD)["autoscaling_algorithm"] is None
    scaled = parsed(runner="dataflow", autoscaling=True, **CLOUD)
    assert scaled["autoscaling_algorithm"] == "THROUGHPUT_BASED"


def test_the_last_word():
    options = parsed(runner="dataflow", **CLOUD, args=["--region=elsewhere", "--experiment=e"])
    assert options["region"] == "elsewhere"
    assert options["experiments"] == ["e"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"runner": "dask"}, r"^beam\.runner: got 'dask'"),
        ({"workers": 2}, r"^beam\.workers: means nothing to in_memory, which takes only args\.$"),
        (
            {"runner": "multi_processing", "parallelism": 2},
            r"^beam\.parallelism: means nothing to multi_processing, which takes workers and args",
        ),
        ({"runner": "multi_processing", "workers": 0}, r"^beam\.workers: got 0; takes 1 or more"),
        ({"runner": "portable", **POOL}, r"^beam\.job_endpoint: missing; runner: portable needs"),
        (
            {"runner": "portable", "job_endpoint": "jobs:8099"},
            r"^beam\.environment: missing; runner: portable needs it",
        ),
        (
            {"runner": "portable", "job_endpoint": "http://jobs:8099", **POOL},
            r"^beam\.job_endpoint: got http://jobs:8099; takes HOST:PORT",
        ),
        (
            {"runner": "portable", "job_endpoint": "jobs:8099", "environment": "EXTERNAL"},
            r"^beam\.environment_config: missing; environment: EXTERNAL needs it",
        ),
        (
            {
                "runner": "portable",
                "job_endpoint": "jobs:8099",
                "environment": "EXTERNAL",
                "environment_config": "localhost",
            },
            r"^beam\.environment_config: got localhost; takes HOST:PORT",
        ),
        (
            {"runner": "portable", "job_endpoint": "jobs:8099", "environment": "DOCKER"},
            r"^beam\.image: missing; environment: DOCKER needs it",
        ),
        (
            {"runner": "portable", "job_endpoint": "jobs:8099", **POOL, "environment": "LOOPBACK"},
            r"^beam\.environment_config: means nothing to environment: LOOPBACK",
        ),
        (
            {"runner": "portable", "job_endpoint": "jobs:8099", **POOL, "image": "i"},
            r"^beam\.image: means nothing to environment: EXTERNAL",
        ),
        (
            {"runner": "portable", "job_endpoint": "jobs:8099", "master": "http://f", **POOL},
            r"^beam\.master: means nothing to portable, which takes job_endpoint, ",
        ),
        ({"runner": "flink", **POOL}, r"^beam\.job_endpoint: runner: flink takes either it or mas"),
        (
            {"runner": "spark", "job_endpoint": "jobs:8099", "master": "spark://s:7077", **POOL},
            r"^beam\.job_endpoint: runner: spark takes either it or master, and not both",
        ),
        (
            {"runner": "flink", "job_endpoint": "jobs:8099", "job_server_jar": "/a.jar", **POOL},
            r"^beam\.job_server_jar: goes with master",
        ),
        (
            {"runner": "spark", "master": "spark://s:7077", **POOL, "parallelism": 2},
            r"^beam\.parallelism: means nothing to spark",
        ),
        *(
            ({"runner": "dataflow", **CLOUD, name: None}, rf"^beam\.{name}: missing; runner: data")
            for name in CLOUD
        ),
        (
            {"runner": "dataflow", **CLOUD, "temp_location": "/tmp"},
            r"^beam\.temp_location: got /tmp; takes gs://",
        ),
        (
            {"runner": "dataflow", **CLOUD, "environment": "DOCKER"},
            r"^beam\.environment: means nothing to dataflow",
        ),
        ({"args": ["--experiment", "e"]}, r"^beam\.args: got 'e'; takes --name=value"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        from_dict(BeamConfig, keys, "beam")


def test_the_printed_default(tmp_path: Any):
    path = tmp_path / "beam.yaml"
    path.write_text(commented_yaml(BeamConfig))
    assert load_yaml(BeamConfig, path) == BeamConfig()
