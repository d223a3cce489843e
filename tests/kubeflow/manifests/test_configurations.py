"""The manifests agree with the program: its commands, its defaults, its folders."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.training.config import StrategyConfig
from babelrank.pipelines import cli, running
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.database import PASSWORD, VARIABLE
from babelrank.pipelines.kubeflow.config import KubernetesConfig
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.notify import VARIABLE as WEBHOOK
from babelrank.pipelines.options import PIPELINES
from tests.kubeflow.manifests.checks import quantity
from tests.kubeflow.manifests.objects import Pod, named, of_kind, pods, selects
from tests.kubeflow.manifests.tools import Document

DEFAULTS = KubernetesConfig()


def configurations(documents: list[Document]) -> dict[str, PipelineConfig]:
    """The pipelines' configurations in a ConfigMap, by file."""
    maps = of_kind(documents, "ConfigMap")
    found = next(one for one in maps if "babelrank-pipelines" in one["metadata"]["name"])
    return {
        name: from_dict(PIPELINES[name.removesuffix(".yaml")], yaml.safe_load(text))
        for name, text in found["data"].items()
    }


def mounted(pod: Pod, claim: str) -> str:
    """The folder at which a pod mounts a volume claim."""
    volumes = {
        volume["name"]: volume.get("persistentVolumeClaim", {}).get("claimName")
        for volume in pod.spec["volumes"]
    }
    mounts: list[Any] = pod.containers[0]["volumeMounts"]
    return next(str(one["mountPath"]) for one in mounts if volumes.get(one["name"]) == claim)


def test_configurations_are_valid(kustomization: list[Document]) -> None:
    found = configurations(kustomization)
    assert found.keys() == {"ranking.yaml", "translation.yaml"}
    accounts = named(kustomization, "ServiceAccount")
    for config in found.values():
        assert config.kubernetes.service_account in accounts
        assert config.data.path is not None
        assert config.data.path.startswith(f"{DEFAULTS.root}/data/")


def test_defaults_are_what_the_manifests_make(built: dict[str, list[Document]]) -> None:
    documents = built["overlays/local"]
    assert DEFAULTS.volume in named(documents, "PersistentVolumeClaim")
    assert DEFAULTS.metadata == "postgresql://babelrank@metadata-db:5432/babelrank"
    assert DEFAULTS.metadata_secret == "metadata-db/password"
    service = next(
        one for one in of_kind(documents, "Service") if one["metadata"]["name"] == "metadata-db"
    )
    assert [port["port"] for port in service["spec"]["ports"]] == [5432]
    database = next(one for one in pods(documents) if one.owner["kind"] == "StatefulSet")
    values = {one["name"]: one["value"] for one in database.containers[0]["env"]}
    assert values["POSTGRES_USER"] == values["POSTGRES_DB"] == "babelrank"


@pytest.mark.parametrize(
    ("name", "address", "secret"),
    [
        ("overlays/cronjob", DEFAULTS.metadata, "metadata-db"),
        ("components/kfp-mysql", "mysql://root@mysql:3306/babelrank", "mysql-secret"),
    ],
)
def test_pods_know_the_database(
    name: str, address: str, secret: str, built: dict[str, list[Document]]
) -> None:
    documents = built[name]
    ours = [one for one in pods(documents) if one.owner["kind"] == "CronJob"]
    ours += [one for one in pods(documents) if one.owner["metadata"]["name"] == "babelrank-shell"]
    assert len(ours) == 5
    for pod in ours:
        values = {one["name"]: one for one in pod.containers[0]["env"]}
        assert values[VARIABLE]["value"] == address
        assert values[PASSWORD]["valueFrom"]["secretKeyRef"] == {"name": secret, "key": "password"}


def test_relative_paths_start_at_the_root(kustomization: list[Document]) -> None:
    roots = {config.kubernetes.root for config in configurations(kustomization).values()}
    everyone = [container for pod in pods(kustomization) for container in pod.containers]
    ours = [one for one in everyone if one.get("image", "").startswith("babelrank:")]
    assert ours
    assert {one.get("workingDir") for one in ours} == roots


def test_mysql_replaces_postgresql(built: dict[str, list[Document]]) -> None:
    documents = built["components/kfp-mysql"]
    assert of_kind(documents, "StatefulSet") == []
    assert "metadata-db" not in named(documents, "Service")
    policies = {one["metadata"]["name"]: one for one in of_kind(documents, "NetworkPolicy")}
    assert "babelrank-metadata-db" not in policies
    assert policies["babelrank-metadata-clients"]["spec"]["egress"][1] == {
        "to": [
            {
                "podSelector": {
                    "matchExpressions": [{"key": "app", "operator": "In", "values": ["mysql"]}]
                }
            }
        ],
        "ports": [{"port": 3306}],
    }


def test_cron_jobs_run_commands_that_there_are(built: dict[str, list[Document]]) -> None:
    documents = built["overlays/cronjob"]
    files = configurations(documents)
    jobs = [one for one in pods(documents) if one.owner["kind"] == "CronJob"]
    commands = {(one.containers[0]["args"][1], one.labels["babelrank/pipeline"]) for one in jobs}
    assert len(jobs) == len(commands) == 2 * len(files)
    assert {command for command, _ in commands} == {"clean", "retrain"}
    for job in jobs:
        program, *arguments = job.containers[0]["args"]
        command = cli._parser().parse_args(arguments)
        assert program == "babelrank"
        config = files[str(command.config).removeprefix("/etc/babelrank/")]
        assert config.task == command.pipeline
        assert str(command.out) == f"{mounted(job, 'babelrank-artifacts')}/{config.name}"
        if arguments[0] == "retrain":
            assert job.owner["spec"]["schedule"] == config.schedule.cron
        else:  # weekly
            assert job.owner["spec"]["schedule"].split()[4].isdigit()


def test_refusals_are_not_repeated(built: dict[str, list[Document]]) -> None:
    for job in of_kind(built["overlays/cronjob"], "CronJob"):
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        spec = job["spec"]["jobTemplate"]["spec"]
        rule = spec["podFailurePolicy"]["rules"][0]
        assert rule["action"] == "FailJob"
        cleans = job["metadata"]["name"].startswith("babelrank-clean-")
        final = [running.USAGE] if cleans else [running.USAGE, running.REFUSED]
        assert rule["onExitCodes"]["values"] == final
        names = [one["name"] for one in spec["template"]["spec"]["containers"]]
        assert names == [rule["onExitCodes"]["containerName"]]
        assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_servers_read_what_is_pushed(built: dict[str, list[Document]]) -> None:
    documents = built["overlays/local"]
    files = configurations(documents)
    servers = [
        one for one in pods(documents) if one.labels.get("app.kubernetes.io/component") == "serving"
    ]
    assert len(servers) == len(files)
    for server in servers:
        config = files[server.labels["babelrank/pipeline"] + ".yaml"]
        root = mounted(server, "babelrank-artifacts")
        folder = Layout(Path(root, config.name)).serving
        assert f"--model_base_path={folder}" in server.containers[0]["args"]
        assert f"--model_name={config.name}" in server.containers[0]["args"]


def test_kserve_reads_what_is_pushed(built: dict[str, list[Document]]) -> None:
    documents = built["components/kserve"]
    files = configurations(documents)
    services = of_kind(documents, "InferenceService")
    runtimes = named(documents, "ServingRuntime")
    addresses = set()
    for service in services:
        predictor = service["spec"]["predictor"]
        assert predictor["model"]["runtime"] in runtimes
        assert predictor["serviceAccountName"] in named(documents, "ServiceAccount")
        addresses.add(predictor["model"]["storageUri"])
    claim = named(documents, "PersistentVolumeClaim").pop()
    assert addresses == {f"pvc://{claim}/{config.name}/serving" for config in files.values()}


def test_servers_say_where_their_metrics_are(built: dict[str, list[Document]]) -> None:
    """TensorFlow Serving has metrics only where a file says so; our own server has them anyway."""
    for name, number in (("overlays/local", 2), ("components/kserve", 4)):
        documents = built[name]
        servers = [
            one
            for one in pods(documents)
            if one.labels.get("app.kubernetes.io/component") == "serving"
        ]
        assert len(servers) == number
        for server in servers:
            container = server.containers[0]
            assert server.annotations["prometheus.io/scrape"] == "true"
            path = server.annotations["prometheus.io/path"]
            if container["image"].startswith("babelrank-serve:"):
                assert path == "/metrics"
                continue
            assert "--monitoring_config_file=/etc/monitoring/monitoring.txt" in container["args"]
            volumes = {one["name"]: one for one in server.spec["volumes"]}
            mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
            wanted = volumes[mounts["/etc/monitoring"]]["configMap"]["name"]
            (settings,) = (
                one["data"]["monitoring.txt"]
                for one in of_kind(documents, "ConfigMap")
                if one["metadata"]["name"] == wanted
            )
            assert f'enable: true, path: "{path}"' in settings


def test_the_webhook_is_reached(built: dict[str, list[Document]]) -> None:
    documents = built["components/webhook"]
    (rule,) = (
        one
        for one in of_kind(documents, "NetworkPolicy")
        if one["metadata"]["name"] == "babelrank-webhook"
    )
    told = [one for one in pods(documents) if selects(rule["spec"]["podSelector"], one.labels)]
    assert [one.containers[0]["args"][1] for one in told] == ["retrain", "retrain"]
    for pod in told:
        (address,) = (one for one in pod.containers[0]["env"] if one["name"] == WEBHOOK)
        wanted = {"name": "babelrank-webhook", "key": "url", "optional": True}
        assert address["valueFrom"]["secretKeyRef"] == wanted


def test_one_machine_takes_a_volume_of_its_own(built: dict[str, list[Document]]) -> None:
    for name in ("overlays/cronjob-local", "overlays/local"):
        for claim in of_kind(built[name], "PersistentVolumeClaim"):
            assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        for pod in pods(built[name]):
            for container in pod.containers:
                asked = container["resources"]["requests"]
                assert quantity(asked["cpu"]) <= 1
                assert quantity(asked["memory"]) <= quantity("2Gi")


def test_a_bucket_is_mounted_everywhere(built: dict[str, list[Document]]) -> None:
    documents = built["overlays/tpu-gke"]
    claim = of_kind(documents, "PersistentVolumeClaim")[0]
    volume = of_kind(documents, "PersistentVolume")[0]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert claim["spec"]["storageClassName"] == volume["spec"]["storageClassName"]
    assert volume["spec"]["claimRef"] == {
        "name": claim["metadata"]["name"],
        "namespace": claim["metadata"]["namespace"],
    }
    sidecar = {"gke-gcsfuse/volumes": "true"}
    for pod in pods(documents):
        if any("persistentVolumeClaim" in one for one in pod.spec["volumes"]):
            assert sidecar.items() <= pod.annotations.items()
    for config in configurations(documents).values():
        assert config.kubernetes.step("Ingest").annotations == sidecar


@pytest.mark.parametrize(
    ("name", "kind", "tag"),
    [("overlays/gpu", "nvidia.com/gpu", "gpu"), ("overlays/tpu-gke", "google.com/tpu", "tpu")],
)
def test_only_the_trainer_gets_an_accelerator(
    name: str, kind: str, tag: str, built: dict[str, list[Document]]
) -> None:
    for config in configurations(built[name]).values():
        trainer, ingest = (config.kubernetes.step(step) for step in ("Trainer", "Ingest"))
        assert trainer.accelerator == kind
        assert trainer.image == f"{config.kubernetes.image}-{tag}"
        assert ingest.accelerator is None
        assert ingest.image is None


def test_a_laptop_has_room(built: dict[str, list[Document]]) -> None:
    for config in configurations(built["overlays/local"]).values():
        for name in ("Ingest", "Transform", "Trainer", "Evaluator"):
            step = config.kubernetes.step(name)
            assert quantity(step.cpu or "") <= 1
            assert quantity(step.memory or "") <= quantity("2Gi")
            assert quantity(step.memory or "") <= quantity(step.memory_limit or "")


@pytest.mark.parametrize("name", ["overlays/gpu", "overlays/local", "overlays/tpu-gke"])
def test_overlays_differ_in_where_only(name: str, built: dict[str, list[Document]]) -> None:
    def what(config: PipelineConfig) -> PipelineConfig:
        training = dataclasses.replace(config.training, strategy=StrategyConfig())
        return dataclasses.replace(config, kubernetes=DEFAULTS, training=training)

    base = configurations(built["base"])
    for file, config in configurations(built[name]).items():
        assert config != base[file]
        assert what(config) == what(base[file])


def test_a_wrong_configuration_is_found(built: dict[str, list[Document]]) -> None:
    bad = {"kind": "ConfigMap", "metadata": {"name": "babelrank-pipelines"}}
    with pytest.raises(ConfigError, match="Did you mean data"):
        configurations([{**bad, "data": {"ranking.yaml": "dta: {}"}}])
