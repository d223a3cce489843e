"""What the tests of k8s/ run: kubectl's kustomize, and linters in an environment of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]
K8S = PROJECT / "k8s"

Document = dict[str, Any]


class Tools:
    """The tools, installed by scripts/kubernetes-tools into a folder beside the packages of ours.

    Raises:
        RuntimeError: They cannot be installed here.
    """

    def __init__(self) -> None:
        self.folder = Path(sys.prefix) / "kubernetes-tools"
        made = subprocess.run(
            [PROJECT / "scripts" / "kubernetes-tools", self.folder],
            env={**os.environ, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise RuntimeError(made.stderr.strip())

    def run(
        self, name: str, *arguments: str | Path, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a tool, or a Python file of ours with the tools' packages."""
        return subprocess.run(
            [self.folder / "bin" / name, *arguments], input=given, capture_output=True, text=True
        )

    @cached_property
    def packages(self) -> Path:
        """Where the tools' Python packages are."""
        return next(self.folder.glob("lib/python3*/site-packages"))


def kustomize(folder: Path) -> list[Document]:
    """Builds a kustomization.

    Raises:
        ValueError: kustomize refuses it.
    """
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
    if built.returncode:
        raise ValueError(f"{folder}: {built.stderr}")
    return list(yaml.safe_load_all(built.stdout))


def targets() -> list[Path]:
    """All kustomizations of k8s/, components too."""
    return sorted(path.parent for path in K8S.rglob("kustomization.yaml"))


def build(folder: Path, scratch: Path) -> list[Document]:
    """The documents of a kustomization; of one that is no overlay, what it and the base make.

    A component changes what others bring, and the other parts need accounts and volumes of the
    base: they are built as an overlay would build them, with all CronJobs, which components change.

    Args:
        folder: Where its kustomization.yaml is.
        scratch: An empty folder.
    """
    if folder.parent.name == "overlays":
        return kustomize(folder)
    copy = scratch / "k8s"
    shutil.copytree(K8S, copy)
    part = os.path.join("..", folder.relative_to(K8S))
    base, jobs = "../base", ["../components/retraining", "../components/cleaning"]
    component = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    is_component = component.get("kind") == "Component"
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "kubeflow",
        "resources": list(dict.fromkeys([base, base if is_component else part])),
        "components": list(dict.fromkeys([*jobs, part] if is_component else jobs)),
        "images": [
            {"name": "babelrank", "newTag": "0.1.0"},
            {"name": "babelrank-gpu", "newName": "babelrank", "newTag": "0.1.0-gpu"},
            {"name": "babelrank-serve", "newTag": "0.1.0"},
        ],
    }
    (copy / "composed").mkdir()
    (copy / "composed" / "kustomization.yaml").write_text(json.dumps(content), "utf-8")
    return kustomize(copy / "composed")
