"""Tests of the command line: its answers, its exit codes, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from babelrank.components.config import load_yaml
from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.components.evaluation.report import RunSummary
from babelrank.pipelines import cli, running
from babelrank.pipelines.config import RankingConfig, TranslationConfig

HEAVY = (
    "tensorflow",
    "tfx",
    "apache_beam",
    "pandas",
    "matplotlib",
    "pyarrow",
    "sacrebleu",
    "emoji",
)
COMMANDS = (
    *(
        "run",
        "retrain",
        "versions",
        "rollback",
        "clean",
        "compile",
        "submit",
        "schedule",
        "backfill",
        "runs",
    ),
    *("tune", "config", "predict", "evaluate", "check", "serve", "report", "doctor"),
)
MINIMAL = {
    "data": {"path": "none/*.csv", "label": "y", "categorical": ["user"]},
    "evaluation": {"min_auc": 0.6},
}


def babelrank(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "babelrank.pipelines.cli", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "ranking.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["retrain", "--help"],
        ["versions", "."],
        ["predict", "--help"],
        ["evaluate", "--help"],
        ["report", "--help"],
        ["--version"],
        ["config", "ranking"],
        ["config", "translation"],
    ],
)
def test_quick_answers_import_nothing_heavy(arguments: list[str]):
    code = (
        "import sys\nfrom babelrank.pipelines import cli\n"
        "try:\n    cli.main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"sys.stderr.write(' '.join(n for n in {HEAVY} if n in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout


def test_help_tells_the_exit_codes():
    done = babelrank("--help")
    assert done.returncode == 0
    assert "3  the model was refused: by the gate, by the serving check" in done.stdout
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("pipeline", ["ranking", "translation"])
def test_config_loads_as_it_is_printed(pipeline: str, tmp_path: Path):
    done = babelrank("config", pipeline)
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "printed.yaml"
    path.write_text(done.stdout)
    config = load_yaml(cli.PIPELINES[pipeline], path)
    assert (config.name, config.task) == (pipeline, pipeline)


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m babelrank.pipelines.cli config ranking | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["walk"], "invalid choice: 'walk'"),
        (["config"], "the following arguments are required: pipeline"),
        (["config", "rankin"], "invalid choice: 'rankin' (choose from"),
        (["run", "ranking"], "the following arguments are required: --config"),
        (
            ["run", "ranking", "--config", "x", "--span", "a"],
            "--span: got a; takes a number, or",
        ),
        (["predict"], "the following arguments are required: MODEL_DIR"),
        (["predict", "x", "--batch-size", "0"], "got 0; takes a whole number of 1 or more"),
        (["predict", "x", "--batch-size", "a"], "got a; takes a whole number of 1 or more"),
        (["predict", "x", "--nbest", "-1"], "got -1; takes a whole number of 1 or more"),
        (["evaluate", "x"], "the following arguments are required: --source, --reference"),
        (["evaluate", "x", "--source", "s"], "arguments are required: --reference"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_configuration(tmp_path: Path):
    done = babelrank("run", "ranking", "--config", str(tmp_path / "none.yaml"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("babelrank: configuration: ")
    assert "none.yaml: cannot read the configuration file" in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.stpes=5", "training.stpes: unknown key. Did you mean steps?"),
        ("training.steps=many", "training.steps: got 'many' (str); takes a whole number"),
        ("training.steps", "--set training.steps: takes key=value"),
        ("evaluation.min_auc=null", "evaluation.min_auc: null, and so are all other thresholds"),
    ],
)
def test_wrong_configuration(
    settings: Path, change: str, message: str, capsys: pytest.CaptureFixture[str]
):
    code = cli.main(["run", "ranking", "--config", str(settings), "--set", change])
    assert code == cli.USAGE == 2
    said = capsys.readouterr().err
    assert said.startswith("babelrank: configuration: ")
    assert message in said


def test_what_run_passes_on(settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[tuple[RankingConfig, Path]] = []

    def run(config: RankingConfig, out: Path) -> int:
        calls.append((config, out))
        return running.REFUSED

    monkeypatch.setattr(cli, "run", run)
    base = ["run", "ranking", "--config", str(settings)]
    assert cli.main([*base, "--set", "name=clicks"]) == 3
    more = ["--data", "it's: {SPAN}/*.gz", "--span", "7", "--out", str(tmp_path / "o")]
    assert cli.main([*base, *more, "--set", "training.epochs=2", "--set", "model.preset=tiny"]) == 3
    (first, out), (second, chosen) = calls
    assert (first.name, out) == ("clicks", Path("out/clicks"))
    assert (second.data.path, second.spans.span) == ("it's: {SPAN}/*.gz", 7)
    assert (second.training.epochs, second.model.preset) == (2, "tiny")
    assert chosen == tmp_path / "o"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("splits.by: bad"), 2, "babelrank: configuration: splits.by: bad\n"),
        (BabelRankError("out: another run"), 1, "babelrank: out: another run\n"),
        (KeyboardInterrupt(), 143, "babelrank: interrupted.\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "babelrank: [Errno 13] Permission de"),
    ],
)
def test_errors_are_exit_codes(
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
):
    def run(*_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "run", run)
    assert cli.main(["run", "ranking", "--config", str(settings)]) == code
    assert capsys.readouterr().err.startswith(said)


SUMMARY: dict[str, Any] = {"run_id": "r", "pipeline": "p", "task": "ranking", "started": "now"}


@pytest.mark.parametrize(
    ("status", "error", "code", "words"),
    [
        ("pushed", None, 0, "report: "),
        ("blessed", None, 0, "report: "),
        ("refused", None, 3, "report: "),
        ("failed", ValueError("x"), 1, "log: "),
        ("failed", ConfigError("x"), 2, "log: "),
        (
            "interrupted",
            KeyboardInterrupt(),
            143,
            "Interrupted. The same command goes on from here.",
        ),
    ],
)
def test_what_a_run_came_to(
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: str,
    error: BaseException | None,
    code: int,
    words: str,
):
    from babelrank.pipelines import run

    monkeypatch.setattr(cli.options.signal, "signal", lambda *_: None)
    summary = RunSummary(status=status, **SUMMARY)  # type: ignore[arg-type]
    monkeypatch.setattr(run, "graph_function", lambda *_: None)
    monkeypatch.setattr(run, "run_pipeline", lambda *_: (summary, error))
    config = load_yaml(RankingConfig, settings)
    assert cli.run(config, tmp_path / "out") == code
    assert words in capsys.readouterr().out


def test_run_reads_the_configuration_of_its_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    calls: list[TranslationConfig] = []
    monkeypatch.setattr(cli, "run", lambda config, out: calls.append(config) or cli.PUSHED)
    path = tmp_path / "translation.yaml"
    path.write_text(
        "data: {source: en, target: de}\nevaluation: {min_bleu: 20}\n", encoding="utf-8"
    )
    assert cli.main(["run", "translation", "--config", str(path), "--data", "a.tsv"]) == 0
    assert isinstance(calls[0], TranslationConfig)
    assert calls[0].data.path == "a.tsv"
    assert calls[0].evaluation.force_bless is None
    assert cli.main(["run", "ranking", "--config", str(path)]) == 2
    assert "data.source: unknown key" in capsys.readouterr().err


def test_a_run_with_a_blessing_by_force(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    calls: list[RankingConfig] = []
    monkeypatch.setattr(cli, "run", lambda config, out: calls.append(config) or cli.PUSHED)
    arguments = ["run", "ranking", "--config", str(settings), "--force-bless"]
    assert cli.main([*arguments, "a holiday"]) == 0
    assert calls[0].evaluation.force_bless == "a holiday"
    assert cli.main([*arguments, ""]) == 2
    assert "--force-bless: got no reason" in capsys.readouterr().err
