"""The command `retrain`: what it runs, what it says, and its exit codes."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml

from babelrank.components.errors import ConfigError, DeviceError
from babelrank.pipelines import cli, notify, running
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.schedule import Plan


class Shop:
    """A log of days, a configuration, and runs that only leave a report."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.out, self._capsys = folder, folder / "out", capsys
        self.pattern = f"{folder}/day={{SPAN}}/x.csv"
        self.ran: list[tuple[PipelineConfig, Plan]] = []
        self.codes: dict[tuple[int, ...], int] = {}

    def write(self, *days: int) -> None:
        for day in days:
            path = self.folder / f"day={day}" / "x.csv"
            path.parent.mkdir()
            path.write_text("y,user\n1,a\n")

    def run(self, config: PipelineConfig, out: Path, _: None, plan: Plan) -> int:
        self.ran.append((config, plan))
        code = self.codes.get(plan.spans, running.PUSHED)
        folder = Layout(out).runs / f"run-{len(self.ran)}"
        folder.mkdir(parents=True)
        status = {0: "pushed", 3: "refused"}.get(code, "failed")
        started = f"2024-01-01T00:00:{len(self.ran):02}+00:00"
        report = {"status": status, "spans": plan.spans, "started": started}
        (folder / "run.json").write_text(json.dumps(report))
        plan.save(folder)
        return code

    def call(self, *more: str) -> tuple[int, str]:
        """Exit code and output of `babelrank retrain`."""
        config = {
            "data": {"path": self.pattern, "label": "y", "categorical": ["user"]},
            "evaluation": {"min_auc": 0.6},
            "spans": {"window": 2},
        }
        path = self.folder / "shop.yaml"
        path.write_text(yaml.safe_dump(config))
        arguments = ["retrain", "ranking", "--config", str(path), "--out", str(self.out)]
        code = cli.main([*arguments, *more])
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def spans(self) -> list[tuple[int, ...]]:
        return [plan.spans for _, plan in self.ran]


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shop:
    made = Shop(tmp_path, capsys)
    monkeypatch.setattr(running, "run", made.run)
    return made


def test_the_newest_span_once(shop: Shop):
    shop.write(1, 2, 3)
    assert shop.call() == (0, "The window of 2, 3 is new.\n")
    ((config, plan),) = shop.ran
    assert (config.spans.span, config.spans.window, plan.spans) == (3, 2, (2, 3))
    assert config.training.warm_start == "blessed"
    assert shop.call() == (0, "Nothing new: the window of 2, 3 was pushed by run run-1.\n")
    assert len(shop.ran) == 1
    code, said = shop.call("--force")
    assert (code, len(shop.ran)) == (0, 2)
    assert "It is run again all the same." in said
    assert shop.call("--span", "2")[0] == 0
    assert shop.spans() == [(2, 3), (2, 3), (1, 2)]


def test_a_blessing_by_force_is_for_one_run(shop: Shop):
    shop.write(1, 2)
    shop.codes = {(1, 2): 3}
    assert shop.call()[0] == 3
    code, said = shop.call("--force-bless", "the new shop is open")
    assert (code, shop.spans()) == (3, [(1, 2), (1, 2)])
    assert "It is run again all the same." in said
    assert [config.evaluation.force_bless for config, _ in shop.ran] == [
        None,
        "the new shop is open",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--force-bless", " "), "--force-bless: got no reason; takes a sentence"),
        (("--backfill", "--force-bless", "so"), "--force-bless: is for one run; takes no --back"),
        (
            ("--set", "evaluation.force_bless=so"),
            "evaluation.force_bless: is for one run, and retraining would bless every model",
        ),
    ],
)
def test_a_blessing_by_force_that_is_refused(shop: Shop, arguments: tuple[str, ...], message: str):
    shop.write(1)
    code, said = shop.call(*arguments)
    assert (code, shop.ran) == (running.USAGE, [])
    assert message in said


@pytest.mark.parametrize("code", [1, 2, 3, 143])
def test_the_exit_code_is_that_of_the_run(shop: Shop, code: int):
    shop.write(1)
    shop.codes[(1,)] = code
    assert shop.call()[0] == code
    again, said = shop.call()
    if code == 3:
        assert (again, said) == (0, "Nothing new: span 1 was refused by run run-1.\n")
    else:
        assert again == code
        assert len(shop.ran) == 2


def test_a_missing_span(shop: Shop):
    shop.write(1, 3)
    code, said = shop.call()
    assert code == 1
    assert "missing in the window of 1 to 3: 2." in said
    assert shop.ran == []
    assert shop.call("--allow-missing")[0] == 0
    assert shop.spans() == [(1, 3)]
    code, said = shop.call("--span", "2")
    assert code == 1
    assert "no span 2; the newest ones are 1, 3" in said


def test_who_is_told_that_a_span_is_missing(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    told: list[Any] = []
    monkeypatch.setattr(notify, "_send", lambda *given: told.append(given))
    shop.write(1, 3)
    code, _ = shop.call()
    assert code == running.FAILED
    ((config, summary, report),) = told
    assert config.webhook is None
    assert (summary.pipeline, summary.status, report) == ("ranking", "failed", None)
    assert "missing in the window" in summary.steps[0].error


@pytest.mark.parametrize(
    ("error", "number"), [(DeviceError("no GPU here"), 1), (ConfigError("epochs: got -1"), 0)]
)
def test_who_is_told_that_a_run_cannot_begin(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception, number: int
):
    told: list[Any] = []
    monkeypatch.setattr(notify, "_send", lambda *given: told.append(given))
    monkeypatch.setattr(running, "run", MagicMock(side_effect=error))
    shop.write(1)
    assert shop.call()[0] in (running.FAILED, running.USAGE)
    assert [summary.steps[0].error for _, summary, _ in told] == [str(error)] * number


def test_a_backfill(shop: Shop):
    shop.write(1, 2, 3, 4)
    shop.codes = {(2, 3): 3}
    code, said = shop.call("--backfill", "--to", "3")
    assert code == 3
    assert shop.spans() == [(1,), (1, 2), (2, 3)]
    assert "Span 3, 3 of 3\nThe window of 2, 3 is new.\n" in said
    assert shop.call("--backfill")[0] == 0
    assert shop.spans()[3:] == [(3, 4)]
    assert shop.call("--backfill") == (0, "Nothing to do: no span is left.\n")


def test_a_backfill_ends_at_the_first_failure(shop: Shop):
    shop.write(1, 2, 3)
    shop.codes = {(1, 2): 1}
    assert shop.call("--backfill")[0] == 1
    assert shop.spans() == [(1,), (1, 2)]
    shop.codes = {}
    assert shop.call("--backfill")[0] == 0
    assert shop.spans()[2:] == [(1, 2), (2, 3)]


def test_dates(shop: Shop):
    shop.pattern = f"{shop.folder}/{{YYYY}}-{{MM}}-{{DD}}.csv"
    for day in ("2024-01-04", "2024-01-05"):
        (shop.folder / f"{day}.csv").write_text("y,user\n")
    assert shop.call("--scheduled", "2024-01-05T03:00:00Z")[0] == 0
    assert shop.spans() == [(19726,)]
    assert shop.call("--span", "2024-01-05")[0] == 0
    assert shop.spans()[1:] == [(19726, 19727)]
    assert shop.call("--scheduled", "2024-01-06T03:00Z")[1].startswith("Nothing new: ")
    code, said = shop.call("--scheduled", "2024-01-07")
    assert code == 1
    assert "2024-01-06 (19728) is not there" in said


def test_the_day_that_is_going_on_is_not_read(shop: Shop):
    shop.pattern = f"{shop.folder}/{{YYYY}}{{MM}}{{DD}}.csv"
    today = datetime.datetime.now(datetime.UTC).date()
    for before in (0, 1, 2):
        day = today - datetime.timedelta(before)
        (shop.folder / f"{day:%Y%m%d}.csv").write_text("y,user\n")
    assert shop.call()[0] == 0
    number = (today - datetime.date(1970, 1, 1)).days
    assert shop.spans() == [(number - 2, number - 1)]
    assert shop.call("--span", f"{today:%Y%m%d}")[0] == 0
    assert shop.spans()[1:] == [(number - 1, number)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--span", "x"], "got x; takes a number, or a date such as 2026-01-31"),
        (["--scheduled", "x"], "got x; takes a time such as 2026-01-31T03:00:00Z"),
        (["--span", "1", "--backfill"], "not allowed with argument"),
    ],
)
def test_wrong_usage(shop: Shop, arguments: list[str], message: Any, capsys: Any):
    with pytest.raises(SystemExit) as caught:
        shop.call(*arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_from_and_to_are_for_a_backfill(shop: Shop):
    shop.write(1)
    code, said = shop.call("--from", "1")
    assert code == 2
    assert "--from, --to: take --backfill beside them." in said


def test_without_a_warm_start(shop: Shop):
    shop.write(1)
    assert shop.call("--set", "schedule.warm_start=null")[0] == 0
    assert shop.ran[0][0].training.warm_start is None
