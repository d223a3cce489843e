"""Tests of what a run shows, on a terminal and in a file, and of where library chatter goes."""

from __future__ import annotations

import io
import logging
import os
import sys
import time
import warnings
from pathlib import Path

import pytest

from babelrank.components.evaluation.report import StepSummary
from babelrank.pipelines.display import Display, quiet


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_steps(stream: io.StringIO) -> str:
    display = Display(stream)
    for name, state, seconds in (
        ("Ingest", "ran", 1.25),
        ("Trainer", "failed", 95.0),
        ("Pusher", "cached", None),
    ):
        display.step(StepSummary(name=name, state="not reached"), 1, 3)
        display.step(StepSummary(name=name, state=state, seconds=seconds), 1, 3)
    return stream.getvalue()


def test_lines_in_a_file():
    assert run_steps(io.StringIO()).split("\n")[:-1] == [
        "[1/3] Ingest            …",
        "[1/3] Ingest               1.2 s",
        "[1/3] Trainer           …",
        "[1/3] Trainer           1:35 min  FAILED",
        "[1/3] Pusher            …",
        "[1/3] Pusher               0.0 s  cached",
    ]


def test_terminal_rewrites_a_line_but_for_training():
    text = run_steps(Terminal())
    assert "\r\033[K[1/3] Ingest               1.2 s" in text
    assert "[1/3] Trainer           …\n" in text


def test_waiting_tells_the_time_even_of_a_failure():
    stream = io.StringIO()
    with pytest.raises(ValueError, match="no"), Display(stream).waiting("Loading"):
        raise ValueError("no")
    assert stream.getvalue() == "Loading …\nLoading  0.0 s\n"


def test_the_ticker_counts():
    stream = Terminal()
    with Display(stream).waiting("Loading"):
        time.sleep(0.05)
    assert stream.getvalue().startswith("\r\033[KLoading    0.0 s …")


def test_quiet_sends_everything_else_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    log, old, handlers = tmp_path / "deep" / "log.txt", sys.stderr, logging.getLogger().handlers[:]
    with warnings.catch_warnings(), quiet(log) as stream:
        os.write(2, b"from C++\n")
        logging.getLogger("library").info("from a library")
        warnings.warn("from Python", stacklevel=1)
        stream.write("for people\n")
        sys.stderr.write("also for people\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "for people\nalso for people\nafterwards\n"
    text = log.read_text(encoding="utf-8")
    assert "from C++" in text
    assert "INFO library: from a library" in text
    assert "from Python" in text
    assert (sys.stderr, logging.getLogger().handlers) == (old, handlers)


def test_quiet_ends_after_an_error_and_appends(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    with warnings.catch_warnings(), pytest.raises(ValueError, match="x"), quiet(log):
        os.write(2, b"inside\n")
        raise ValueError("x")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
    assert log.read_text() == "before\ninside\n"
