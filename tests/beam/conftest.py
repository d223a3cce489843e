"""Both pipelines on Beam's in-memory runner and on another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.beam import samples
from tests.beam.cluster import Cluster
from tests.distributed.conftest import network  # noqa: F401  (a fixture)

Runs = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of a module are: `direct` and `other`, in each a folder for each task."""
    return tmp_path_factory.mktemp("beam")


@pytest.fixture(scope="module")
def cluster(network: list[str], tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: F811
    """Processes that end with the module."""
    with Cluster(network, tmp_path_factory.mktemp("cluster")) as opened:
        yield opened


@pytest.fixture(scope="module")
def runs(folder: Path) -> Runs:
    """Makes what `job` does: the tasks' pipelines in memory, then on a runner."""
    configs = {}
    for task, write in (("ranking", samples.clicks), ("translation", samples.sentences)):
        (folder / task).mkdir()
        configs[task] = write(folder / task)

    def make(
        beam: dict[str, Any], tasks: Sequence[str], nodes: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        return [
            {
                "task": task,
                "config": {**configs[task], "beam": settings},
                "out": str(folder / name / task),
                "nodes": nodes,
            }
            for name, settings in (("direct", {}), ("other", beam))
            for task in tasks
        ]

    return make
