"""The entry of a worker: its job file, its exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import (
    RESUME,
    ConfigError,
    InputError,
    Interrupted,
    WorkerLostError,
)
from babelrank.components.training import worker

seen: list[Any] = []


def run_fn(fn_args: Any) -> None:
    """What the job names."""
    if fn_args.fail:
        raise InputError("no data")
    seen.append(fn_args.custom_config["training"]["steps"])


def write(path: Path, fail: bool = False) -> Path:
    arguments = {"custom_config": {"training": {"steps": 3}}, "fail": fail}
    worker.write_job(path / "job.json", f"{__name__}.run_fn", arguments)
    return path / "job.json"


def test_a_job_runs_with_its_arguments(tmp_path: Path) -> None:
    assert worker.main(["--unsupervised", str(write(tmp_path))]) == 0
    assert seen == [3]


def test_an_error_is_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert worker.main(["--unsupervised", str(write(tmp_path, fail=True))]) == 1
    assert "InputError: no data" in capsys.readouterr().err
    (tmp_path / "other.json").write_text("{}")
    assert worker.main(["--unsupervised", str(tmp_path / "other.json")]) == 2
    assert "takes a job that babelrank wrote" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Interrupted("stopped"), RESUME),
        (WorkerLostError("gone"), RESUME),
        (ConfigError("bad"), 2),
        (OSError("disk"), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert worker.exit_code(error) == code
