"""Which spans a retraining reads, and when there is nothing to do."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import BabelRankError, ConfigError, InputError
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.schedule import (
    Plan,
    as_span,
    at_span,
    check_current,
    now_scheduled,
    plan,
    reading,
    retraining,
    unfinished,
)

JANUARY_5 = 19727  # 2024-01-05 in days since 1970-01-01


def ranking(path: str, **sections: Any) -> RankingConfig:
    data = {"path": path, "label": "y", "categorical": ["user"]}
    return from_dict(RankingConfig, {"data": data, "evaluation": {"min_auc": 0.6}, **sections})


def translation(**sections: Any) -> TranslationConfig:
    languages = {"source": {"language": "en"}, "target": {"language": "de"}}
    data = {"path": "x.tsv", **languages}
    return from_dict(TranslationConfig, {"data": data, "evaluation": {"min_bleu": 1}, **sections})


class Days:
    """A log of days, and the reports of runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder / "log", folder / "out"
        self.pattern = f"{self.folder}/day={{SPAN}}/x.csv"

    def write(self, *days: int, text: str = "y,user\n1,a\n") -> None:
        for day in days:
            path = self.folder / f"day={day}" / "x.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def ran(self, status: str, spans: Sequence[int], planned: Plan | None = None) -> None:
        number = len(list(self.out.glob("runs/*")))
        folder = self.out / "runs" / f"run-{number}"
        folder.mkdir(parents=True)
        started = datetime.datetime.fromtimestamp(1000 + number).astimezone().isoformat()
        run = {"status": status, "spans": list(spans), "started": started}
        (folder / "run.json").write_text(json.dumps(run))
        if planned:
            planned.save(folder)

    def config(self, window: int = 3, **sections: Any) -> RankingConfig:
        return ranking(self.pattern, spans={"window": window}, **sections)

    def plan(self, config: RankingConfig | None = None, **options: Any) -> Plan:
        return plan(config or self.config(), self.out, **options)


@pytest.fixture
def days(tmp_path: Path) -> Days:
    return Days(tmp_path)


def test_the_window_of_the_newest_span(days: Days):
    days.write(1, 2, 3, 4)
    found = days.plan()
    assert (found.go, found.span, found.spans) == (True, 4, (2, 3, 4))
    assert found.reason == "the window of 2, 3, 4 is new."
    assert days.plan(span=2).spans == (1, 2)
    assert days.plan(span=1).reason == "span 1 is new."
    assert days.plan(at_span(days.config(), 3)).spans == (1, 2, 3)
    assert days.plan(at_span(days.config(), 3), span=4).spans == (2, 3, 4)


@pytest.mark.parametrize("status", ["pushed", "refused", "blessed"])
def test_what_was_judged_is_not_new(days: Days, status: str):
    days.write(1, 2, 3)
    days.ran(status, (1, 2, 3))
    found = days.plan()
    assert not found.go
    assert found.reason == f"Nothing new: the window of 1, 2, 3 was {status} by run run-0."
    forced = days.plan(force=True)
    assert forced.go
    assert forced.reason == f"{found.reason} It is run again all the same."
    assert forced.spans == found.spans
    assert days.plan(span=2).go
    days.write(4)
    assert days.plan().spans == (2, 3, 4)
    assert days.plan().go


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_what_was_not_judged_is_run_again(days: Days, status: str):
    days.write(1, 2, 3)
    days.ran(status, (1, 2, 3))
    assert days.plan().go
    days.ran("refused", (1, 2, 3))
    days.ran(status, (1, 2, 3))  # forced, and then broken: the data were judged all the same
    assert not days.plan().go


def test_reports_that_cannot_be_read_count_as_killed(days: Days):
    days.write(1)
    for number, text in enumerate(["", "{", "[]", "{}", '{"status": "pushed"}']):
        folder = days.out / "runs" / str(number)
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(text)
    (days.out / "runs" / "killed").mkdir()
    assert days.plan().go


def test_a_span_that_is_missing_is_an_error(days: Days):
    days.write(1, 2, 5, 6)
    message = r"missing in the window of 2 to 6: 3, 4\. Wait for them, name those .* spans.exclude"
    with pytest.raises(InputError, match=message):
        days.plan()
    assert days.plan(allow_missing=True).spans == (2, 5, 6)
    assert days.plan(days.config(schedule={"allow_missing": True})).spans == (2, 5, 6)
    assert days.plan(days.config(window=2)).spans == (5, 6)
    some = ranking(days.pattern, spans={"window": 3, "exclude": [3]})
    with pytest.raises(InputError, match="2 to 6: 4. Wait"):
        days.plan(some)
    assert days.plan(ranking(days.pattern, spans={"window": 3, "exclude": [3, 4]})).go


def test_a_span_without_its_marker_is_missing(days: Days):
    days.write(1, 2, 3)
    for day in (1, 3):
        (days.folder / f"day={day}" / "_SUCCESS").touch()
    config = ranking(days.pattern, spans={"window": 2, "marker": "_SUCCESS"})
    with pytest.raises(InputError, match="missing in the window of 1 to 3: 2"):
        days.plan(config)
    (days.folder / "day=3" / "_SUCCESS").unlink()
    assert days.plan(config).spans == (1,)


def test_a_late_day_makes_the_window_new(days: Days):
    days.write(1, 3, 4)
    late = days.plan(allow_missing=True)
    days.ran("pushed", late.spans, late)
    assert not days.plan(allow_missing=True).go
    days.write(2)
    found = days.plan()
    assert (found.go, found.spans) == (True, (2, 3, 4))
    assert found.reason == "the window of 2, 3, 4 is new; before, it was the window of 1, 3, 4."


def test_a_day_that_is_excluded_later_makes_the_window_new(days: Days):
    days.write(1, 2, 3)
    days.ran("pushed", (1, 2, 3))
    found = days.plan(ranking(days.pattern, spans={"window": 3, "exclude": [2]}))
    assert (found.go, found.spans) == (True, (1, 3))
    assert not days.plan(ranking(days.pattern, spans={"window": 3, "exclude": [4]})).go


def test_rows_that_are_added_make_a_span_new(days: Days):
    days.write(1, 2)
    first = days.plan()
    days.ran("pushed", first.spans, first)
    assert not days.plan().go
    days.write(1, text="y,user\n1,a\n0,b\n")
    found = days.plan()
    assert found.go
    assert found.reason == "the window of 1, 2 changed after run run-0."
    days.ran("refused", found.spans, found)
    assert not days.plan().go


def test_data_without_spans(days: Days):
    days.write(1)
    config = ranking(f"{days.folder}/*/x.csv")
    found = days.plan(config, scheduled=datetime.datetime(2024, 1, 6))
    assert (found.go, found.span, found.spans) == (True, None, ())
    assert found.reason == "the data were not judged yet."
    days.ran("pushed", (), found)
    assert days.plan(config).reason == "Nothing new: the data were pushed by run run-0."
    days.write(2)
    assert days.plan(config).reason == "the data changed after run run-0."
    days.ran("pushed", ())  # by `babelrank run`, which knows no fingerprint
    assert days.plan(config).go
    with pytest.raises(ConfigError, match="--span: got 3, and data.path has no"):
        days.plan(config, span=3)


@pytest.fixture
def dated(days: Days) -> RankingConfig:
    for day in (3, 4, 5, 6):
        path = days.folder / f"2024-01-{day:02}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("y,user\n")
    pattern = f"{days.folder}/{{YYYY}}-{{MM}}-{{DD}}.csv"
    return ranking(pattern, spans={"window": 2})


@pytest.mark.parametrize(
    ("scheduled", "newest"),
    [
        (datetime.datetime(2024, 1, 6, 0, 0), JANUARY_5),
        (datetime.datetime(2024, 1, 6, 23, 59, tzinfo=datetime.UTC), JANUARY_5),
        (datetime.datetime.fromisoformat("2024-01-07T00:30+01:00"), JANUARY_5),
        (datetime.datetime.fromisoformat("2024-01-06T23:30-01:00"), JANUARY_5 + 1),
    ],
)
def test_a_scheduled_run_reads_the_day_before(
    days: Days, dated: RankingConfig, scheduled: datetime.datetime, newest: int
):
    found = days.plan(dated, scheduled=scheduled)
    assert found.spans == (newest - 1, newest)
    assert days.plan(dated).span == JANUARY_5 + 1
    assert days.plan(dated, scheduled=scheduled, span=JANUARY_5 - 1).span == JANUARY_5 - 1


def test_the_lag_of_a_schedule(days: Days, dated: RankingConfig):
    config = dataclasses.replace(dated, schedule=dataclasses.replace(dated.schedule, lag=3))
    assert days.plan(config, scheduled=datetime.datetime(2024, 1, 8)).span == JANUARY_5


def test_a_scheduled_day_that_is_not_there(days: Days, dated: RankingConfig):
    monday = datetime.datetime(2024, 1, 9, 3)
    message = r"2024-01-08 \(19730\) is not there, .* scheduled for 2024-01-09 03:00 .*lag: 1"
    with pytest.raises(InputError, match=message):
        days.plan(dated, scheduled=monday)
    assert days.plan(dated, scheduled=monday, allow_missing=True).span == JANUARY_5 + 1
    with pytest.raises(InputError, match="2023-12-31 .* is not there"):
        days.plan(dated, scheduled=datetime.datetime(2024, 1, 1), allow_missing=True)


def test_a_scheduled_run_that_comes_too_late(days: Days, dated: RankingConfig):
    def scheduled(day: int, **options: Any) -> Plan:
        return days.plan(dated, scheduled=datetime.datetime(2024, 1, day), **options)

    days.ran("pushed", (JANUARY_5, JANUARY_5 + 1))
    late = scheduled(6)
    assert (late.go, late.spans) == (False, (JANUARY_5 - 1, JANUARY_5))
    assert late.reason == (
        "Nothing to do: 2024-01-05 (19727) is older than 2024-01-06 (19728), which was pushed by "
        "run run-0."
    )
    forced = scheduled(6, force=True)
    assert (forced.go, forced.reason) == (True, f"{late.reason} It is run again all the same.")
    assert days.plan(dated, span=JANUARY_5).go
    spans = dataclasses.replace(dated.spans, exclude=(JANUARY_5 + 1,))
    without = dataclasses.replace(dated, spans=spans)
    assert days.plan(without, scheduled=datetime.datetime(2024, 1, 6)).go


def test_a_scheduled_day_that_is_excluded(days: Days, dated: RankingConfig):
    spans = dataclasses.replace(dated.spans, exclude=(JANUARY_5, JANUARY_5 + 1))
    config = dataclasses.replace(dated, spans=spans)
    for day in (6, 7):
        found = days.plan(config, scheduled=datetime.datetime(2024, 1, day))
        assert found.spans == (JANUARY_5 - 2, JANUARY_5 - 1)
    days.ran("refused", found.spans, found)
    assert days.plan(config, scheduled=datetime.datetime(2024, 1, 7)).reason.startswith("Nothing")
    (days.folder / "2024-01-04.csv").unlink()
    with pytest.raises(InputError, match="2024-01-04 .* is not there"):
        days.plan(config, scheduled=datetime.datetime(2024, 1, 7))


def test_when_now_is_the_scheduled_time(days: Days, dated: RankingConfig):
    now = now_scheduled(dated)
    assert now is not None
    assert abs(now - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)
    assert now_scheduled(days.config()) is None
    for settled in ({"marker": "_SUCCESS"}, {"span": JANUARY_5}):
        spans = dataclasses.replace(dated.spans, **settled)  # type: ignore[arg-type]
        assert now_scheduled(dataclasses.replace(dated, spans=spans)) is None


def test_eight_digits_are_a_date_where_the_data_have_dates(days: Days, dated: RankingConfig):
    assert as_span(dated, 20240105) == JANUARY_5
    assert as_span(dated, JANUARY_5) == JANUARY_5
    assert as_span(days.config(), 20240105) == 20240105
    with pytest.raises(ConfigError, match="span: got 20240132, which is no date"):
        as_span(dated, 20240132)


def test_joined_tables_and_explicit_splits_are_data_too(days: Days, tmp_path: Path):
    days.write(1)
    items, test = tmp_path / "items.csv", tmp_path / "test-v1.csv"
    for path in (items, test):
        path.write_text("item,genre\n1,a\n")
    joins = [{"path": str(items), "key": "item", "columns": ["genre"]}]
    data = {"path": days.pattern, "label": "y", "categorical": ["item", "genre"], "joins": joins}
    config = from_dict(
        RankingConfig,
        {
            "data": data,
            "evaluation": {"min_auc": 0.6},
            "splits": {"test_path": f"{tmp_path}/test-v{{VERSION}}.csv"},
        },
    )
    for changed in (None, items, test):
        if changed:
            changed.write_text("item,genre\n1,bc\n")
        planned = days.plan(config)
        assert planned.go, changed
        days.ran("pushed", planned.spans, planned)
        assert not days.plan(config).go
    (tmp_path / "test-v2.csv").write_text("item,genre\n1,a\n")
    assert days.plan(config).go
    items.unlink()
    with pytest.raises(InputError, match=r"items\.csv: no such file \(named in data\.joins\)"):
        days.plan(config)


def test_explicit_files_of_sentences_are_data_too(tmp_path: Path):
    files = {name: tmp_path / name for name in ("x.tsv", "dev.en", "dev.de")}
    for path in files.values():
        path.write_text("a\tb\n")
    plain = {"eval": {"source": str(files["dev.en"]), "target": str(files["dev.de"])}}
    config = translation(splits={"explicit": plain})
    data = dataclasses.replace(config.data, path=str(files["x.tsv"]))
    config = dataclasses.replace(config, data=data)
    before = reading(config).fingerprint
    files["dev.de"].write_text("a\tbc\n")
    assert reading(config).fingerprint != before
    files["dev.de"].unlink()
    with pytest.raises(InputError, match=r"splits\.explicit\.eval\.target"):
        reading(config)


def test_excluded_spans_are_not_done(days: Days):
    days.write(1, 2, 3)
    days.ran("pushed", (9,))
    assert unfinished(days.config(), days.out) == ()
    config = ranking(days.pattern, spans={"window": 3, "exclude": [9]})
    assert unfinished(config, days.out) == (1, 2, 3)


def test_a_scheduled_time_says_nothing_about_numbers(days: Days):
    days.write(1, 2)
    assert days.plan(scheduled=datetime.datetime(2024, 1, 6)).span == 2


def test_what_a_backfill_reads(days: Days):
    config = days.config()
    days.write(1, 2, 3, 4, 5)
    assert unfinished(config, days.out) == (1, 2, 3, 4, 5)
    days.ran("pushed", (1, 2))
    days.ran("failed", (1, 2, 3))
    days.ran("refused", (2, 3, 4))
    assert unfinished(config, days.out) == (5,)
    assert unfinished(config, days.out, first=1) == (1, 3, 5)
    assert unfinished(config, days.out, first=2, last=4) == (3,)
    assert unfinished(config, days.out, last=4) == ()
    with pytest.raises(ConfigError, match="--backfill: needs {SPAN}"):
        unfinished(ranking(f"{days.folder}/*/x.csv"), days.out)


def test_a_plan_can_be_kept(days: Days, tmp_path: Path):
    days.write(1, 2)
    days.ran("refused", (1,))
    days.plan().save(tmp_path)
    kept = json.loads((tmp_path / "plan.json").read_text())
    assert (kept["spans"], kept["after"]) == ([1, 2], "run-0")


def test_a_plan_is_of_no_use_after_another_run(days: Days):
    days.write(1, 2)
    made = days.plan()
    days.ran("failed", (1, 2))
    check_current(made, days.out)
    days.ran("refused", (1, 2))
    with pytest.raises(BabelRankError, match="run-1 came to its end while .* same command again"):
        check_current(made, days.out)
    check_current(days.plan(force=True), days.out)


def test_what_a_plain_run_reads_is_kept_too(days: Days):
    """So that `retrain` notices that its data changed afterwards."""
    days.write(1, 2)
    read = reading(days.config())
    assert (read.span, read.spans) == (2, (1, 2))
    days.ran("pushed", read.spans, read)
    assert not days.plan().go
    days.write(1, text="y,user\n1,a\n0,b\n")
    assert days.plan().reason == "the window of 1, 2 changed after run run-0."
    days.write(3)
    days.ran("pushed", (), reading(ranking(f"{days.folder}/*/x.csv")))
    assert not days.plan(ranking(f"{days.folder}/*/x.csv")).go


def test_parallel_text_in_two_files(tmp_path: Path):
    for name in ("1/x.en", "1/x.de", "2/x.en", "2/x.de"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("a\n")
    data = {
        "format": "moses",
        "source": {"language": "en", "path": f"{tmp_path}/{{SPAN}}/x.en"},
        "target": {"language": "de", "path": f"{tmp_path}/{{SPAN}}/x.de"},
    }
    plain = {"data": data, "evaluation": {"min_bleu": 1}, "spans": {"window": 2}}
    config = from_dict(TranslationConfig, plain)
    assert plan(config, tmp_path / "out").spans == (1, 2)
    assert unfinished(config, tmp_path / "out") == (1, 2)
    os.remove(tmp_path / "2" / "x.de")  # the day is not there yet
    assert plan(config, tmp_path / "out").spans == (1,)
    assert unfinished(config, tmp_path / "out") == (1,)
    with pytest.raises(InputError, match="no span 2"):
        plan(config, tmp_path / "out", span=2)
    os.remove(tmp_path / "1" / "x.en")
    with pytest.raises(InputError, match="have no span in common; a span needs files of both"):
        plan(config, tmp_path / "out")


def test_a_day_whose_files_do_not_pair_yet_keeps_none_from_being_found(tmp_path: Path):
    for name in ("1/x.en", "1/x.de", "2/x.en", "2/y.en", "2/x.de"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("a\n")
    data = {
        "format": "moses",
        "source": {"language": "en", "path": f"{tmp_path}/{{SPAN}}/*.en"},
        "target": {"language": "de", "path": f"{tmp_path}/{{SPAN}}/*.de"},
    }
    config = from_dict(TranslationConfig, {"data": data, "evaluation": {"min_bleu": 1}})
    assert unfinished(config, tmp_path / "out") == (1, 2)
    assert plan(config, tmp_path / "out", span=1).spans == (1,)
    with pytest.raises(InputError, match="matches 2 files and"):
        plan(config, tmp_path / "out")


@pytest.mark.parametrize("make", [lambda **s: ranking("x.csv", **s), translation])
def test_a_retraining_starts_from_the_last_blessed_model(make: Callable[..., PipelineConfig]):
    assert retraining(make()).training.warm_start == "blessed"
    assert retraining(make(training={"warm_start": "pushed"})).training.warm_start == "pushed"
    assert retraining(make(schedule={"warm_start": "pushed"})).training.warm_start == "pushed"
    assert retraining(make(schedule={"warm_start": None})).training.warm_start is None
    twice = retraining(retraining(make()))
    assert twice == retraining(make())


def test_a_retraining_keeps_the_vocabulary():
    for never in (retraining(translation(schedule={"reuse_vocabulary": False})), translation()):
        assert isinstance(never, TranslationConfig)
        assert never.vocabulary.reuse == "never"
    kept = retraining(translation())
    assert isinstance(kept, TranslationConfig)
    assert kept.vocabulary.reuse == "latest"
