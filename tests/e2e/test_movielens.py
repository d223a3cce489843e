"""Ratings: MovieLens by time, against what the mean rating alone would reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROW = {"userId": 15, "movieId": 1, "genres": ["Adventure", "Animation"]}


def test_ratings_are_predicted_better_than_by_the_mean(
    data_folder: Callable[[str], Path],
    command_line: Any,
    predict: Any,
    score_examples: Any,
    tmp_path: Path,
) -> None:
    folder = data_folder("movielens_latest_small")
    line = command_line("movielens_rating.yaml", "ratings.csv.gz", tmp_path / "out", folder)
    outcome = line.run()
    assert outcome.code == 0, outcome
    metrics = outcome.run["metrics"]
    assert "auc" not in metrics
    assert metrics["rmse"] < _rmse_of_the_mean(folder / "ratings.csv.gz", outcome.run["splits"])
    model = outcome.run["pushed_model"]
    (known,) = predict(model, [ROW])
    assert 1 < known < 6
    example = {"userId": ["15"], "movieId": ["1"], "genres": ROW["genres"]}
    assert score_examples(model, [example]) == pytest.approx([known], abs=1e-4)


def _rmse_of_the_mean(path: Path, splits: dict[str, int]) -> float:
    ratings = pd.read_csv(path).sort_values("timestamp").rating
    train, test = ratings[: splits["train"]], ratings[-splits["test"] :]
    return float(((test - train.mean()) ** 2).mean() ** 0.5)
