"""Tests of what a search says and of the configuration that it writes."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.config import from_dict, load_yaml
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.journal import Journal, Trial
from babelrank.pipelines.search import Plan, Proposal
from babelrank.pipelines.search_space import configured
from babelrank.pipelines.tuning_report import ROWS, Reporter, TrialBar, duration, table, write_best

PLAN = Plan(method="random", metric="auc", mode="max")
DIM, DROPOUT = "model.embedding_dim", "model.dropout"
CONFIG = from_dict(
    RankingConfig,
    {
        "data": {"path": "x", "label": "y", "categorical": ["user"]},
        "evaluation": {"min_auc": 0.6},
    },
)


def trial(number: int, metric: float | None, seconds: float = 2.0, **more: Any) -> Trial:
    values = {DIM: 8 * number, DROPOUT: 0.1}
    return Trial(
        number=number,
        values=values,
        status="failed" if metric is None else "completed",
        metric=metric,
        steps=100,
        seconds=seconds,
        error="it broke" if metric is None else None,
        **more,
    )


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "trials.json", {"mode": "max"})


def test_lines_of_trials(journal: Journal):
    said: list[str] = []
    reporter = Reporter(said.append, PLAN, journal, [1, 1, 1])
    for ended in (trial(1, 0.61234), trial(2, None), trial(3, 0.7)):
        proposal = Proposal(number=ended.number, values=ended.values)
        reporter.begins(proposal)
        journal.add(ended)
        reporter.ended(proposal, ended, 60.0 * ended.number)
    assert said == [
        "Trial 1 of 3: embedding_dim 8, dropout 0.1",
        "Trial 1 of 3: auc 0.6123 (best so far); 1:00 min, about 2:00 min left",
        "Trial 2 of 3: embedding_dim 16, dropout 0.1",
        "Trial 2 of 3: failed: it broke; best so far 0.6123 (trial 1); 2:00 min, "
        "about 1:30 min left",
        "Trial 3 of 3: embedding_dim 24, dropout 0.1",
        "Trial 3 of 3: auc 0.7 (best so far); 3:00 min",
    ]


def test_time_left_goes_by_epochs(journal: Journal):
    said: list[str] = []
    journal.add(trial(1, 0.5))  # in an earlier call
    reporter = Reporter(said.append, PLAN, journal, [1, 1, 2, 6])
    proposal = Proposal(number=2, values={DIM: 8}, epochs=1)
    journal.add(trial(2, 0.6))
    reporter.ended(proposal, trial(2, 0.6), 3.0)
    assert said.pop().endswith("; 3.0 s, about 24.0 s left")
    reporter.begins(Proposal(number=3, values={DIM: 8}, epochs=3, begins=1, continues=2))
    assert said == ["Trial 3 of 4: embedding_dim 8; up to epoch 3, on from trial 2"]


def test_names_are_as_long_as_they_must_be(journal: Journal):
    said: list[str] = []
    values = {"training.optimizer.name": "adam", "training.embedding_optimizer.name": None}
    Reporter(said.append, PLAN, journal, [1]).begins(Proposal(number=1, values=values))
    assert said == ["Trial 1 of 1: optimizer.name adam, embedding_optimizer.name null"]


def test_the_table_has_the_best_first(journal: Journal):
    for each in (trial(1, 0.6), trial(2, None), trial(3, 0.71239, seconds=100)):
        journal.add(each)
    assert table(journal, "auc") == [
        "trial     auc  embedding_dim  dropout  steps      time",
        "    3  0.7124             24      0.1    100  1:40 min",
        "    1     0.6              8      0.1    100     2.0 s",
        "    2    null             16      0.1    100     2.0 s  failed",
    ]


def test_a_long_table_is_cut(journal: Journal):
    for number in range(1, ROWS + 4):
        journal.add(trial(number, number / 100))
    lines = table(journal, "auc")
    assert len(lines) == 1 + ROWS + 1
    assert lines[1].split()[0] == str(ROWS + 3)
    assert lines[-1] == f"… and 3 more in {journal.path}"


def test_the_best_configuration_is_complete(journal: Journal, tmp_path: Path):
    path = tmp_path / "best.yaml"
    best = trial(2, 0.7)
    write_best(path, CONFIG, PLAN, best, journal)
    assert path.read_text().splitlines()[:3] == [
        "# By `babelrank tune ranking --search random --seed 42`, trial 2:",
        "# auc 0.7 on the eval split. All trials: trials.json",
        "name: ranking",
    ]
    loaded = load_yaml(RankingConfig, path)
    assert loaded == configured(CONFIG, best.values)
    assert (loaded.model.embedding_dim, loaded.model.dropout) == (16, 0.1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.96, "10.0 s"), (61.4, "1:01 min"), (3723, "1:02:03 h")]
)
def test_duration(seconds: float, text: str):
    assert duration(seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_steps_are_for_terminals_and_evaluations_for_the_log(
    stream: io.StringIO, shown: bool, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "babelrank")
    bar = TrialBar(stream)
    bar.start(0, 10)
    bar.update(10, 10, 0.5, 100.0)
    bar.note("eval at step 10: auc 0.5")
    bar.close()
    assert ("0/10 [" in stream.getvalue()) is shown
    assert "eval" not in stream.getvalue()
    assert caplog.messages == ["eval at step 10: auc 0.5"]
