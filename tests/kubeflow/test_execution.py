"""The compiled YAML, executed: every task's own command line, a process each, on a real database.

The folder of the volume is a temporary one. PostgreSQL on Python 3.11, MariaDB on the newer ones.
"""

from __future__ import annotations

import itertools
import random
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubeflow.backend import FAILED, SUCCEEDED, Run
from tests.kubeflow.databases import Database
from tests.kubeflow.deployment import Deployment, Killer

pytestmark = pytest.mark.e2e

ROWS = 600


def write_span(root: Path, span: int) -> None:
    """One day of clicks: every third user clicks much."""
    drawn = random.Random(span)
    lines = ["ts,user,item,price,clicked"]
    for second in range(ROWS):
        user, item = drawn.randrange(20), drawn.randrange(10)
        clicked = int(drawn.random() < (0.8 if user % 3 == 0 else 0.2))
        stamp = 1_600_000_000 + 86_400 * span + second
        lines.append(f"{stamp},u{user},i{item},{drawn.random():.3f},{clicked}")
    path = root / "clicks" / f"day={span}" / "clicks.csv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")


def write_sentences(path: Path) -> None:
    """Numbers in two languages, digit by digit."""
    english = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    german = ["null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun"]
    lines = []
    for number in range(1000, 1400):
        digits = [int(digit) for digit in str(number)]
        lines.append("\t".join(" ".join(names[d] for d in digits) for names in (english, german)))
    path.write_text("\n".join(lines) + "\n")


def ranking_config(root: Path, name: str) -> dict[str, Any]:
    """What is tested is the way, not the model: it is tiny, and the gate lets it through."""
    return {
        "name": name,
        "data": {
            "path": f"{root}/clicks/day={{SPAN}}/*.csv",
            "label": "clicked",
            "timestamp": "ts",
            "categorical": ["user", "item"],
            "dense": ["price"],
        },
        "training": {"epochs": 1, "batch_size": 64},
        "evaluation": {"min_auc": 0.3},
    }


def translation_config(root: Path) -> dict[str, Any]:
    """The same for sentences."""
    return {
        "name": "numbers",
        "data": {
            "path": f"{root}/numbers.tsv",
            "source": {"language": "en", "column": 0},
            "target": {"language": "de", "column": 1},
        },
        "splits": {"by": "source", "eval": 0.1, "test": 0.1},
        "vocabulary": {"size": 60},
        "model": "tiny",
        "training": {"tokens_per_batch": 512, "steps": 10, "evaluate_every": 10},
        "evaluation": {"min_bleu": 0},
    }


def assert_all_done(deployment: Deployment, run: Run) -> None:
    """Each node has one execution that came to a good end, in the database."""
    states = deployment.executions(run)
    assert {"Ingest", "Transform", "Trainer", "Evaluator", "Pusher"} <= set(states)
    ended = {node: [one for one in found if one != "FAILED"] for node, found in states.items()}
    assert all(found in (["COMPLETE"], ["CACHED"]) for found in ended.values()), states
    assert not deployment.layout.metadata.exists()


def test_ranking_twice_and_then_nothing_to_do(
    tmp_path_factory: pytest.TempPathFactory, database: Database
) -> None:
    root = tmp_path_factory.mktemp("volume")
    ranking = Deployment("ranking", ranking_config(root, "clicks"), root, database)
    compiled = ranking.compile("--retrain")
    write_span(root, 1)
    first = ranking.run(compiled)
    assert first.state == SUCCEEDED, first
    result = ranking.result()
    assert (result["status"], result["spans"], len(ranking.versions)) == ("pushed", [1], 1)
    assert_all_done(ranking, first)
    (report,) = first.tasks["report"].attempts
    assert "</html>" in report.artifacts["report"].path.read_text()
    said = report.artifacts["metrics"].metadata
    assert said["auc"] == pytest.approx(result["metrics"]["auc"])

    # The second day; two tasks are killed and tried again.
    write_span(root, 2)
    killer = Killer(ranking.layout, ["transform", "trainer"])
    second = ranking.run(compiled, disturb=killer)
    assert second.state == SUCCEEDED, second
    result = ranking.result()
    assert (result["status"], result["spans"], len(ranking.versions)) == ("pushed", [2], 2)
    assert result["baseline"]
    assert_all_done(ranking, second)
    codes = {name: [a.code for a in task.attempts] for name, task in second.tasks.items()}
    assert killer.killed
    for name in killer.killed:
        assert codes[name] == [-signal.SIGKILL, 0]

    # Nothing is new.
    third = ranking.run(compiled)
    assert third.state == SUCCEEDED, third
    assert "Nothing new: span 2" in third.tasks["trainer"].log
    assert ranking.executions(third) == {}
    assert (ranking.result(), len(ranking.versions)) == (result, 2)


# A process for each task takes minutes: on one of the stacks only, that which has not the ten days.
@(pytest.mark.slow if sys.version_info < (3, 12) else pytest.mark.e2e)
def test_translation(tmp_path: Path, database: Database) -> None:
    write_sentences(tmp_path / "numbers.tsv")
    translation = Deployment("translation", translation_config(tmp_path), tmp_path, database)
    run = translation.run(translation.compile())
    assert run.state == SUCCEEDED, run
    assert translation.result()["status"] == "pushed"
    assert len(translation.versions) == 1
    assert_all_done(translation, run)
    (report,) = run.tasks["report"].attempts
    assert "bleu" in report.artifacts["metrics"].metadata


@pytest.mark.slow
def test_a_run_whose_tasks_are_killed_ends_as_one_whose_are_not(
    tmp_path: Path, database: Database
) -> None:
    for span in (1, 2):
        write_span(tmp_path, span)
    results = []
    for name in ("undisturbed", "disturbed"):
        ranking = Deployment("ranking", ranking_config(tmp_path, name), tmp_path, database)
        compiled = ranking.compile()
        tasks = [*re.findall(r"comp-([a-z-]+):", compiled.read_text())]
        killer = Killer(ranking.layout, tasks if name == "disturbed" else [])
        for span in (1, 2):
            run = ranking.run(compiled, span=span, disturb=killer)
            assert run.state == SUCCEEDED, run
            assert_all_done(ranking, run)
        assert len(ranking.versions) == 2
        assert bool(killer.killed) == (name == "disturbed")
        if name == "disturbed":  # others may be done before the killer sees that they have begun
            assert {"plan", "transform", "trainer", "report"} <= set(killer.killed)
        results.append(ranking.result())
    without, with_kills = results
    assert with_kills["metrics"] == pytest.approx(without["metrics"])
    assert with_kills["rows"] == without["rows"]


@pytest.mark.slow
def test_an_image_that_makes_another_graph_is_refused(tmp_path: Path, database: Database) -> None:
    write_span(tmp_path, 1)
    ranking = Deployment("ranking", ranking_config(tmp_path, "other"), tmp_path, database)
    compiled = ranking.compile()
    documents = list(yaml.safe_load_all(compiled.read_text()))
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        for option, value in itertools.pairwise(executor["container"]["args"]):
            if option == "--fingerprint":
                where = executor["container"]["args"].index(value)
                executor["container"]["args"][where] = value[::-1]
    compiled.write_text(yaml.safe_dump_all(documents))
    run = ranking.run(compiled)
    assert run.state == FAILED
    assert "This image makes another graph" in run.tasks["ingest"].log
    assert ranking.executions(run) == {}
    assert ranking.result()["status"] == "failed"
    assert "another graph" in run.tasks["report"].log
    assert ranking.versions == []
