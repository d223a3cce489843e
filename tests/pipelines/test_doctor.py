"""Tests of the doctor: a healthy installation, and what it says of a broken one."""

from __future__ import annotations

import pytest

from babelrank.pipelines import doctor


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
