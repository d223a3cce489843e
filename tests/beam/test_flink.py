"""The same on a real Flink: Beam's job server with a Flink cluster inside, workers beside it.

`make test-flink`. Takes Java, and Maven to fetch the job server, or BABELRANK_FLINK_JOB_SERVER, the
path of its jar.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import apache_beam
import pytest

from tests.beam import agreement
from tests.beam.cluster import JOBS, PORTABLE, Cluster
from tests.beam.conftest import Runs
from tests.beam.outcome import Outcome

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FLINK = "1.20"
JAR = "BABELRANK_FLINK_JOB_SERVER"
TASKS = ("ranking", "translation")
NODES = ("Ingest", "StatisticsGen", "Schema", "SubwordVocabulary", "Transform")

# What Flink reaches into; its own start scripts open the same to it.
OPENED = ("java.io", "java.lang", "java.lang.reflect", "java.net", "java.nio", "java.text")
OPENED += ("java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic")
OPENED += ("java.util.concurrent.locks", "sun.nio.ch")


@pytest.fixture(scope="module")
def job_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The jar of Beam's job server, with Flink inside."""
    if not shutil.which("java"):
        pytest.skip("Flink takes Java, and there is no `java` here")
    if given := os.environ.get(JAR):
        return Path(given)
    if not shutil.which("mvn"):
        pytest.skip(f"there is no `mvn` to fetch Beam's Flink job server; {JAR} may name its jar")
    folder = tmp_path_factory.mktemp("jar")
    artifact = f"org.apache.beam:beam-runners-flink-{FLINK}-job-server:{apache_beam.__version__}"
    command = ["mvn", "--batch-mode", "--quiet", "--update-snapshots", "dependency:copy"]
    done = subprocess.run(
        [*command, f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    found = list(folder.glob("*.jar"))
    if not found:
        said = [line for line in done.stdout.splitlines() if "ERROR" in line]
        pytest.skip(f"Maven has no {artifact} here ({JAR} may name the jar): {said[:1]}")
    return found[0]


@pytest.fixture(scope="module")
def outcomes(
    job_server: Path, cluster: Cluster, folder: Path, runs: Runs
) -> dict[str, tuple[Outcome, Outcome]]:
    """Of each task: in memory, and on Flink."""
    staging = folder / "staging"
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
    server = ["java", "-Xmx2g", *opened, "-jar", str(job_server), "--flink-master=[local]"]
    ports = [f"--job-port={JOBS}", "--artifact-port=8098", "--expansion-port=8097"]
    cluster.serve_workers()
    cluster.serve("jobs", [*server, *ports, f"--artifacts-dir={staging}"], JOBS, seconds=120)
    cluster.run(runs({"runner": "flink", **PORTABLE, "parallelism": 2}, TASKS, NODES))
    return {
        task: tuple(Outcome(folder / name / task) for name in ("direct", "other")) for task in TASKS
    }


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


def test_the_work_was_done_by_the_workers(outcomes: object, cluster: Cluster):
    # Ingest twice, statistics and Transform for each task, and the vocabulary.
    assert cluster.workers_started() >= 9
