"""Both pipelines from end to end on the portable runner, TFX's own steps included."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.beam import agreement
from tests.beam.cluster import PORTABLE, Cluster
from tests.beam.conftest import Runs
from tests.beam.outcome import Outcome

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TASKS = ("ranking", "translation")


@pytest.fixture(scope="module")
def outcomes(cluster: Cluster, folder: Path, runs: Runs) -> dict[str, tuple[Outcome, Outcome]]:
    """Of each task: in memory, and on the portable runner."""
    cluster.serve_jobs()
    cluster.serve_workers()
    cluster.run(runs({"runner": "portable", **PORTABLE}, TASKS))
    direct, other = folder / "direct", folder / "other"
    return {task: (Outcome(direct / task), Outcome(other / task)) for task in TASKS}


@pytest.mark.parametrize("task", TASKS)
def test_ingest(outcomes: dict[str, tuple[Outcome, Outcome]], task: str):
    agreement.same_ingest(*outcomes[task])


@pytest.mark.parametrize("task", TASKS)
def test_statistics(outcomes: dict[str, tuple[Outcome, Outcome]], task: str):
    agreement.same_statistics(*outcomes[task])


def test_vocabulary(outcomes: dict[str, tuple[Outcome, Outcome]]):
    agreement.same_vocabulary(*outcomes["translation"])


@pytest.mark.parametrize(
    ("task", "pattern"), [("ranking", "transform_fn/assets/*"), ("translation", "subwords/*")]
)
def test_transform(outcomes: dict[str, tuple[Outcome, Outcome]], task: str, pattern: str):
    agreement.same_transform(*outcomes[task], pattern)


@pytest.mark.parametrize("task", TASKS)
def test_the_gate_lets_the_model_pass(folder: Path, task: str, outcomes: object):
    # TFMA's workers have loaded the model and our metrics.
    for name in ("direct", "other"):
        (version,) = (folder / name / task / "serving").iterdir()
        assert (version / "saved_model.pb").exists()
