"""Tests of the first task of a run: what it reads, and whose folder it is."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import BabelRankError, ConfigError, InputError
from babelrank.pipelines.kubeflow import plan
from babelrank.pipelines.kubeflow.run_folder import RunFolder
from babelrank.pipelines.lease import Lease


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A volume with three days of clicks; steps make it the working directory."""
    for span in (1, 2, 3):
        (tmp_path / "logs" / f"day={span}").mkdir(parents=True)
        (tmp_path / "logs" / f"day={span}" / "a.csv").write_text("user,y\na,1\n")
    before = Path.cwd()
    yield tmp_path
    os.chdir(before)


def run(
    root: Path,
    run_id: str,
    *more: str,
    compiled_by: str = "babelrank 0.1.0, tfx 1.21.0",
    changes: dict[str, Any] | None = None,
) -> RunFolder:
    config = {
        "name": "clicks",
        "data": {"path": "logs/day={SPAN}/*.csv", "label": "y", "categorical": ["user"]},
        "spans": {"window": 2},
        "evaluation": {"min_auc": 0.6},
    }
    out = root / "clicks"
    options = ["--out", str(out), "--run-id", run_id, "--pipeline", "ranking"]
    options += ["--compiled-by", compiled_by]
    plan.main([*options, "--config", json.dumps({**config, **(changes or {})}), *more])
    return RunFolder(out, run_id)


def finished(folder: RunFolder, spans: list[int]) -> None:
    """As the task Report leaves it."""
    report = {"status": "pushed", "spans": spans, "started": "2026-01-01T00:00:00+00:00"}
    (folder.path / "run.json").write_text(json.dumps(report))
    Lease(folder.path.parents[1]).release(folder.path.name)


def test_the_newest_spans(root: Path) -> None:
    folder = run(root, "a", "--retrain")
    decision = folder.decision()
    assert decision is not None
    assert decision.go
    assert decision.overrides == ("spans.span=3",)
    assert folder.request().configuration(decision.overrides).spans.span == 3
    assert folder.step("Plan").state == "ran"
    assert Lease(root / "clicks").holder() == "a"


def test_what_the_run_asks_for(root: Path) -> None:
    folder = run(root, "a", "--span", "2", "--window", "1", "--push", "false")
    decision = folder.decision()
    assert decision is not None
    config = folder.request().configuration(decision.overrides)
    assert (config.spans.span, config.spans.window, config.push.enabled) == (2, 1, False)


def test_a_day_that_is_given_as_a_date(root: Path) -> None:
    (root / "logs" / "20240105.csv").write_text("user,y\na,1\n")
    data = {"path": "logs/{YYYY}{MM}{DD}.csv", "label": "y", "categorical": ["user"]}
    decision = run(root, "a", "--span", "20240105", changes={"data": data}).decision()
    assert decision is not None
    assert decision.overrides == ("spans.span=19727",)


def test_nothing_new_unless_forced_or_no_retraining(root: Path) -> None:
    finished(run(root, "a", "--retrain"), [2, 3])
    again = run(root, "b", "--retrain").decision()
    assert again is not None
    assert not again.go
    assert "pushed" in again.reason
    Lease(root / "clicks").release("b")
    for name, more in (("c", ("--retrain", "--force", "true")), ("d", ())):
        decision = run(root, name, *more).decision()
        assert decision is not None
        assert decision.go
        Lease(root / "clicks").release(name)


def test_a_second_try_decides_the_same(root: Path) -> None:
    first = run(root, "a", "--retrain").decision()
    (root / "logs" / "day=4").mkdir()
    (root / "logs" / "day=4" / "a.csv").write_text("user,y\na,1\n")
    assert run(root, "a", "--retrain").decision() == first


def test_an_image_that_is_older_than_the_configuration_says_so(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"novelty: unknown key.*The image is older: build it"):
        run(root, "a", compiled_by="babelrank 99.0.0, tfx 1.21.0", changes={"novelty": 1})
    assert "The image is older" in str(RunFolder(root / "clicks", "a").step("Plan").error)


def test_one_run_at_a_time(root: Path) -> None:
    run(root, "a")
    with pytest.raises(BabelRankError, match="the run a is using this folder"):
        run(root, "b")


def test_a_span_that_is_not_there(root: Path) -> None:
    with pytest.raises(InputError, match="no span 9"):
        run(root, "a", "--span", "9")
    failed = RunFolder(root / "clicks", "a").step("Plan")
    assert failed.state == "failed"
    assert "no span 9" in str(failed.error)


def test_a_missing_span(root: Path) -> None:
    (root / "logs" / "day=2" / "a.csv").unlink()
    with pytest.raises(InputError, match="missing in the window"):
        run(root, "a", "--retrain")
    Lease(root / "clicks").release("a")
    decision = run(root, "b", "--retrain", "--allow-missing", "true").decision()
    assert decision is not None
    assert decision.go


@pytest.mark.parametrize(
    "text", ["20260102030405", "2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00"]
)
def test_scheduled_times(text: str) -> None:
    assert plan.moment(text) == datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def test_no_scheduled_time() -> None:
    assert plan.moment("") is None
    with pytest.raises(ConfigError, match=r"scheduled: got 202601020304; takes"):
        plan.moment("202601020304")
    with pytest.raises(ConfigError, match=r"scheduled: got \[\[ScheduledTime\]\]; takes a time"):
        plan.moment("[[ScheduledTime]]")
