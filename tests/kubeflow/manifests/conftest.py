"""The tools, and every kustomization, built once."""

from __future__ import annotations

import os
import sys

import pytest

from tests.kubeflow.manifests import tools as tools_module
from tests.kubeflow.manifests.tools import K8S, Document, Tools


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Without the tools the tests are skipped; in CI the newer stack must have them.

    Debian 12's kubectl is too old, Debian 13's is not: there is no other place to have it from.
    """
    try:
        return Tools()
    except RuntimeError as missing:
        if os.environ.get("CI") and sys.version_info >= (3, 12):
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def built(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Document]]:
    """The documents of every kustomization, by its folder in k8s/."""
    return {
        str(folder.relative_to(K8S)): tools_module.build(folder, tmp_path_factory.mktemp("k8s"))
        for folder in tools_module.targets()
    }


@pytest.fixture(params=[str(folder.relative_to(K8S)) for folder in tools_module.targets()])
def kustomization(
    request: pytest.FixtureRequest, built: dict[str, list[Document]]
) -> list[Document]:
    """The documents of one kustomization after the other."""
    return built[request.param]
