"""One output folder through its life: interrupted, resumed, run again, refused; and bad input.

The runs of the first group share a folder; each fixture needs the one before it.
"""

from __future__ import annotations

import gzip
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import RESUME

pytestmark = pytest.mark.e2e

# Long enough to be interrupted, short enough to wait for.
SETTINGS = ("training.epochs=20", "training.early_stopping.patience=0")
BEFORE_TRAINER = ("Ingest", "Schema", "StatisticsGen", "Transform", "ExampleValidator")
ROW = {"userId": 15, "movieId": 1, "genres": "Adventure|Animation|Children|Comedy|Fantasy"}
STRANGERS = [{"userId": "nobody", "movieId": "nothing", "genres": ["Opera"]}, {}]


@pytest.fixture(scope="module")
def movielens(data_folder: Callable[[str], Path]) -> Path:
    return data_folder("movielens_latest_small")


@pytest.fixture(scope="module")
def line(command_line: Any, movielens: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("movielens") / "out"
    return command_line("movielens_click.yaml", "ratings.csv.gz", out, movielens, SETTINGS)


@pytest.fixture(scope="module")
def interrupted(line: Any) -> Any:
    return line.interrupted(after="eval at step")


@pytest.fixture(scope="module")
def resumed(line: Any, interrupted: Any) -> Any:
    return line.run()


@pytest.fixture(scope="module")
def again(line: Any, resumed: Any) -> tuple[Any, float]:
    begun = time.monotonic()
    outcome = line.run()
    return outcome, time.monotonic() - begun


def test_ctrl_c_in_training_says_that_the_command_goes_on_from_there(interrupted: Any) -> None:
    assert interrupted.code == RESUME, interrupted
    assert interrupted.run["status"] == "interrupted"
    assert interrupted.run["pushed_model"] is None
    assert interrupted.states["Transform"] == "ran"
    assert interrupted.states["Pusher"] == "not reached"
    assert "The same command goes on from here." in interrupted.stdout
    assert "Traceback" not in interrupted.stdout + interrupted.stderr


def test_the_same_command_resumes_where_it_was_and_pushes(interrupted: Any, resumed: Any) -> None:
    assert resumed.code == 0, resumed
    (step,) = map(int, re.findall(r"training: resumed at step (\d+)", resumed.stderr))
    reached = max(map(int, re.findall(r"eval at step (\d+)", interrupted.stderr)))
    assert step >= reached
    assert f"eval at step {reached}:" not in resumed.stderr  # not done twice
    assert resumed.run["status"] == "pushed"
    assert {resumed.states[name] for name in BEFORE_TRAINER} == {"cached"}
    assert resumed.states["Trainer"] == "ran"


def test_run_json_accounts_for_every_row(resumed: Any) -> None:
    run = resumed.run
    assert run["rows"]["read"] == run["rows"]["used"] == sum(run["splits"].values()) == 100_004
    assert run["splits"]["test"] == pytest.approx(10_000, abs=50)
    assert run["metrics"]["examples"] == run["splits"]["test"]
    assert run["metrics"]["auc"] > 0.62
    assert run["baseline"] is None


def test_the_pushed_model_scores_rows_and_examples_alike(
    line: Any, resumed: Any, predict: Any, score_examples: Any
) -> None:
    model = resumed.run["pushed_model"]
    known, *strange = predict(line.out / "serving", [ROW, *STRANGERS])
    assert 0 < known < 1
    assert all(math.isfinite(score) for score in strange)
    assert predict(model, [ROW]) == pytest.approx([known], abs=1e-5)  # a batch of one
    example = {"userId": ["15"], "movieId": ["1"], "genres": ROW["genres"].split("|")}
    assert score_examples(model, [example]) == pytest.approx([known], abs=1e-5)


def test_the_same_command_again_trains_and_pushes_nothing(again: Any, resumed: Any) -> None:
    outcome, seconds = again
    assert outcome.code == 0, outcome
    assert {outcome.states[name] for name in (*BEFORE_TRAINER, "Trainer")} == {"cached"}
    assert outcome.versions == resumed.versions
    assert len(outcome.versions) == 1
    assert outcome.run["pushed_model"] == resumed.run["pushed_model"]
    assert outcome.run["baseline"] is None  # still the first model, and no baseline of its own
    assert seconds < 60


def test_a_refusal_names_metric_value_and_threshold(line: Any, again: Any) -> None:
    outcome = line.run("evaluation.min_auc=0.95")
    assert outcome.code == 3, outcome
    assert outcome.states["Trainer"] == "cached"
    assert outcome.run["status"] == "refused"
    assert outcome.run["pushed_model"] is None
    assert outcome.versions == again[0].versions
    value = outcome.run["metrics"]["auc"]
    assert f"auc is {value:.4f}, below evaluation.min_auc = 0.95" in outcome.stdout


def test_too_many_bad_rows_stop_the_run_with_the_three_commonest_reasons(
    command_line: Any, movielens: Path, tmp_path: Path
) -> None:
    with gzip.open(movielens / "ratings.csv.gz", "rt", encoding="utf-8") as file:
        lines = [next(file) for _ in range(5001)]
    lines[100:104] = ["1,31,2.5,yesterday\n"] * 4
    lines[200:203] = ["1,31,good,1260759144\n"] * 3
    lines[300:402] = ["1,31,2.5\n"] * 102
    lines[500:502] = ["1,31,,1260759144\n"] * 2
    path = tmp_path / "ratings.csv"
    path.write_text("".join(lines), encoding="utf-8")
    outcome = command_line("movielens_click.yaml", path, tmp_path / "out", movielens).run()
    assert outcome.code == 1, outcome
    assert outcome.run["status"] == "failed"
    shown = outcome.stdout
    assert "111 of 5,000 rows are bad (2.22%; ingest.max_bad_fraction allows 1.00%)" in shown
    reasons = re.findall(rf"(\w+): (\d+) rows?, such as {re.escape(str(path))}, line (\d+)", shown)
    assert [(count, at) for _, count, at in reasons] == [("102", "301"), ("4", "101"), ("3", "201")]
    assert [name for name, _, _ in reasons[1:]] == ["bad_timestamp", "bad_label"]
    assert "Traceback" not in shown + outcome.stderr


def test_an_unknown_key_is_a_usage_error_with_the_nearest_key(line: Any) -> None:
    outcome = line.run("training.epoch=3")
    assert outcome.code == 2
    assert "training.epoch: unknown key. Did you mean epochs?" in outcome.stderr


def test_a_truncated_file_is_an_error_that_names_it(
    command_line: Any, movielens: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ratings.csv.gz"
    path.write_bytes((movielens / "ratings.csv.gz").read_bytes()[:300_000])
    outcome = command_line("movielens_click.yaml", path, tmp_path / "out", movielens).run()
    assert outcome.code == 1, outcome
    assert f"{path}: cannot read the file" in outcome.stdout
    assert outcome.run["status"] == "failed"
