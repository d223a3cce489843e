"""Progress: a bar on a terminal, lines in a log."""

import io

import pytest

from babelrank.components.training import progress
from babelrank.components.training.progress import Bar, Lines


def test_lines_are_plain_and_rare(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    lines = Lines(stream, interval=10.0)
    lines.start(0, 100, "tokens")
    for step in (20, 40, 60, 80, 100):
        now[0] += 5.0
        lines.update(step, 100, 0.5, 1234.5)
    lines.note("eval at step 100: auc 0.7")
    lines.close()
    assert stream.getvalue().splitlines() == [
        "training: step 0 of 100",
        "training: step 40 of 100, loss 0.5000, 1,234 tokens/s, 00:15 left",
        "training: step 80 of 100, loss 0.5000, 1,234 tokens/s, 00:05 left",
        "training: step 100 of 100, loss 0.5000, 1,234 tokens/s, 00:00 left",
        "eval at step 100: auc 0.7",
    ]


def test_the_bar_shows_step_loss_speed_and_rest():
    stream = io.StringIO()
    bar = Bar(stream)
    bar.start(10, 100)
    bar.update(60, 100, 0.25, 2000.0)
    bar.note("eval at step 60: auc 0.7")
    bar.close()
    text = stream.getvalue()
    assert "60/100" in text
    assert "loss 0.2500, 2,000 examples/s" in text
    assert "eval at step 60: auc 0.7\n" in text


@pytest.mark.parametrize(("terminal", "cls"), [(True, Bar), (False, Lines)])
def test_the_display_fits_the_stream(monkeypatch, terminal, cls):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(progress.sys, "stderr", stream)
    assert type(progress.default()) is cls
