"""Tests of `submit`, `schedule`, `backfill` and `runs`, against a double of Kubeflow's API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from babelrank.components.config import load_yaml
from babelrank.components.errors import ConfigError
from babelrank.pipelines import cli, cluster_options
from babelrank.pipelines.config import RankingConfig, TranslationConfig
from babelrank.pipelines.kubeflow import backfill, recurring, submission
from babelrank.pipelines.kubeflow.client import Client
from babelrank.pipelines.kubeflow.package import Package
from tests.kubeflow.api import Api, serving

TYPES = {int: "NUMBER_INTEGER", bool: "BOOLEAN", str: "STRING"}
SPEC = {
    "pipelineInfo": {"name": "clicks"},
    "root": {
        "inputDefinitions": {
            "parameters": {
                name: {"parameterType": TYPES[type(value)]}
                for name, value in cluster_options.PARAMETERS.items()
            }
        },
        "dag": {
            "tasks": {
                "nodes": {"componentRef": {"name": "comp-nodes"}},
                "report": {
                    "componentRef": {"name": "comp-report"},
                    "taskInfo": {"name": "Report"},
                },
            }
        },
    },
    "components": {
        "comp-nodes": {
            "dag": {
                "tasks": {
                    "ingest": {
                        "componentRef": {"name": "comp-ingest"},
                        "taskInfo": {"name": "Ingest"},
                    }
                }
            }
        },
        "comp-ingest": {"executorLabel": "exec-ingest"},
        "comp-report": {"executorLabel": "exec-report"},
    },
}
PACKAGE = yaml.safe_dump_all([SPEC, {"platforms": {"kubernetes": {}}}])
CONFIG = {
    "name": "Clicks",
    "data": {"path": "day={YYYY}-{MM}-{DD}/*.csv", "label": "y", "categorical": ["user"]},
    "evaluation": {"min_auc": 0.6},
}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(submission, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(cli.options.signal, "signal", lambda *_: None)
    with serving() as found:
        monkeypatch.setenv("BABELRANK_KFP_ENDPOINT", found.endpoint)
        yield found


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "clicks.yaml"
    kubernetes = {"root": str(tmp_path / "volume")}
    path.write_text(yaml.safe_dump({**CONFIG, "kubernetes": kubernetes}))
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "package.yaml"
    path.write_text(PACKAGE)
    return path


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, bool]]:
    """What was compiled, in place of compiling, which takes half a minute."""
    calls: list[tuple[Any, bool]] = []

    def compiled(_: Any, config: Any, retrain: bool) -> Package:
        calls.append((config, retrain))
        return Package.read(PACKAGE, "x")

    monkeypatch.setattr(cluster_options, "package", compiled)
    return calls


def run(*arguments: object) -> int:
    return cli.main([str(one) for one in arguments])


def task(name: str, state: str = "SUCCEEDED", **more: Any) -> dict[str, Any]:
    return {"task_id": name, "display_name": name, "state": state, **more}


def at(state: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    return {"state": state, "run_details": {"task_details": list(tasks)}}


def test_submit(api: Api, settings: Path, package: Path, capsys: pytest.CaptureFixture[str]):
    submit = ("submit", "ranking", "--config", settings, "--package", package)
    assert run(*submit, "--span", 7, "--no-push", "--service-account", "me") == 0
    out = capsys.readouterr().out
    assert re.search(r"Pipeline clicks: uploaded version clicks-[0-9a-f]{12}\.\n", out)
    assert f"Run run-4  {api.endpoint}/#/runs/details/run-4\n" in out
    assert [one["display_name"] for one in api.pipelines + api.experiments] == ["clicks"] * 2
    (made,) = api.runs
    assert (made["display_name"], made["service_account"]) == ("clicks", "me")
    assert made["runtime_config"]["parameters"] == {
        "span": 7,
        "window": 0,
        "push": False,
        "force": False,
        "allow_missing": False,
        "scheduled": "",
    }
    assert run(*submit, "--experiment", "other", "--window", 3) == 0
    assert "kept version" in capsys.readouterr().out
    assert len(api.versions) == 1
    assert [one["display_name"] for one in api.experiments] == ["clicks", "other"]
    assert api.runs[1]["experiment_id"] == api.experiments[1]["experiment_id"]
    assert api.runs[1]["runtime_config"]["parameters"]["window"] == 3


def test_another_package_is_another_version(api: Api, settings: Path, package: Path):
    submit = ("submit", "ranking", "--config", settings, "--package", package)
    assert run(*submit) == 0
    package.write_text(PACKAGE.replace("Ingest", "Ingest2"))
    assert run(*submit) == 0
    first, second = api.versions
    assert first["display_name"] != second["display_name"]
    assert first["pipeline_id"] == second["pipeline_id"]
    versions = [one["pipeline_version_reference"]["pipeline_version_id"] for one in api.runs]
    assert versions == [first["pipeline_version_id"], second["pipeline_version_id"]]


def test_waiting_tells_of_each_task_once(
    api: Api, settings: Path, package: Path, capsys: pytest.CaptureFixture[str]
):
    times = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:20:34Z"}
    done, driver = task("ingest", **times), task("ingest-driver")
    api.progress["clicks"] = [
        at("RUNNING", task("ingest", "RUNNING"), driver),
        at("RUNNING", done, driver),
        at("SUCCEEDED", done, driver, task("Report"), task("nodes")),
    ]
    submit = ("submit", "ranking", "--config", settings, "--package", package, "--wait")
    assert run(*submit) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "  Ingest               succeeded   1,234 s",
        "  Report               succeeded",
        "Run run-4 succeeded.",
        "What the gate said of the model stands in the report, the output of Report.",
    ]


@pytest.mark.parametrize(
    ("status", "code"), [("pushed", 0), ("blessed", 0), ("refused", 3), ("failed", 1)]
)
def test_where_the_volume_is_mounted_the_verdict_is_known(
    api: Api, settings: Path, package: Path, tmp_path: Path, status: str, code: int
):
    folder = tmp_path / "volume" / "Clicks" / "runs" / "run-4"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": status}))
    submit = ("submit", "ranking", "--config", settings, "--package", package, "--wait")
    assert run(*submit) == code


def test_a_failed_run(api: Api, settings: Path, package: Path, capsys: pytest.CaptureFixture[str]):
    failed = task("ingest", "FAILED", error={"message": "exit code 1"})
    api.progress["clicks"] = [{**at("FAILED", failed), "error": {"message": "ingest failed"}}]
    submit = ("submit", "ranking", "--config", settings, "--package", package, "--wait")
    assert run(*submit) == 1
    out = capsys.readouterr().out
    assert "  Ingest               failed      exit code 1\n" in out
    assert "Run run-4 failed: ingest failed.\n" in out


def test_waiting_outlasts_a_restart_of_kubeflow(
    api: Api, settings: Path, package: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    real = Client.run

    def interrupted(self: Client, identity: str) -> Any:
        asked.append(identity)
        if len(asked) in (1, 2):
            api.faults = [(503, "text/plain", "no healthy upstream")]
        return real(self, identity)

    monkeypatch.setattr(Client, "run", interrupted)
    submit = ("submit", "ranking", "--config", settings, "--package", package, "--wait")
    assert run(*submit) == 0
    assert len(asked) == 4  # two in vain, running, succeeded
    monkeypatch.setattr(submission, "PATIENCE_SECONDS", -1.0)
    asked.clear()
    assert run(*submit) == 1


def test_ctrl_c_leaves_the_run_alone(
    api: Api,
    settings: Path,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(submission.time, "sleep", interrupt)
    submit = ("submit", "ranking", "--config", settings, "--package", package, "--wait")
    assert run(*submit) == 143
    assert "No longer waiting. The run goes on: http://" in capsys.readouterr().out
    assert [one for one in api.requests if "terminate" in one or "DELETE" in one] == []


@pytest.mark.parametrize(
    ("content", "options", "code", "message"),
    [
        ("a: b", (), 1, "package.yaml: no compiled pipeline; takes what `babelrank compile`"),
        ("- {", (), 1, "no compiled pipeline"),
        (PACKAGE.replace("clicks", "views"), (), 1, "is the pipeline views, and the configuration"),
        (PACKAGE.replace("allow_missing", "missing"), (), 1, "has no parameter allow_missing"),
        (PACKAGE, ("--set", "splits.eval=0.2"), 2, "--package: is run as it is; takes no --retr"),
        (None, (), 1, "--package: cannot read"),
    ],
)
def test_a_wrong_package(
    api: Api,
    settings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    options: tuple[str, ...],
    code: int,
    message: str,
):
    path = tmp_path / "package.yaml"
    if content is not None:
        path.write_text(content)
    assert run("submit", "ranking", "--config", settings, "--package", path, *options) == code
    assert message in capsys.readouterr().err
    assert api.made("POST") == []


def test_nothing_is_compiled_when_nobody_answers(
    settings: Path,
    compiler: list[Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("BABELRANK_KFP_ENDPOINT", raising=False)
    assert run("submit", "ranking", "--config", settings) == 2
    assert "--endpoint: missing" in capsys.readouterr().err
    assert compiler == []


def test_schedule(
    api: Api, settings: Path, compiler: list[Any], capsys: pytest.CaptureFixture[str]
):
    schedule = ("schedule", "ranking", "--config", settings)
    assert run(*schedule, "--status") == 0
    assert capsys.readouterr().out == "Schedule clicks: there is none.\n"
    assert run(*schedule) == 0
    out = capsys.readouterr().out
    assert "Schedule clicks: switched on.\n" in out
    assert re.search(r"seconds first: 0 0 3 \* \* \*\. Next: [0-9-]{10} 03:00 UTC\.", out)
    assert [retrain for _, retrain in compiler] == [True]
    (made,) = api.recurring
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (made["status"], made["max_concurrency"], made["no_catchup"]) == ("ENABLED", "1", True)
    assert made["runtime_config"]["parameters"]["scheduled"] == "[[ScheduledTime]]"
    assert made["runtime_config"]["parameters"]["span"] == -1
    asked = len(api.made("POST"))
    assert run(*schedule) == 0
    assert "Schedule clicks: unchanged.\n" in capsys.readouterr().out
    assert len(api.made("POST")) == asked
    assert run(*schedule, "--status") == 0
    assert re.match(
        r"Schedule clicks: on, 0 0 3 \* \* \*, next .* 03:00 UTC\.\n", capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "changed",
    [
        ("--cron", "30 4 * * sun"),
        ("--set", "schedule.catch_up=true"),
        ("--experiment", "other"),
        ("--service-account", "other"),
    ],
)
def test_a_changed_schedule_replaces_the_old_one(
    api: Api, settings: Path, compiler: list[Any], changed: tuple[str, str]
):
    schedule = ("schedule", "ranking", "--config", settings)
    assert run(*schedule) == 0
    assert run(*schedule, *changed) == 0
    (made,) = api.recurring
    assert made["status"] == "ENABLED"
    assert [path.rsplit("/", 1)[-1] for path in api.made("POST")[-3:]] == [
        "recurringruns",
        "recurring-4:disable",
        f"{made['recurring_run_id']}:enable",
    ]
    assert api.made("DELETE") == ["/apis/v2beta1/recurringruns/recurring-4"]
    if changed[0] == "--cron":
        assert made["trigger"]["cron_schedule"]["cron"] == "0 30 4 * * 0"
    if "catch_up" in changed[1]:
        assert made["no_catchup"] is False


@pytest.mark.parametrize("method", ["enable", "disable", "delete"])
def test_a_crash_while_replacing_is_repaired(
    api: Api,
    settings: Path,
    compiler: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
):
    schedule = ("schedule", "ranking", "--config", settings)
    assert run(*schedule) == 0

    def crash(*_: object) -> None:
        raise OSError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(Client, method, crash)
        assert run(*schedule, "--cron", "0 4 * * *") == 1
    assert len(api.recurring) == 2
    assert run(*schedule, "--cron", "0 4 * * *") == 0
    (made,) = api.recurring
    assert (made["status"], made["trigger"]["cron_schedule"]["cron"]) == (
        *("ENABLED",),
        "0 0 4 * * *",
    )
    assert made["recurring_run_id"] == "recurring-5"  # the one of the crash was taken up


def test_switching_off_and_removing(
    api: Api, settings: Path, compiler: list[Any], capsys: pytest.CaptureFixture[str]
):
    schedule = ("schedule", "ranking", "--config", settings)
    run(*schedule)
    for option, said in (
        ("--disable", "switched off"),
        ("--disable", "is not on"),
        ("--status", "off, 0 0 3 * * *"),
        ("--delete", "removed"),
        ("--delete", "there is none"),
    ):
        assert run(*schedule, option) == 0
        assert capsys.readouterr().out.endswith(f"Schedule clicks: {said}.\n")
    assert api.recurring == []
    assert len(compiler) == 1


def test_a_schedule_that_was_off_is_on_again(api: Api, settings: Path, compiler: list[Any]):
    schedule = ("schedule", "ranking", "--config", settings)
    run(*schedule)
    run(*schedule, "--disable")
    assert run(*schedule) == 0
    assert [one["recurring_run_id"] for one in api.recurring] == ["recurring-4"]
    assert api.recurring[0]["status"] == "ENABLED"


def test_somebody_elses_recurring_run_is_left_alone(
    api: Api, settings: Path, compiler: list[Any], capsys: pytest.CaptureFixture[str]
):
    api.recurring = [
        {"recurring_run_id": "x", "display_name": "clicks", "status": "ENABLED"},
        {"recurring_run_id": "y", "display_name": "another", "status": "ENABLED"},
    ]
    for options in ((), ("--delete",), ("--disable",)):
        assert run("schedule", "ranking", "--config", settings, *options) == 1
        assert "was not made by `babelrank schedule`" in capsys.readouterr().err
    assert len(api.recurring) == 2


@pytest.mark.parametrize(
    ("cron", "six"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("*/20 22-1 1 jan mon-fri", "0 0,20,40 0,1,22,23 1 1 1,2,3,4,5"),
        ("0 3 * * 7", "0 0 3 * * 0"),
    ],
)
def test_cron_with_seconds(cron: str, six: str):
    assert recurring.six_fields(cron) == six


def test_a_time_that_never_comes(settings: Path):
    with pytest.raises(ConfigError, match=r"schedule\.cron: got '0 0 30 2 \*', a time that never"):
        load_yaml(RankingConfig, settings, ["schedule.cron='0 0 30 2 *'"])


@pytest.mark.parametrize("cron", ["0 3 L * *", "0 3 * * 1#2", "0 3 * * L5"])
def test_cron_without_words(cron: str):
    with pytest.raises(ConfigError, match="schedule.cron: got .*takes no L, W and #"):
        recurring.six_fields(cron)


def test_backfill(
    api: Api, settings: Path, compiler: list[Any], capsys: pytest.CaptureFixture[str]
):
    command = ("backfill", "ranking", "--config", settings)
    days = ("--from", "2026-01-01", "--to", "2026-01-03")
    api.progress["clicks span 20455"] = [{"state": "RUNNING"}, {"state": "FAILED"}]
    assert run(*command, *days, "--no-push") == 1
    out = capsys.readouterr().out
    assert "Stopped at span 20455. Mend" in out and "--from 20456" in out
    names = [one["display_name"] for one in api.runs]
    assert names == ["clicks span 20454", "clicks span 20455"]
    first = api.runs[0]["runtime_config"]["parameters"]
    assert (first["span"], first["push"]) == (20454, False)
    assert [retrain for _, retrain in compiler] == [True]
    creations = [one for one in api.requests if one.endswith("/runs") or "/run-" in one]
    assert creations[0].startswith("GET")  # was there one before?
    api.progress["clicks span 20455"] = [{"state": "SUCCEEDED"}]
    assert run(*command, *days) == 0
    out = capsys.readouterr().out
    assert "clicks span 20454: succeeded before.\n" in out
    assert "clicks span 20456: succeeded.\n" in out
    assert [one["display_name"] for one in api.runs] == [
        *names,
        "clicks span 20455",
        "clicks span 20456",
    ]
    assert run(*command, "--from", 20454, "--to", 20454, "--force") == 0
    assert len(api.runs) == 5


def test_backfill_waits_for_a_run_that_is_under_way(
    api: Api, settings: Path, compiler: list[Any], capsys: pytest.CaptureFixture[str]
):
    api.add_run(display_name="clicks span 20454", experiment_id="x")
    command = ("backfill", "ranking", "--config", settings, "--from", 20454, "--to", 20454)
    assert run(*command) == 0
    assert "clicks span 20454: run run-1 is under way.\n" in capsys.readouterr().out
    assert len(api.runs) == 1


@pytest.mark.parametrize(
    ("path", "first", "last", "message"),
    [
        ("a.csv", "1", "2", "data.path: a.csv has no spans"),
        ("{SPAN}.csv", "2026-01-01", "2", "--from: got 2026-01-01; takes a span's number, because"),
        ("{SPAN:4}.csv", "1", "x", "--to: got x; takes a span's number, or a day"),
        ("{YYYY}{MM}{DD}.csv", "2026-01-03", "2026-01-02", "--from: got 2026-01-03, which is afte"),
    ],
)
def test_spans_that_are_none(settings: Path, path: str, first: str, last: str, message: str):
    config = load_yaml(RankingConfig, settings, [f"data.path='{path}'"])
    with pytest.raises(ConfigError, match=re.escape(message)):
        backfill.spans(config, first, last)


def test_spans(settings: Path):
    config = load_yaml(RankingConfig, settings, ["spans.exclude=[20455]"])
    assert backfill.spans(config, "2026-01-01", "20456") == [20454, 20456]
    assert backfill.spans(config, "20260101", "20260103") == [20454, 20456]
    settings.write_text(
        "data: {source: {language: en, path: '{SPAN}.en'}, target: {language: de, path: "
        "'{SPAN}.de'}, format: moses}\nevaluation: {min_bleu: 20}\n"
    )
    assert backfill.spans(load_yaml(TranslationConfig, settings), "1", "2") == [1, 2]


def test_runs(api: Api, settings: Path, package: Path, capsys: pytest.CaptureFixture[str]):
    listed = ("runs", "ranking", "--config", settings)
    assert run(*listed) == 0
    assert capsys.readouterr().out == "There are no runs.\n"
    submit = ("submit", "ranking", "--config", settings, "--package", package)
    run(*submit, "--wait")
    run(*submit, "--span", 3)
    api.add_run(display_name="foreign", experiment_id="x")
    capsys.readouterr()
    assert run(*listed) == 0
    head, second, first = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["created", "(UTC)", "state"]
    link = f"{api.endpoint}/#/runs/details"
    assert second.split() == [
        "2026-01-02",
        "03:00",
        "pending",
        "span",
        "3",
        "clicks",
        f"{link}/run-5",
    ]
    assert first.split() == [
        *("2026-01-02", "03:00", "succeeded", "newest", "0:00:01", "clicks"),
        f"{link}/run-4",
    ]
    assert run("runs", "--limit", 1) == 0
    assert "foreign" in capsys.readouterr().out.splitlines()[1]
    assert run(*listed, "--json", "--limit", 1) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["run_id"], shown["reads"], shown["seconds"]) == ("run-5", "span 3", None)
    assert run("runs", "ranking") == 2
    assert "--config: takes the pipeline too" in capsys.readouterr().err


@pytest.mark.e2e
def test_what_is_compiled_can_be_submitted(
    api: Api, settings: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("submit", "ranking", "--config", settings, "--retrain", "--wait") == 0
    (version,) = api.versions
    assert set(version["spec"]["root"]["inputDefinitions"]["parameters"]) >= set(
        cluster_options.PARAMETERS
    )
    titles = Package.read(yaml.safe_dump(version["spec"]), "x").titles
    assert {"Plan", "Ingest", "Transform", "Trainer", "Evaluator", "Pusher", "Report"} <= set(
        titles.values()
    )
    assert "Run run-4 succeeded." in capsys.readouterr().out
