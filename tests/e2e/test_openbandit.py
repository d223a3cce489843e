"""Folders by day and a rolling window, as a scheduled retraining would see them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FILES = ("random.all.csv.gz", "bts.all.csv.gz")
FIRST = datetime.date(2019, 11, 24)
DAYS, WINDOW = 7, 3


def test_the_window_rolls_on_when_a_day_arrives(
    data_folder: Callable[[str], Path], command_line: Any, predict: Any, tmp_path: Path
) -> None:
    rows = pd.concat([pd.read_csv(data_folder("openbandit") / name) for name in FILES])
    days, later = tmp_path / "days", tmp_path / "later"
    by_day = [_write_day(rows, number, days if number < DAYS - 1 else later) for number in range(7)]
    pattern = days / "{YYYY}-{MM}-{DD}" / "*.csv"
    line = command_line("openbandit.yaml", pattern, tmp_path / "out", tmp_path)
    before = line.run()
    _check(before, DAYS - 2, by_day)
    (later / _name(DAYS - 1)).rename(days / _name(DAYS - 1))
    after = line.run()
    _check(after, DAYS - 1, by_day)
    assert after.states["Ingest"] == "ran"
    assert len(after.versions) == 2
    assert after.run["baseline"] is not None
    scores = predict(line.out / "serving", [{"item_id": 14, "timestamp": None}, {"item_id": "?"}])
    assert all(math.isfinite(score) and 0 < score < 1 for score in scores)


def _check(outcome: Any, newest: int, by_day: list[int]) -> None:
    assert outcome.code == 0, outcome
    run = outcome.run
    first = (FIRST - datetime.date(1970, 1, 1)).days
    assert run["spans"] == list(range(first + newest - WINDOW + 1, first + newest + 1))
    assert run["rows"]["read"] == sum(by_day[newest - WINDOW + 1 : newest + 1])
    assert run["splits"]["test"] == by_day[newest]  # negatives are thinned in train alone
    (reason,) = run["rows"]["by_reason"]
    assert reason == "negative_not_sampled"
    assert run["rows"]["used"] + run["rows"]["dropped"] == run["rows"]["read"]
    assert "position = 1 in every row" in outcome.stdout


def _write_day(rows: pd.DataFrame, number: int, folder: Path) -> int:
    """Writes the file of one day; the number of its rows."""
    chosen = rows[rows.timestamp.str.startswith(_name(number))]
    (folder / _name(number)).mkdir(parents=True)
    chosen.to_csv(folder / _name(number) / "impressions.csv", index=False)
    return len(chosen)


def _name(number: int) -> str:
    return str(FIRST + datetime.timedelta(days=number))
