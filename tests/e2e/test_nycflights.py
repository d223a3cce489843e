"""Real data of a real size: late flights, judged against a one-hot logistic regression."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

pytestmark = pytest.mark.e2e

COLUMNS = ["hour", "carrier", "origin", "dest", "weekday"]
SLACK = 0.005
DAYS, WINDOW = 14, 7
FLIGHT = {"hour": 5, "carrier": "UA", "origin": "EWR", "dest": "IAH", "distance": 1400}
TIMES = {"sched_dep_time": 515, "sched_arr_time": 819, "time_hour": "2013-01-01T10:00:00Z"}


@pytest.fixture(scope="module")
def flights(data_folder: Callable[[str], Path]) -> Path:
    return data_folder("nycflights13") / "flights.csv.xz"


@pytest.mark.slow
def test_auc_is_that_of_a_one_hot_logistic_regression_or_better(
    flights: Path, command_line: Any, predict: Any, score_examples: Any, tmp_path: Path
) -> None:
    outcome = command_line("nycflights.yaml", flights, tmp_path / "out", flights.parent).run()
    assert outcome.code == 0, outcome
    run = outcome.run
    assert run["rows"]["read"] == 336_776
    assert run["rows"]["by_reason"] == {"label_missing": 9_430}
    split = _split(flights)
    assert run["splits"] == {name: len(rows) for name, rows in split.items()}
    reference = _reference(split["train"], split["test"])
    with_eval = _reference(pd.concat([split["train"], split["eval"]]), split["test"])
    figures = f"model {run['metrics']['auc']:.4f}, logistic regression {reference:.4f}"
    assert run["metrics"]["auc"] >= max(reference, with_eval) - SLACK, figures
    _check_model(run["pushed_model"], predict, score_examples)


def test_a_window_of_days_reads_the_newest_ones_and_tests_on_the_last(
    flights: Path, command_line: Any, tmp_path: Path
) -> None:
    labelled, read = _write_days(flights, tmp_path / "days", DAYS)
    outcome = command_line(
        "nycflights.yaml", tmp_path / "days" / "{YYYY}{MM}{DD}.csv", tmp_path / "out", tmp_path
    ).run(f"spans.window={WINDOW}", "evaluation.first_run=bless", "training.epochs=2")
    assert outcome.code == 0, outcome
    run = outcome.run
    newest = (pd.Timestamp(2013, 1, DAYS) - pd.Timestamp(1970, 1, 1)).days
    assert run["spans"] == list(range(newest - WINDOW + 1, newest + 1))
    assert run["rows"]["read"] == sum(read[-WINDOW:])
    assert run["rows"]["used"] == sum(labelled[-WINDOW:])
    assert run["splits"]["test"] == labelled[-1]
    assert f"test is the newest span, {newest}" in outcome.stdout


def _split(path: Path) -> dict[str, pd.DataFrame]:
    """The same rows in the same splits, by pandas: the latest tenth is test, that before eval."""
    rows = pd.read_csv(path).dropna(subset="arr_delay")
    times = pd.to_datetime(rows.time_hour, utc=True)
    rows["weekday"] = pd.to_datetime(rows[["year", "month", "day"]]).dt.weekday
    values, counts = np.unique(times, return_counts=True)
    before = np.cumsum(counts) - counts
    starts = [values[np.abs(before - share * len(rows)).argmin()] for share in (0.8, 0.9)]
    number = np.searchsorted(np.array(starts), times.to_numpy(), side="right")
    return {name: rows[number == i] for i, name in enumerate(("train", "eval", "test"))}


def _reference(train: pd.DataFrame, test: pd.DataFrame) -> float:
    """AUC of the logistic regression."""
    encoder = OneHotEncoder(handle_unknown="ignore").fit(train[COLUMNS])
    model = LogisticRegression(max_iter=300)
    model.fit(encoder.transform(train[COLUMNS]), train.arr_delay > 15)
    scores = model.predict_proba(encoder.transform(test[COLUMNS]))[:, 1]
    return float(roc_auc_score(test.arr_delay > 15, scores))


def _check_model(model: str, predict: Any, score_examples: Any) -> None:
    """Rows and examples get the same score; whatever is missing, odd or unknown gets one."""
    known = {**FLIGHT, **TIMES, "flight": 1545}
    odd = {**FLIGHT, "dest": "XYZ", "distance": "NaN", "sched_dep_time": None}
    scores = predict(model, [known, odd, {}])
    assert all(math.isfinite(score) and 0 < score < 1 for score in scores)
    assert predict(model, [known]) == pytest.approx(scores[:1], abs=1e-5)
    texts = {n: [str(known[n])] for n in ("hour", "carrier", "origin", "dest", "flight")}
    numbers = {n: [float(known[n])] for n in ("distance", "sched_dep_time", "sched_arr_time")}
    example = {**texts, **numbers, "timestamp": [1357034400]}
    assert score_examples(model, [example]) == pytest.approx(scores[:1], abs=1e-5)


def _write_days(path: Path, folder: Path, days: int) -> tuple[list[int], list[int]]:
    """One file for each day; the numbers of rows with a label, and of all rows, by day."""
    rows = pd.read_csv(path, dtype=str, nrows=20_000)  # in the order of time
    folder.mkdir()
    labelled, read = [], []
    for day in range(1, days + 1):
        chosen = rows[(rows.month == "1") & (rows.day == str(day))]
        chosen.to_csv(folder / f"201301{day:02}.csv", index=False)
        labelled.append(int(chosen.arr_delay.notna().sum()))
        read.append(len(chosen))
    return labelled, read
