"""A process that is watched: signs of life, silence, signals, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from babelrank.components.errors import RESUME
from babelrank.components.training.supervisor import Watched

BUSY = """
import time
from babelrank.components.training import supervisor
supervisor._OFTEN = 0.0
with supervisor.Watched(1.0, "a test") as watched:
    for _ in range(15):
        time.sleep(0.1)
        watched.alive()
time.sleep(1.5)
"""
STUCK = """
import time
from babelrank.components.training.supervisor import Watched
with Watched(0.5, "waiting for the others"):
    time.sleep(60)
"""
SIGNALLED = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
print("ready", flush=True)
time.sleep(60)
"""

COUNTING = """
import signal, sys, time
count = 0
def note(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, note)
print("ready", flush=True)
time.sleep(1.0)
print(count, flush=True)
"""


def supervised(script: str) -> subprocess.Popen[str]:
    code = (
        "import sys; from babelrank.components.training.supervisor import supervise; "
        "sys.exit(supervise([sys.executable, '-c', sys.argv[1]]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_whoever_gives_signs_of_life_or_is_not_watched_goes_on() -> None:
    process = supervised(BUSY)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_silence_ends_it() -> None:
    process = supervised(STUCK)
    began = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == RESUME
    assert said.startswith("babelrank: waiting for the others: no sign of life for 0.5 s")


def test_signals_are_passed_on() -> None:
    process = supervised(SIGNALLED)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 9


@pytest.mark.parametrize(("ending", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_its_exit_code_is_ours(ending: str, code: int) -> None:
    process = supervised(f"import os, sys; {ending}")
    process.communicate(timeout=60)
    assert process.returncode == code


def test_without_a_supervisor_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BABELRANK_SUPERVISOR_PIPE", raising=False)
    written: list[int] = []
    monkeypatch.setattr(os, "write", lambda pipe, _: written.append(pipe))
    with Watched(0.001, "nothing") as watched:
        watched.alive()
    assert not written


def test_the_ctrl_c_of_a_terminal_comes_once() -> None:
    """A terminal sends it to all processes of a group: a second one would stop at once."""
    process = supervised(COUNTING)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "1\n"
