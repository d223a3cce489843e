"""Beam's portable runner: our steps in a job service and in workers of their own processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.beam import agreement
from tests.beam.cluster import PORTABLE, Cluster
from tests.beam.conftest import Runs
from tests.beam.outcome import Outcome

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def outcomes(cluster: Cluster, folder: Path, runs: Runs) -> tuple[Outcome, Outcome]:
    """Of the translation's steps that are ours: in memory, and on the portable runner."""
    cluster.serve_jobs()
    cluster.serve_workers()
    nodes = ("Ingest", "Schema", "SubwordVocabulary", "Transform")
    wanted = runs({"runner": "portable", **PORTABLE}, ["translation"], nodes)
    cluster.run([*wanted, broken(wanted[-1], folder)])
    return Outcome(folder / "direct/translation"), Outcome(folder / "other/translation")


def broken(one: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same run, of a file that no worker can read."""
    path = folder / "part.tsv.gz"
    path.write_bytes(b"no gzip at all")
    config = {**one["config"], "data": {**one["config"]["data"], "path": str(path)}}
    out = str(folder / "broken")
    return {**one, "config": config, "out": out, "nodes": ["Ingest"], "fails": True}


def test_ingest(outcomes: tuple[Outcome, Outcome]):
    agreement.same_ingest(*outcomes)


def test_vocabulary(outcomes: tuple[Outcome, Outcome]):
    agreement.same_vocabulary(*outcomes)


def test_transform(outcomes: tuple[Outcome, Outcome]):
    agreement.same_transform(*outcomes, "subwords/*")


def test_the_work_was_done_by_the_workers(outcomes: tuple[Outcome, Outcome], cluster: Cluster):
    # Ingest (twice: repeated pairs are looked for first), vocabulary, Transform, the broken one.
    assert cluster.workers_started() == 5


def test_what_a_worker_says(outcomes: tuple[Outcome, Outcome], folder: Path):
    error = (folder / "broken/error").read_text()
    assert error.startswith(f"InputError: {folder / 'part.tsv.gz'}: ")
    assert "Traceback" not in error
    assert "while running" not in error
