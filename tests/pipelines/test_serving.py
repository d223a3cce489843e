"""Tests of `babelrank serve`: what it asks the server for, and where that lives."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pytest

from babelrank.components.errors import BabelRankError, ConfigError, ModelError
from babelrank.components.serving.server.settings import Limits, Settings
from babelrank.pipelines import serving


def given(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    serving.add(parser.add_subparsers())
    return parser.parse_args(["serve", *arguments])


def model(folder: Path, task: str = "ranking") -> Path:
    """A version of a model, as far as its name goes."""
    about = folder / "7" / "assets.extra"
    about.mkdir(parents=True)
    (folder / "7" / "saved_model.pb").touch()
    (about / "babelrank_rows.json").write_text(json.dumps({"task": task}))
    return folder


def test_models_are_named_after_their_tasks(tmp_path: Path):
    settings = serving.settings_of(given(str(model(tmp_path / "r")), "--model", "other=x"))

    assert settings.models == {"ranking": tmp_path / "r", "other": Path.cwd() / "x"}
    assert (settings.host, settings.port, settings.limits) == ("127.0.0.1", 8080, Limits())


def test_two_models_of_one_name_are_refused(tmp_path: Path):
    first, second = model(tmp_path / "a"), model(tmp_path / "b")

    with pytest.raises(ConfigError, match=r"b: is called ranking, as .*a is; name them: --model"):
        serving.settings_of(given(str(first), str(second)))


def test_a_folder_without_model_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="no model here.*--wait --model NAME=DIR"):
        serving.settings_of(given(str(tmp_path)))


def test_no_model_at_all_is_refused():
    with pytest.raises(ConfigError, match="models: got none"):
        serving.settings_of(given())


@pytest.mark.parametrize("text", ["name", "=x", "name="])
def test_a_model_has_a_name_and_a_folder(text: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        given("--model", text)
    assert f"got {text}; takes NAME=DIR" in capsys.readouterr().err


def test_the_command_line_asks_for_the_same_settings(tmp_path: Path):
    limits = Limits(max_batch=7, max_delay_ms=0.5, deadline_seconds=3.0)
    settings = Settings(
        models={"a": tmp_path, "b": tmp_path / "x y"},
        host="::1",
        port=0,
        unverified=True,
        log_requests=True,
        poll_seconds=0.5,
        grace_seconds=3,
        limits=limits,
    )

    assert serving.settings_of(given(*serving.arguments(settings)[1:])) == settings


def test_it_moves_to_the_server_s_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    moved: list[object] = []
    monkeypatch.setattr(os, "execve", lambda *to: moved.extend(to))
    monkeypatch.setenv(serving.PYTHON, sys.executable)
    settings = Settings(models={"a": tmp_path})

    with pytest.raises(BabelRankError):  # the real call does not come back
        serving.move(settings)

    python, command, environment = moved
    assert (python, command[0]) == (Path(sys.executable), sys.executable)
    assert command[1:4] == ["-m", "babelrank.pipelines.cli", "serve"]
    monkeypatch.setattr(os, "environ", environment)
    with pytest.raises(BabelRankError, match=f"{sys.executable} has no KServe"):
        serving.move(settings)


def test_without_such_an_environment_it_says_how_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(serving.PYTHON, str(tmp_path / "python"))

    with pytest.raises(BabelRankError, match=r"python is not there. `make serve-env`"):
        serving.move(Settings(models={"a": tmp_path}))
