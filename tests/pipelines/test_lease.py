"""Tests of the right of one run to use an output folder."""

from __future__ import annotations

import errno
import os
import time
from functools import partial
from pathlib import Path

import pytest

from babelrank.components.errors import BabelRankError
from babelrank.pipelines.lease import Lease, alone


def test_one_run_at_a_time(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    assert lease.holder() is None
    lease.check_free()
    lease.take("a", 1)
    lease.take("a", 1)  # a second try of the same task
    assert lease.holder() == "a"
    with pytest.raises(BabelRankError, match="the run a is using this folder"), alone(tmp_path):
        pass
    with pytest.raises(BabelRankError, match=r"the run a is using this folder .* 0 min ago"):
        lease.take("b", 1)
    lease.release("b")
    assert lease.holder() == "a"
    lease.release("a")
    lease.take("b", 1)
    assert lease.holder() == "b"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"run_id": "a"}', '{"run_id": 1, "minutes": null}']
)
def test_a_damaged_lease_is_told(tmp_path: Path, content: str) -> None:
    lease = Lease(tmp_path)
    (tmp_path / ".lease").write_text(content)
    for ask in (lease.holder, lease.check_free, partial(lease.take, "b", 1)):
        with pytest.raises(BabelRankError, match=r"\.lease: is damaged .* Delete it, if no run us"):
            ask()
    lease.end()
    lease.take("b", 1)


def test_a_dead_run_is_taken_over_and_finds_out(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    lease.take("a", 1)
    past = time.time() - 61
    os.utime(tmp_path / ".lease", (past, past))
    lease.check_free()
    lease.take("b", 1)
    with (
        pytest.raises(BabelRankError, match="the run a has lost this folder: the run b has taken"),
        lease.kept("a"),
    ):
        pass


def test_whoever_comes_after_a_dead_run_takes_its_lease_away(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    lease.take("a", 1)
    past = time.time() - 61
    os.utime(tmp_path / ".lease", (past, past))
    with alone(tmp_path):
        pass
    with pytest.raises(BabelRankError, match="nobody has it any more"), lease.kept("a"):
        pass


def test_a_volume_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("babelrank.pipelines.lease.fcntl.flock", refuse)
    with (
        pytest.raises(BabelRankError, match=r"cannot lock this folder"),
        alone(tmp_path),
    ):
        pass


def test_a_run_that_goes_on_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babelrank.pipelines.lease._OFTEN", 0.01)
    lease = Lease(tmp_path)
    lease.take("a", 1)
    with lease.kept("a"):
        past = time.time() - 3600
        os.utime(tmp_path / ".lease", (past, past))
        deadline = time.monotonic() + 10
        while time.time() - (tmp_path / ".lease").stat().st_mtime > 60:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(BabelRankError, match="the run a is using"):
            lease.take("b", 1)


def test_without_a_lease_no_step_runs(tmp_path: Path) -> None:
    with (
        pytest.raises(BabelRankError, match="nobody has it any more"),
        Lease(tmp_path).kept("a"),
    ):
        pass
