"""A scan of the manifests and the Dockerfile for weak settings; what is accepted has a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kubeflow.manifests.tools import K8S, PROJECT, Tools

DATABASE = {"metadata-db"}
FLINK = {"beam-job-server"}
OURS = {"babelrank-shell", "babelrank-retrain-ranking", "babelrank-retrain-translation"}
SERVERS = {"babelrank-ranking", "babelrank-translation"}

ACCEPTED = {
    "CKV_K8S_15": (
        DATABASE | FLINK | OURS | SERVERS,
        "images have versions, so pulling them each time would only make starts slower and let a "
        "registry that is down stop a retraining",
    ),
    "CKV_K8S_35": (
        OURS,
        "Kubeflow gives secrets to steps as variables, and a CronJob reads the password as a step "
        "does; the database itself gets a file",
    ),
    "CKV_K8S_40": (DATABASE, "999 is the user of the postgres image, who owns its files"),
    "CKV_K8S_43": (
        DATABASE | FLINK | OURS | SERVERS,
        "digests belong to a registry, and yours is not known here; an overlay can pin them",
    ),
}
"""Findings that stay: the objects, and why."""


def scan(tools: Tools, framework: str, *arguments: str | Path) -> list[dict[str, Any]]:
    """Failed checks of checkov; it asks nobody on the network."""
    ran = tools.run(
        "checkov",
        *("--framework", framework, "--skip-download", "--quiet", "--compact"),
        *("--output", "json", "--soft-fail", *arguments),
    )
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 0
    found: list[dict[str, Any]] = report["results"]["failed_checks"]
    return found


def test_manifests(tools: Tools, flattened: Path) -> None:
    found = scan(tools, "kubernetes", "--directory", flattened)
    accepted = {(check, name) for check, (names, _) in ACCEPTED.items() for name in names}
    # A resource is Kind.namespace.name.
    failed = {(one["check_id"], one["resource"].rpartition(".")[2]) for one in found}
    assert failed - accepted == set()
    assert accepted - failed == set(), "accepted, but no longer found"


def test_weak_settings_are_found(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: weak, namespace: x}\n"
        "spec: {containers: [{name: a, image: b, securityContext: {privileged: true}}]}\n",
        "utf-8",
    )
    found = scan(tools, "kubernetes", "--directory", tmp_path)
    assert "CKV_K8S_16" in {one["check_id"] for one in found}


def test_dockerfile_by_checkov(tools: Tools) -> None:
    found = scan(tools, "dockerfile", "--file", K8S / "Dockerfile")
    # Kubernetes has probes of its own and ignores an image's.
    assert {one["check_id"] for one in found} == {"CKV_DOCKER_2"}


def test_dockerfile_by_hadolint(tools: Tools) -> None:
    ran = tools.run("hadolint", "--format", "json", PROJECT / "k8s" / "Dockerfile")
    found = {one["code"] for one in json.loads(ran.stdout)}
    assert found == {
        "DL3003",  # cd within one command: the folder is for that command alone
        "DL3008",  # Debian's packages have the versions of the base image's release
        "DL3009",  # apt's lists in a stage that is thrown away
    }
