"""Parquet with texts as ids, epoch milliseconds, and rows in no order."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

ROW = {"pair_id": "204969_86551", "cate": "5", "br": "479", "time": 1458049666000}


def test_parquet_to_a_pushed_model(
    data_folder: Callable[[str], Path],
    command_line: Any,
    predict: Any,
    score_examples: Any,
    tmp_path: Path,
) -> None:
    path = data_folder("jd_actions") / "bo_action.parquet"
    outcome = command_line("jd.yaml", path, tmp_path / "out", tmp_path).run()
    assert outcome.code == 0, outcome
    assert outcome.run["rows"]["read"] == outcome.run["rows"]["used"] == 89_187
    model = outcome.run["pushed_model"]
    scores = predict(model, [ROW, {**ROW, "br": "a new brand"}, {}])
    assert all(math.isfinite(score) and 0 < score < 1 for score in scores)
    example = {name: [ROW[name]] for name in ("pair_id", "cate", "br")}
    example["timestamp"] = [ROW["time"] // 1000]
    assert score_examples(model, [example]) == pytest.approx(scores[:1], abs=1e-5)
