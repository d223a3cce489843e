"""Runs on data that moved: reported, and refused when the configuration says so."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.config import apply_override, from_dict
from babelrank.components.evaluation.report import RunSummary, StepSummary, verdict_lines
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.run import run_pipeline

# TFX calls what protobuf deprecates, and protobuf blames the caller's caller: us.
# Takes minutes, and its parts are tested on every stack: as a whole on one of them only.
pytestmark = [
    pytest.mark.e2e,
    *([pytest.mark.slow] if sys.version_info >= (3, 12) else []),
    pytest.mark.filterwarnings("ignore:label:DeprecationWarning"),
]

FIRST = "Drift: there is no serving model of other examples"


def clicks(path: Path, systems: Sequence[str], price: float) -> None:
    """3000 clicks of some systems, all equally frequent; one price in ten is missing."""
    drawn = random.Random(price)
    path.parent.mkdir()
    lines = ["ts,user,os,price,clicked"]
    for second in range(3000):
        user = drawn.randrange(30)
        cost = "" if drawn.random() < 0.1 else f"{drawn.gauss(price, 1):.3f}"
        clicked = int(drawn.random() < (0.8 if user % 3 == 0 else 0.2))
        time = 1_600_000_000 + second
        lines.append(f"{time},u{user},{drawn.choice(systems)},{cost},{clicked}")
    path.write_text("\n".join(lines) + "\n")


class Days:
    """Runs over days of clicks, in one process, with one output folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        clicks(folder / "day-1" / "x.csv", "abcd", 10)
        clicks(folder / "day-2" / "x.csv", "abce", 13)

    def run(self, day: int, *settings: str) -> tuple[RunSummary, dict[str, Any]]:
        """What a run came to, and its run.json."""
        data: dict[str, Any] = {
            "data": {
                "path": f"{self.folder}/day-{{SPAN}}/x.csv",
                "label": "clicked",
                "timestamp": "ts",
                "categorical": ["user", "os"],
                "dense": ["price"],
            },
            "spans": {"span": day},
            "model": {"preset": "tiny"},
            "training": {"epochs": 1},
            "evaluation": {"min_auc": 0.1},  # what is tested is what drift refuses
        }
        for setting in settings:
            apply_override(data, setting)
        config = from_dict(RankingConfig, data)
        summary, error = run_pipeline(config, self.folder / "out", _unwatched)
        if error is not None:
            raise error
        return summary, json.loads((self.folder / "out" / "run.json").read_text())


def _unwatched(step: StepSummary, number: int, steps: int) -> None:
    """Nobody looks on."""


def test_data_that_moved(tmp_path: Path) -> None:
    days = Days(tmp_path)
    first, content = days.run(1)
    assert first.status == "pushed"
    assert first.drift is not None
    assert first.drift.notes[0].startswith(FIRST)
    assert first.drift.beyond == ()
    assert set(content["drift"]) == {"user", "os", "price", "label"}
    assert {one["drift"] for one in content["drift"].values()} == {None}

    refused, content = days.run(2, "drift.action=refuse")
    assert (refused.status, refused.blessed, content["pushed_model"]) == ("refused", False, None)
    texts = [finding.text for finding in refused.verdict if not finding.ok]
    assert [text.split(" by 0.")[0] for text in texts] == [
        "price drifted from the serving model's training data to this run's",
        "os drifted from the serving model's training data to this run's",
    ]
    assert "'d' 2" in texts[1] and "'e' 0 % -> 2" in texts[1]
    assert "mean 1" in texts[0]
    drifted = content["drift"]
    assert drifted["os"]["drift"] == pytest.approx(0.25, abs=0.03)
    assert drifted["price"]["drift"] > 0.5
    assert drifted["price"]["missing"] == pytest.approx(0.1, abs=0.03)
    assert [drifted[name]["beyond"] for name in ("os", "price", "user", "label")] == [
        True,
        True,
        False,
        False,
    ]
    assert max(drifted["user"]["drift"], drifted["label"]["drift"]) < 0.05
    assert "os drifted" in (tmp_path / "out" / "report.html").read_text()

    reported, _ = days.run(2)
    assert reported.status == "pushed"
    assert all(finding.ok for finding in reported.verdict)
    assert {step.name: step.state for step in reported.steps}["Trainer"] == "cached"
    warnings = [line for line in verdict_lines(reported) if line.startswith("  !")]
    assert warnings == [f"  !   {text}" for text in texts]

    repeated, _ = days.run(2)  # compared with the first day again, and not with itself
    assert repeated.drift == reported.drift
    assert {step.name: step.state for step in repeated.steps}["Drift"] == "cached"
