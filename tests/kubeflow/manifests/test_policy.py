"""A scan of the manifests and the Dockerfile for weak settings; what is accepted has a reason."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from tests.kubeflow.manifests.tools import K8S, Document, Tools

DATABASE = {"metadata-db"}
FLINK = {"beam-job-server"}
OURS = {
    "babelrank-shell",
    *(
        f"babelrank-{what}-{name}"
        for what in ("clean", "retrain")
        for name in ("ranking", "translation")
    ),
}
SERVERS = {"babelrank-ranking", "babelrank-translation"}

ACCEPTED = {
    "CKV_K8S_8": (
        SERVERS,
        "TensorFlow Serving opens no port until the first version is there, however long that is",
    ),
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


WEAK = """
apiVersion: v1
kind: Pod
metadata: {name: weak, namespace: x}
spec: {containers: [{name: a, image: b, securityContext: {privileged: true}}]}
"""
"""What has to be found."""


@pytest.fixture(scope="module")
def failed(
    built: dict[str, list[Document]], tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> set[tuple[str, str]]:
    """Failed checks of checkov, which asks nobody on the network, and what they are about."""
    folder = tmp_path_factory.mktemp("policy")
    different = {json.dumps(one): one for documents in built.values() for one in documents}
    (folder / "all.yaml").write_text(yaml.safe_dump_all(different.values()), "utf-8")
    (folder / "weak.yaml").write_text(WEAK, "utf-8")
    shutil.copy(K8S / "Dockerfile", folder)
    ran = tools.run(
        "checkov",
        *("--framework", "kubernetes", "dockerfile", "--skip-download", "--quiet", "--compact"),
        *("--output", "json", "--soft-fail", "--directory", folder),
    )
    assert ran.returncode == 0, ran.stderr
    reports = json.loads(ran.stdout)
    assert {report["check_type"] for report in reports} == {"kubernetes", "dockerfile"}
    found: set[tuple[str, str]] = set()
    for report in reports:
        assert report["summary"]["parsing_errors"] == 0
        assert report["summary"]["passed"] > 0
        for one in report["results"]["failed_checks"]:
            # A resource is Kind.namespace.name, or a file and an instruction.
            found.add((one["check_id"], one["resource"].rpartition(".")[2]))
    return found


def test_manifests(failed: set[tuple[str, str]]) -> None:
    accepted = {(check, name) for check, (names, _) in ACCEPTED.items() for name in names}
    found = {one for one in failed if one[1] != "weak" and not one[0].startswith("CKV_DOCKER")}
    assert found - accepted == set()
    assert accepted - found == set(), "accepted, but no longer found"


def test_weak_settings_are_found(failed: set[tuple[str, str]]) -> None:
    assert ("CKV_K8S_16", "weak") in failed


def test_dockerfile_by_checkov(failed: set[tuple[str, str]]) -> None:
    # Kubernetes has probes of its own and ignores an image's.
    assert {check for check, _ in failed if check.startswith("CKV_DOCKER")} == {"CKV_DOCKER_2"}


def test_dockerfile_by_hadolint(tools: Tools) -> None:
    ran = tools.run("hadolint", "--format", "json", K8S / "Dockerfile")
    found = {one["code"] for one in json.loads(ran.stdout)}
    assert found == {
        "DL3003",  # cd within one command: the folder is for that command alone
        "DL3008",  # Debian's packages have the versions of the base image's release
        "DL3009",  # apt's lists in a stage that is thrown away
    }
