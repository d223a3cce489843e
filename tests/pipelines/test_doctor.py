"""Tests of the doctor: a healthy installation, and what it says of a broken one."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from babelrank.components.training.config import StrategyConfig
from babelrank.pipelines import doctor, self_test


@pytest.fixture(autouse=True)
def few_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MODULES", ("tensorflow",))


def test_healthy():
    lines, healthy = doctor.examine()
    assert healthy
    assert lines[-1] == "All is well."
    text = "\n".join(lines)
    assert "stack      TFX 1." in text
    assert "keras      2, by tf-keras" in text
    assert "device     CPU" in text
    assert "MISSING" not in text


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "PACKAGES", (*doctor.PACKAGES, "no-such-package"))
    lines, healthy = doctor.examine()
    assert not healthy
    assert "  no-such-package           MISSING" in lines
    assert lines[-1] == "Something is missing; `make setup` installs it."


def test_a_module_that_does_not_load(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "MODULES", ("no_such_module",))
    lines, healthy = doctor.examine()
    assert not healthy
    assert any(line.startswith("no_such_module cannot be imported: ModuleNot") for line in lines)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return subprocess.run(
        [sys.executable, "-m", "babelrank.pipelines.cli", "doctor", *arguments],
        env={**environment, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_strategy_is_tried():
    done = run("--strategy", "mirrored", "--device", "cpu", "--devices", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "device      /device:CPU:0",
        "device      /device:CPU:1",
        "strategy    mirrored, as configured; replicas: 2",
    ]
    for task, line in zip(("ranking", "translation"), lines[3:5], strict=True):
        assert re.match(rf"{task} +losses .*; equal to one device: yes \(difference ", line)
    assert lines[5:] == ["All is well."]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--device", "gpu"), 1, "device: got gpu, and TensorFlow finds no GPU here"),
        (("--strategy", "multi_worker_mirrored"), 1, "needs the environment variable TF_CONFIG"),
        (("--strategy", "mirored"), 2, "Did you mean mirrored?"),
    ],
)
def test_a_strategy_that_cannot_be_is_refused(arguments: tuple[str, ...], code: int, message: str):
    done = run(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert not done.stdout


def test_losses_that_differ_are_a_failure(monkeypatch: pytest.MonkeyPatch):
    found = iter([[1.0, 1.0], [1.0, 1.1], [1.0, float("nan")], [1.0, 1.0]])
    monkeypatch.setattr(self_test, "_losses", lambda *_: np.array(next(found)))
    lines, healthy = self_test.examine(StrategyConfig(name="one_device"))
    assert not healthy
    assert "equal to one device: NO (difference 9e-02)" in lines[-3]
    assert "equal to one device: NO (difference nan)" in lines[-2]
    assert lines[-1] == "Training here is not what it is on one device."
