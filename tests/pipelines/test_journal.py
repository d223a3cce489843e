"""Tests of the journal: what it keeps, what it refuses, and how it ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import ConfigError, InputError
from babelrank.pipelines.journal import Journal, Trial

SEARCH: dict[str, Any] = {"mode": "max", "seed": 42, "config": {"model": {"dropout": 0.0}}}


def trial(number: int, status: str = "completed", metric: float | None = 0.5) -> Trial:
    values = {"a.b": number, "c": [1, None]}
    done = status == "completed"
    return Trial(
        number=number,
        values=values,
        status=status,  # type: ignore[arg-type]
        metric=metric if done else None,
        metrics={"auc": metric, "calibration": None} if done else {},
        error=None if done else "no",
    )


def test_what_was_added_is_read_again(tmp_path: Path):
    path = tmp_path / "deep" / "trials.json"
    journal = Journal(path, SEARCH)
    assert json.loads(path.read_text())["trials"] == []
    trials = [trial(1), trial(2, "failed"), trial(3, "invalid")]
    for each in trials:
        journal.add(each)
    again = Journal(path, SEARCH)
    assert again.trials == trials
    assert again.find(2) == trials[1]
    assert again.find(4) is None
    assert [p.name for p in path.parent.iterdir()] == ["trials.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "is of another search: seed was 42 and now is 1. Take back the change"),
        (
            {"config": {"model": {"dropout": 0.5}}},
            r"config\.model\.dropout was 0\.0 and now is 0\.5",
        ),
        ({"space": {"a": [1]}}, r"space was None and now is {'a': \[1\]}"),
    ],
)
def test_another_search_is_refused(tmp_path: Path, change: dict[str, Any], message: str):
    path = tmp_path / "trials.json"
    Journal(path, SEARCH).add(trial(1))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=message):
        Journal(path, {**SEARCH, **change})
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"search": {}, "trials": [{"nummer": 1}]}'])
def test_no_journal(tmp_path: Path, text: str):
    path = tmp_path / "trials.json"
    path.write_text(text)
    with pytest.raises(InputError, match="holds no trials of a search"):
        Journal(path, SEARCH)
    assert path.read_text() == text


@pytest.mark.parametrize(("mode", "order"), [("max", [3, 1, 4]), ("min", [1, 4, 3])])
def test_the_best_is_first_and_of_equals_the_earlier(tmp_path: Path, mode: str, order: list[int]):
    journal = Journal(tmp_path / "trials.json", {**SEARCH, "mode": mode})
    for each in (trial(1), trial(2, "failed"), trial(3, metric=0.7), trial(4)):
        journal.add(each)
    assert [each.number for each in journal.ranked()] == order


def test_failures_in_a_row(tmp_path: Path):
    journal = Journal(tmp_path / "trials.json", SEARCH)
    assert journal.failures() == 0
    counts = []
    for each in (trial(1, "failed"), trial(2), trial(3, "failed"), trial(4, "invalid")):
        journal.add(each)
        counts.append(journal.failures())
    assert counts == [1, 0, 1, 2]
    journal.forget_failures()
    assert [each.number for each in journal.trials] == [1, 2]
    assert Journal(journal.path, SEARCH).trials == journal.trials
