"""Signals: a note, then an interrupt, and the handlers of before."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from babelrank.components.training.interruption import StopRequest


def test_a_signal_leaves_a_note() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        assert stop.asked is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked == "SIGTERM"
        os.kill(os.getpid(), signal.SIGTERM)  # patience: Kubernetes may send it again
        assert not stop.urgent
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_second_ctrl_c_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked == "SIGINT"
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.urgent


def test_in_other_threads_signals_are_left_alone() -> None:
    handlers = []

    def run() -> None:
        with StopRequest():
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == [before]
