"""Tests of `babelrank tune`: its answers, what it refuses, and whole searches on sample data."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from babelrank.components.config import from_dict, load_yaml
from babelrank.components.errors import ConfigError
from babelrank.pipelines import cli, emoji_names, running, tuning
from babelrank.pipelines.config import RankingConfig, TranslationConfig
from babelrank.pipelines.display import Display
from babelrank.pipelines.search_space import Space, configured
from babelrank.pipelines.simulator import SimulatorConfig, configuration, simulate
from babelrank.pipelines.tuning_request import METRIC, Request, Search

BABELRANK = [sys.executable, "-m", "babelrank.pipelines.cli"]
HEAVY = ("tensorflow", "tfx", "keras_tuner", "keras", "apache_beam")
TIMEOUT = 600
MINIMAL: dict[str, Any] = {
    "data": {"path": "none/*.csv", "label": "y", "categorical": ["user"]},
    "evaluation": {"min_auc": 0.6},
}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The arguments that name a configuration and a space."""
    config, space = tmp_path / "ranking.yaml", tmp_path / "space.yaml"
    config.write_text(yaml.safe_dump(MINIMAL))
    space.write_text("model.embedding_dim: [8, 16]\n")
    return ["ranking", "--config", str(config), "--space", str(space)]


@pytest.mark.parametrize("more", [["--help"], ["--set", "model.interaction=cros"]])
def test_quick_answers_import_nothing_heavy(files: list[str], more: list[str]):
    code = (
        "import sys\nfrom babelrank.pipelines import cli\n"
        "try:\n    cli.main(['tune', *sys.argv[1:]])\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', [n for n in {HEAVY} if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *files, *more], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.endswith("heavy: []\n")


def test_what_tune_passes_on(files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[tuple[RankingConfig, Request, Path]] = []
    monkeypatch.setattr(tuning, "tune", lambda *given: calls.append(given) or 0)
    monkeypatch.setattr(cli.options.signal, "signal", lambda *_: None)
    assert cli.main(["tune", *files, "--set", "name=clicks"]) == 0
    more = ["--search", "hyperband", "--trials", "5", "--metric", "log_loss", "--seed", "7"]
    assert cli.main(["tune", *files, *more, "--data", "a.csv", "--out", str(tmp_path / "o")]) == 0
    (config, request, out), (other, asked, chosen) = calls
    space = Path(files[-1])
    assert (config.name, out) == ("clicks", Path("out/clicks"))
    assert request == Request(space=space)
    assert (other.data.path, chosen) == ("a.csv", tmp_path / "o")
    assert asked == Request(space=space, method="hyperband", trials=5, metric="log_loss", seed=7)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials", "0"], "argument --trials: got 0; takes a whole number of 1 or more"),
        (["--seed", "0"], "argument --seed: got 0; takes a whole number of 1 or more"),
        (["--search", "grid"], "invalid choice: 'grid'"),
    ],
)
def test_wrong_usage(
    files: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as caught:
        cli.main(["tune", *files, *more])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "training.warm_start=blessed"], "training.warm_start: got 'blessed'; trials st"),
        (
            ["--set", "training.strategy=parameter_server"],
            "training.strategy.name: got parameter_server; one process runs the trials",
        ),
        (
            ["--search", "hyperband", "--set", "training.steps=100"],
            "training.evaluate_every: got null; hyperband ends trials at an evaluation",
        ),
        (["--space", "none.yaml"], "none.yaml: cannot read the space"),
    ],
)
def test_refusals(
    files: list[str],
    tmp_path: Path,
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(cli.options.signal, "signal", lambda *_: None)
    assert cli.main(["tune", *files, "--out", str(tmp_path / "out"), *more]) == cli.USAGE
    assert f"babelrank: configuration: {message}" in capsys.readouterr().err.replace(
        f"{tmp_path}/", ""
    )
    assert not (tmp_path / "out").exists()


def test_hyperband_sets_the_length_of_trials(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    Path(files[-1]).write_text("training.epochs: [5, 10]\n")
    out = ["--out", str(tmp_path / "out")]
    assert cli.main(["tune", *files, "--search", "hyperband", *out]) == cli.USAGE
    assert "training.epochs: cannot be searched: hyperband decides" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "early_stopping.metric: got 'bleu'; takes one of loss, auc, pr_auc, log_loss, acc"),
        ({"objective": "rating"}, "got 'bleu'; takes one of loss, rmse, mae"),
    ],
)
def test_a_metric_that_is_not_measured(tmp_path: Path, settings: dict[str, Any], message: str):
    from babelrank.pipelines.tuner import Tuner

    gate = {"min_auc": 0.6} if not settings else {"max_rmse": 1.0}
    data = {**MINIMAL, "data": {**MINIMAL["data"], **settings}, "evaluation": gate}
    config = configured(from_dict(RankingConfig, data), {METRIC: "bleu"})
    request = Request(space=tmp_path / "space.yaml")
    display = Display(io.StringIO())
    with pytest.raises(ConfigError, match=message):
        Tuner(Search(config, Space({}), request, None), tmp_path / "out", display).run()
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated click log, a configuration and a space."""
    folder = tmp_path_factory.mktemp("clicks")
    simulate(SimulatorConfig(users=100, items=30, rows_per_span=4000, spans=1), folder / "log")
    settings = {
        **configuration(folder / "log"),
        "name": "clicks",
        "model": {"preset": "tiny"},
        "training": {"epochs": 3, "batch_size": 64, "checkpoint_interval": 10},
        "evaluation": {"min_auc": 0.5},
    }
    (folder / "ranking.yaml").write_text(yaml.safe_dump(settings))
    (folder / "space.yaml").write_text(
        "training.optimizer.learning_rate: {min: 0.0001, max: 0.1, scale: log}\n"
        "model.interaction: [dot, cross]\n"
    )
    return folder


def arguments(folder: Path, pipeline: str, *more: str) -> list[str]:
    config, space = folder / f"{pipeline}.yaml", folder / "space.yaml"
    named = ["--config", str(config), "--space", str(space), "--out", str(folder / "out")]
    return [*BABELRANK, "tune", pipeline, *named, *more]


def finished(folder: Path, pipeline: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments(folder, pipeline, *more), capture_output=True, text=True, timeout=TIMEOUT
    )


def trials_of(folder: Path) -> list[dict[str, Any]]:
    trials: list[dict[str, Any]] = json.loads((folder / "out" / "trials.json").read_text())[
        "trials"
    ]
    return trials


def losses_of_run(folder: Path, pipeline: str) -> dict[int, float]:
    """The eval losses by step when `babelrank run` trains with best.yaml, in the same folder."""
    out = folder / "out"
    config = ["--config", str(out / "best.yaml"), "--out", str(out)]
    done = subprocess.run(
        [*BABELRANK, "run", pipeline, *config], capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode in (running.PUSHED, running.REFUSED), done.stderr
    assert re.search(r"Transform +[\d.]+ s  cached", done.stderr)
    (path,) = (out / "artifacts" / "Trainer" / "model_run").glob("*/history.json")
    history = json.loads(path.read_text())
    return {record["step"]: record["eval"]["loss"] for record in history if "eval" in record}


def killed_in_trial(folder: Path, number: int) -> None:
    """A search that is gone at once when a trial has a checkpoint."""
    with (folder / "killed.txt").open("w") as said:
        process = subprocess.Popen(
            arguments(folder, "ranking", "--search", "hyperband"), stdout=said, stderr=said
        )
    checkpoints = folder / "out" / "trials" / f"{number:04}" / "checkpoints"
    deadline = time.monotonic() + TIMEOUT
    while not list(checkpoints.glob("step-*")):
        assert process.poll() is None, (folder / "killed.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.e2e
def test_ranking_by_hyperband_through_kill_9(clicks: Path):
    killed_in_trial(clicks, 2)
    before = trials_of(clicks)
    assert [trial["number"] for trial in before] == [1]
    done = finished(clicks, "ranking", "--search", "hyperband")
    assert done.returncode == 0, done.stderr
    assert "Search: hyperband, 6 trials; 1 are done, by auc of the eval split" in done.stderr
    assert re.search(r"Transform +[\d.]+ s  cached", done.stderr)
    assert "Trial 1 of 6" not in done.stderr
    assert "resumed at step" in (clicks / "out" / "log.txt").read_text()

    trials = trials_of(clicks)
    assert trials[:1] == before
    assert [trial["status"] for trial in trials] == ["completed"] * 6
    assert [trial["epochs"] for trial in trials] == [1, 1, 1, 3, 3, 3]
    (continued,) = [trial for trial in trials if trial["continues"]]
    first = trials[continued["continues"] - 1]
    assert first["metric"] == max(trial["metric"] for trial in trials[:3])
    assert continued["values"] == first["values"]
    assert continued["steps"] == 3 * first["steps"]

    best = best_of(clicks)
    config = load_yaml(RankingConfig, clicks / "out" / "best.yaml")
    base = load_yaml(RankingConfig, clicks / "ranking.yaml")
    assert config == configured(base, best["values"])
    assert config.training.epochs == 3
    assert f"Best: trial {best['number']}, auc {best['metric']:.4g}" in done.stdout
    assert done.stdout.split("\n")[2].split()[0] == str(best["number"])
    # A run trains just as the trial did, parted by a rung and, if it was the second, by kill -9.
    losses = losses_of_run(clicks, "ranking")
    assert losses[best["best_step"]] == pytest.approx(best["metrics"]["loss"], rel=1e-5)
    left = {path.name for path in (clicks / "out" / "trials").glob("*/*")}
    assert left == {"history.json", "tensorboard"}


@pytest.fixture(scope="module")
def emoji(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small parallel corpus and a finished search on it."""
    folder = tmp_path_factory.mktemp("emoji")
    emoji_names.write(folder)
    settings = {
        **emoji_names.configuration(folder),
        "vocabulary": {"size": 300},
        "training": {"tokens_per_batch": 512, "steps": 12, "evaluate_every": 6},
        "evaluation": {"min_bleu": 1},
    }
    (folder / "translation.yaml").write_text(yaml.safe_dump(settings))
    (folder / "space.yaml").write_text(
        "training.optimizer.learning_rate: {min: 0.001, max: 0.01, scale: log}\n"
        "model.width: [32, 64]\ndecoding.beam_size: [1, 2]\n"
    )
    done = finished(folder, "translation", "--trials", "2", "--metric", "chrf")
    assert done.returncode == 0, done.stderr
    return folder


def best_of(folder: Path) -> dict[str, Any]:
    return max(trials_of(folder), key=lambda trial: float(trial["metric"]))


@pytest.mark.e2e
def test_translation_at_random(emoji: Path):
    trials, best = trials_of(emoji), best_of(emoji)
    assert [(trial["status"], trial["steps"]) for trial in trials] == [("completed", 12)] * 2
    assert best["metric"] == best["metrics"]["chrf"]
    assert {"bleu", "chrf", "loss"} <= set(best["metrics"])
    config = load_yaml(TranslationConfig, emoji / "out" / "best.yaml")
    assert config.model.width == best["values"]["model.width"]
    assert config.training.early_stopping.metric == "chrf"


@pytest.mark.e2e
@pytest.mark.slow
def test_a_translation_run_trains_as_the_trial_did(emoji: Path):
    best = best_of(emoji)
    losses = losses_of_run(emoji, "translation")
    assert losses[best["best_step"]] == pytest.approx(best["metrics"]["loss"], rel=1e-4)
