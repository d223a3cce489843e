"""Tests of what serves a chief: told to end, left alone, or never needed."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import RESUME
from babelrank.components.training import server, worker
from babelrank.components.training.config import StrategyConfig


@pytest.fixture
def chief() -> Iterator[socket.socket]:
    """A port of this machine that answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_OFTEN", "_FAREWELL"):
        monkeypatch.setattr(server, name, 0.05)
    monkeypatch.setattr(server, "_GONE", 0.3)


def address(listening: socket.socket) -> str:
    return f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    ("kind", "name", "serves"),
    [
        ("ps", "auto", True),
        ("worker", "parameter_server", True),
        ("chief", "auto", False),
        ("worker", "multi_worker_mirrored", False),
    ],
)
def test_who_serves(monkeypatch: pytest.MonkeyPatch, kind: str, name: str, serves: bool) -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]}
    config = {"cluster": cluster, "task": {"type": kind, "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert server.is_server(StrategyConfig(name=name)) is serves


@pytest.fixture(autouse=True)
def free_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that runs tests may have any number of files open."""
    number = fcntl.fcntl(0, fcntl.F_DUPFD, 300)
    os.close(number)
    monkeypatch.setattr(server, "_EAR", number)


def test_a_number_that_is_taken_is_not_taken_away(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        os.dup2(file.fileno(), server._EAR)
        taken = pytest.raises(RuntimeError, match=f"file number {server._EAR} is taken")
        with taken, server._listening():
            pass
        assert os.fstat(server._EAR).st_ino == os.fstat(file.fileno()).st_ino
        os.close(server._EAR)


def test_it_ends_when_told(chief: socket.socket) -> None:
    def tell() -> None:
        with open(f"/dev/fd/{server._EAR}", "w") as mouth:
            mouth.write("done")

    with server._listening() as ear:
        timer = threading.Timer(0.3, tell)
        timer.start()
        began = time.monotonic()
        assert server._wait(ear, address(chief), 1) == 0
        assert time.monotonic() - began >= 0.3
        timer.join()
    with pytest.raises(OSError):
        os.fstat(server._EAR)


def test_it_ends_when_the_chief_is_gone(
    chief: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    timer = threading.Timer(0.5, chief.close)
    timer.start()
    with server._listening() as ear:
        assert server._wait(ear, address(chief), 1) == RESUME
    timer.join()
    assert "is gone. Look at its log; started again, all" in capfd.readouterr().err


def test_it_ends_when_no_chief_comes(
    chief: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    chief.close()
    with server._listening() as ear:
        assert server._wait(ear, "127.0.0.1:1", 1) == RESUME
    assert "the chief at 127.0.0.1:1 has not come in 1 s" in capfd.readouterr().err


def test_nobody_is_dismissed_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    written: list[str] = []
    monkeypatch.setattr(server.tf.io, "write_file", lambda path, _: written.append(path))
    server.dismiss()
    assert not written


ran: list[str] = []


def run_fn(fn_args: Any) -> None:
    """What the job names."""
    ran.append(fn_args.name)


@pytest.mark.parametrize(("kind", "code", "calls"), [("ps", 7, []), ("chief", 0, ["job", "told"])])
def test_the_entry_of_a_worker_serves_or_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, code: int, calls: list[str]
) -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind}}))
    monkeypatch.setattr(server, "serve", lambda _: 7)
    monkeypatch.setattr(server, "dismiss", lambda: ran.append("told"))
    training = {"strategy": {"name": "parameter_server"}}
    arguments = {"custom_config": {"training": training}, "name": "job"}
    worker.write_job(tmp_path / "job.json", f"{__name__}.run_fn", arguments)
    ran.clear()
    assert worker.main(["--unsupervised", str(tmp_path / "job.json")]) == code
    assert ran == calls
